"""Pretrained backbones: torchvision's networks stage by stage, and the module on them."""
