"""Deep Learning with Python, chapters 2 to 5, as a structured PyTorch Lightning project.

Importing this package loads neither torch nor Lightning.
"""

from lazy_loader import attach_stub

__version__ = "1.2.1"
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # the imports of __init__.pyi
