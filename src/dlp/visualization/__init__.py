"""The one place that draws; functions return Matplotlib figures."""

from dlp.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "GradCAM": "heatmaps",
        "activation_grid": "activation_maps",
        "activations": "activation_maps",
        "channel_image": "activation_maps",
        "cluster_agreement": "embedding",
        "default_cam_layer": "heatmaps",
        "default_layers": "activation_maps",
        "embed": "embedding",
        "embedding_figure": "embedding",
        "filter_grid": "filters",
        "filter_patterns": "filters",
        "heatmap_figure": "heatmap_panels",
        "image_grid": "images",
        "last_hidden": "embedding",
        "learning_curves": "curves",
        "overlay": "heatmaps",
        "smooth": "curves",
    },
)
