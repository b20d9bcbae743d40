"""Pretrained backbones: torchvision's networks stage by stage, their weights, the module on them.

Every classification network of torchvision has the contract of `Backbone`: a table of families says
how each is cut into stages. What else a network on images may be stands in `dlp.modules`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # what __init__.pyi imports
