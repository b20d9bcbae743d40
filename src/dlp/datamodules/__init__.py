"""DataModules: what knows data. Each yields ``(inputs, targets)`` batches of the same splits."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # what __init__.pyi imports
