"""The options of each kind of ``dlp visualize``."""

from collections.abc import Callable
from typing import Any, Literal

from dlp.commands.visualize.images import image_files
from dlp.errors import InputError

#: Images that are drawn where none are given.
SAMPLES = 8


def add_options(parser: Any, kind: str) -> None:
    """Add the options of one kind of drawing."""
    add = parser.add_argument
    takes_images = kind in ("activations", "heatmap")
    add(
        "--backbone",
        type=str | None,
        default=None,
        help="One of torchvision's networks instead of a trained one: vgg16, mobilenet_v2 ...",
    )
    add(
        "--weights",
        type=str | None,
        default="DEFAULT",
        help="Of the backbone: a torchvision name, the path of a state dict with or without "
        "classifier, or null for random ones.",
    )
    if takes_images:
        add(
            "--images",
            type=str,
            nargs="+",
            default=None,
            help="Image files, or folders of them (default: samples of the data).",
        )
        add(
            "--num_images",
            type=int | None,
            default=None,
            help=f"The first so many images (default: all of --images, or {SAMPLES} samples, "
            "the first of each class in turn).",
        )
    if kind in ("activations", "filters"):
        default = (
            "the first 8" if kind == "activations" else "4, from the first to the last convolution"
        )
        add(
            *("--layers", "--layer"),
            type=str,
            nargs="+",
            default=None,
            help=f"Layers by name, or by the end of their name (default: {default}).",
        )
    if kind == "heatmap":
        add(
            "--layer",
            type=str | None,
            default=None,
            help="The layer whose map is drawn (default: the last map of features).",
        )
        add(
            "--class",
            type=str | None,
            default=None,
            help="Name or number of the class to look for (default: the predicted one).",
        )
    if kind == "filters":
        add("--filters", type=int, nargs="+", default=None, help="Numbers of filters, from 0.")
        add(
            "--num_filters",
            type=int | None,
            default=None,
            help="The first so many filters of each layer (default: 64).",
        )
        add(
            "--size",
            type=int | None,
            default=None,
            help="Side of each pattern in pixels (default: of the images the model was trained "
            "on; 64 for a backbone).",
        )
        add("--steps", type=int, default=40, help="Steps of gradient ascent.")
    if kind == "embedding":
        add("--num_rows", type=int, default=2000, help="At most so many rows, drawn by the seed.")
        add(
            "--method",
            type=Literal["pca", "tsne"],
            default="pca",
            help="Two principal components, or t-SNE, which keeps neighbours together.",
        )
    else:
        add("--list_layers", action="store_true", help="Print all layers; draw nothing.")
    if kind != "filters":
        add(
            "--part",
            type=Literal["test", "val", "train"],
            default="test",
            help="The part of the data that is drawn.",
        )


_LEAST = {"num_images": 1, "num_filters": 1, "size": 1, "steps": 0, "num_rows": 3}


def check_options(kind: str, value: Callable[[str], Any]) -> None:
    """Raise `InputError` for what no network could draw."""
    for name, least in _LEAST.items():
        given = value(name)
        if given is not None and given < least:
            raise InputError(f"{name} must be {least} or more, got {given}.")
    if value("filters") and value("num_filters"):
        raise InputError("give --filters, or --num_filters, not both.")
    if value("backbone") is None and value("weights") != "DEFAULT":
        raise InputError("--weights goes with --backbone NAME: a checkpoint has its weights.")
    if images := value("images"):
        image_files(images)
