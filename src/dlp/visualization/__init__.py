"""The one place that draws; functions return Matplotlib figures.

Here live curves, grids of images, and what a network sees: activations, filters, heat maps,
embeddings. Not here: which run, layer or image is drawn (`dlp.commands.visualize`).
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # what __init__.pyi imports
