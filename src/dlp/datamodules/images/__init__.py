"""Images: files decoded once into one store, changed at random where training asks for it.

Here live the sets of images (a person's own folders and tables, MNIST, cats and dogs), what reads a
file of any kind, the store of decoded pixels, and augmentation. Networks on images do not.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # what __init__.pyi imports
