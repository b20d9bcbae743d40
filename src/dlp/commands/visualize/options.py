"""The options of each kind of ``dlp visualize``: dataclasses, whose texts are the help."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from dlp.commands.visualize.images import image_files
from dlp.errors import InputError
from dlp.visualization.embedding import Method

_LEAST = {"num_images": 1, "num_filters": 1, "size": 1, "steps": 0, "num_rows": 3}
_TRIAL = {"num_images": 1, "num_filters": 1, "steps": 1, "num_rows": 64}


@dataclass(frozen=True)
class NetworkOptions:
    """Which network is drawn.

    Args:
        backbone: One of torchvision's networks instead of a trained one: vgg16, mobilenet_v2 ...
        weights: Of the backbone: a torchvision name, the path of a state dict with or without
            classifier, or null for random ones.

    Raises:
        InputError: A value is none that any network could be drawn by.
    """

    backbone: str | None = None
    weights: str | None = "DEFAULT"

    def __post_init__(self) -> None:
        """Check the values."""
        for name, least in _LEAST.items():
            given = getattr(self, name, None)
            if given is not None and given < least:
                raise InputError(f"{name} must be {least} or more, got {given}.")
        if self.backbone is None and self.weights != "DEFAULT":
            raise InputError("--weights goes with --backbone NAME: a checkpoint has its weights.")

    def for_trial(self) -> Self:
        """Return options that take a moment: nothing of what they draw is kept."""
        few: dict[str, Any] = {name: count for name, count in _TRIAL.items() if hasattr(self, name)}
        if getattr(self, "filters", None):  # they are few already
            del few["num_filters"]
        return replace(self, **few)


@dataclass(frozen=True)
class LayerOptions(NetworkOptions):
    """Layers of a network are drawn.

    Args:
        list_layers: Print all layers; draw nothing.
    """

    list_layers: bool = False


@dataclass(frozen=True)
class ImageOptions(LayerOptions):
    """Images are drawn as a network sees them.

    Args:
        images: Image files, or folders of them (default: samples of the data).
        num_images: The first so many images (default: all of --images, or 8 samples, the first of
            each class in turn).
        part: The part of the data that is drawn.
    """

    images: list[str] | None = None
    num_images: int | None = None
    part: Literal["test", "val", "train"] = "test"

    def __post_init__(self) -> None:
        """Check the values, and that the images are there."""
        super().__post_init__()
        if self.images:
            image_files(self.images)


@dataclass(frozen=True)
class ActivationOptions(ImageOptions):
    """What the layers of a network make of images.

    Args:
        layers: Layers by name, or by the end of their name (default: the first 8).
    """

    layers: list[str] | None = field(default=None, metadata={"also": "layer"})


@dataclass(frozen=True)
class HeatmapOptions(ImageOptions):
    """Where in images a network sees a class.

    Args:
        layer: The layer whose map is drawn (default: the last map of features).
        class_name: Name or number of the class to look for (default: the predicted one).
    """

    layer: str | None = None
    class_name: str | None = field(default=None, metadata={"option": "class"})


@dataclass(frozen=True)
class FilterOptions(LayerOptions):
    """The pattern that each filter of a layer answers to most.

    Args:
        layers: Layers by name, or by the end of their name (default: 4, from the first to the last
            convolution).
        filters: Numbers of filters, from 0.
        num_filters: The first so many filters of each layer (default: 64).
        size: Side of each pattern in pixels (default: of the images the model was trained on; 64
            for a backbone).
        steps: Steps of gradient ascent.
    """

    layers: list[str] | None = field(default=None, metadata={"also": "layer"})
    filters: list[int] | None = None
    num_filters: int | None = None
    size: int | None = None
    steps: int = 40

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        if self.filters and self.num_filters:
            raise InputError("give --filters, or --num_filters, not both.")


@dataclass(frozen=True)
class EmbeddingOptions(NetworkOptions):
    """Rows by their last hidden features, in two dimensions, and clusters.

    Args:
        num_rows: At most so many rows, drawn by the seed.
        method: Two principal components, or t-SNE, which keeps neighbours together.
        part: The part of the data that is drawn.
    """

    num_rows: int = 2000
    method: Method = "pca"
    part: Literal["test", "val", "train"] = "test"
