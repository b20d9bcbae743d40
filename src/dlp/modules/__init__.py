"""Modules: what knows problems. Plain networks below, thin LightningModules above.

Here live networks, heads, losses, metrics, penalties and optimizers; `pretrained` has torchvision's
backbones. Not here: any data set, and what watches a fit (`dlp.callbacks`).
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # what __init__.pyi imports
