from .recipe import Recipe
from .restoring import RestoredRun, out_of_fold_outputs, restore

__all__ = ["Recipe", "RestoredRun", "out_of_fold_outputs", "restore"]
