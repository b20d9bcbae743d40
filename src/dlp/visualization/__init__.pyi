from .activation_maps import activations
from .curves import draw_curves, draw_folds, draw_runs
from .filters import filter_patterns
from .grad_cam import GradCAM
from .images import activation_grid, filter_grid, heatmap_figure, image_grid, overlay
from .mistakes import draw_mistakes
from .words import word_weights

__all__ = [
    "GradCAM",
    "activation_grid",
    "activations",
    "draw_curves",
    "draw_folds",
    "draw_mistakes",
    "draw_runs",
    "filter_grid",
    "filter_patterns",
    "heatmap_figure",
    "image_grid",
    "overlay",
    "word_weights",
]
