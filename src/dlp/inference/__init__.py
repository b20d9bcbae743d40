"""Predict with a trained model and explain its predictions, without Lightning."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # the imports of __init__.pyi
