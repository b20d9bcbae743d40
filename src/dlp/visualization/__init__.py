"""The one place that draws; functions return Matplotlib figures."""

from dlp.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__, {"image_grid": "pictures", "learning_curves": "curves", "smooth": "curves"}
)
