from .folds.cross_validation import cross_validate
from .inference.predictor import Predictor
from .recipes.recipe import load

__all__ = ["Predictor", "cross_validate", "load"]
__version__: str
