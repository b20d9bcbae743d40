"""Callbacks: what watches a fit. Each works in a plain ``lightning.Trainer`` too.

Here live the history, checkpoints, unfreezing, cached features, and the files of mistakes and
predictions. Not here: what a step of training does (`dlp.modules`), and figures
(`dlp.visualization`).
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # what __init__.pyi imports
