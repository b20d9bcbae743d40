"""Cross-validation: which folds there are, how each is trained, and what came of all of them.

`plan` says which folds there are, `making` gives each a model and a Trainer, `training` trains
them one after the other or, by the closed room `stacked`, all at once; `results` has their
numbers, and `folder` knows their files. Others import from here alone; `dlp.crossval` puts it
together.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # what __init__.pyi imports
