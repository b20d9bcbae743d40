"""Rows as a network represents them: its last hidden features in two dimensions, and clusters."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Literal

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from dlp.errors import InputError, unknown
from dlp.visualization.comparison import COLOURS
from dlp.visualization.undisturbed import undisturbed

Method = Literal["pca", "tsne"]

#: t-SNE of more features than this begins with their first principal components, as is usual.
_TSNE_FEATURES = 50
_PERPLEXITY = 30.0
#: Classes with a colour of their own; of more, the rarer ones are grey.
_CLASSES = 10


def last_hidden(model: nn.Module, batches: Iterable[Any]) -> Tensor:
    """Return what the last dense layer of `model` is given, in evaluation mode.

    Args:
        model: Any network; it is left as it was.
        batches: Inputs as the model takes them, on its device: tensors, or texts as
            `BagOfWords`.

    Returns:
        (N, D), float32, on the CPU. What has places (tokens) is averaged over them.

    Raises:
        InputError: There is no batch, the model calls no ``nn.Linear``, or its only one takes the
            inputs themselves, and those are no tensor.
    """
    given: list[Any] = []
    found: list[Tensor] = []

    def watch(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        given[:] = inputs[:1]

    with undisturbed(model), torch.no_grad(), ExitStack() as stack:
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                handle = layer.register_forward_pre_hook(watch)
                stack.callback(handle.remove)
        for batch in batches:
            given.clear()
            model(batch)
            if not given:
                raise InputError("the model has no dense layer (nn.Linear) that it calls.")
            values = given[0]
            if not isinstance(values, Tensor):
                raise InputError(
                    "the model has no hidden layer: its last one takes the inputs themselves."
                )
            if values.ndim > 2:
                values = values.flatten(1, -2).mean(1)
            found.append(values.detach().float().cpu())
    if not found:
        raise InputError("there are no rows to represent.")
    return torch.cat(found)


def embed(features: Tensor | ArrayLike, method: Method = "pca", seed: int = 0) -> NDArray[Any]:
    """Return points (N, 2) for features (N, D).

    Args:
        features: One row each.
        method: ``pca``, the two directions in which they vary most; ``tsne``, which keeps
            neighbours together and says nothing of distances (van der Maaten and Hinton 2008).
        seed: Of the method; the same seed gives the same points.

    Raises:
        InputError: The method is unknown, there are fewer than three rows, or all are equal.
    """
    if method not in ("pca", "tsne"):
        raise unknown("method", method, ["pca", "tsne"])
    values = _checked(features)
    if len(values) < 3 or not np.ptp(values, axis=0).any():
        what = "only " + str(len(values)) if len(values) < 3 else "all equal"
        raise InputError(f"an embedding takes three rows or more that differ; these are {what}.")
    from sklearn.decomposition import PCA  # costs a second to import

    if values.shape[1] == 1:
        values = np.pad(values, ((0, 0), (0, 1)))
    reducer: Any = PCA(2, random_state=seed)
    if method == "tsne":
        from sklearn.manifold import TSNE

        if values.shape[1] > _TSNE_FEATURES:
            first = PCA(min(_TSNE_FEATURES, len(values)), random_state=seed)
            values = first.fit_transform(values)
        perplexity = min(_PERPLEXITY, (len(values) - 1) / 3)
        reducer = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
    points: NDArray[Any] = reducer.fit_transform(values)
    return points


def cluster_agreement(
    features: Tensor | ArrayLike, labels: ArrayLike, seed: int = 0
) -> dict[str, float]:
    """Return how well k-means clusters of `features`, found without labels, agree with `labels`.

    Args:
        features: (N, D).
        labels: The class of each row, (N,); there are as many clusters as classes among them.
        seed: Of the clusters' first centres.

    Returns:
        ``clusters``; ``adjusted_rand``, 1 for the same groups and about 0 for random ones (Hubert
        and Arabie 1985); ``normalized_mutual_info``, 0 to 1, the mutual information divided by the
        mean of both entropies.

    Raises:
        InputError: There are not as many labels as rows.
    """
    values, classes = _checked(features), np.asarray(labels)
    if classes.shape != (len(values),):
        raise InputError(f"there are {len(values)} rows and labels of shape {classes.shape}.")
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    count = min(len(np.unique(classes)), len(np.unique(values, axis=0)))
    clusters = KMeans(count, n_init=10, random_state=seed).fit_predict(values)
    return {
        "clusters": count,
        "adjusted_rand": float(adjusted_rand_score(classes, clusters)),
        "normalized_mutual_info": float(normalized_mutual_info_score(classes, clusters)),
    }


def embedding_figure(
    points: ArrayLike,
    targets: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "",
    value_name: str = "",
) -> Figure:
    """Return a figure of points, coloured by class or by value.

    Of more than ten classes the nine most frequent have colours.

    Args:
        points: (N, 2).
        targets: (N,): class numbers, or values where there are no `class_names`.
        class_names: The name of each class.
        title: Of the figure.
        value_name: What values are, beside the colour bar.

    Raises:
        InputError: These are no points, or there are not as many targets.
    """
    places = np.asarray(points)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places):
        raise InputError(f"embedding_figure takes points (N, 2), got {places.shape}.")
    values = None if targets is None else np.asarray(targets)
    if values is not None and values.shape != (len(places),):
        raise InputError(f"there are {len(places)} points and targets of shape {values.shape}.")
    figure = Figure(figsize=(7.6, 5.6), layout="constrained")
    axes = figure.subplots()
    size = float(np.clip(9000 / len(places), 7, 40))
    if values is None or class_names is None:
        drawn = axes.scatter(places[:, 0], places[:, 1], s=size, c=values, alpha=0.8, linewidths=0)
        if values is not None:
            bar = figure.colorbar(drawn, ax=axes, label=value_name)
            bar.outline.set_visible(False)
    else:
        colours, handles = _class_colours(values.astype(np.int64), class_names)
        axes.scatter(places[:, 0], places[:, 1], s=size, c=colours, alpha=0.75, linewidths=0)
        legend = figure.legend(handles=handles, loc="outside right upper", frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("first dimension")
    axes.set_ylabel("second dimension")
    if title:
        axes.set_title(title, fontsize=11, parse_math=False)
    return figure


def _class_colours(
    classes: NDArray[np.int64], names: Sequence[str]
) -> tuple[list[str], list[Line2D]]:
    """Return the colour of each row, and what the legend shows."""
    present, counts = np.unique(classes, return_counts=True)
    palette = list(COLOURS)
    if len(present) > len(palette):
        palette = [to_hex(colormaps["tab10"](number)) for number in range(_CLASSES)]
    named = present
    if len(present) > _CLASSES:
        named = np.sort(present[np.argsort(-counts, kind="stable")[: _CLASSES - 1]])
    of = {int(number): palette[place] for place, number in enumerate(named)}
    shown = [(names[number], colour) for number, colour in of.items()]
    if left := len(present) - len(named):
        shown.append((f"{left} others", "0.75"))
    handles = [
        Line2D([], [], linestyle="", marker="o", color=colour, label=name if name else "none")
        for name, colour in shown
    ]
    return [of.get(int(number), "0.75") for number in classes], handles


def _checked(features: Tensor | ArrayLike) -> NDArray[np.float64]:
    given = features.detach().cpu() if isinstance(features, Tensor) else features
    values = np.asarray(given, np.float64)
    if values.ndim != 2 or not values.size:
        raise InputError(f"features are one row (D,) for each of N, (N, D); got {values.shape}.")
    if not np.isfinite(values).all():
        raise InputError("the features hold values that are not finite (NaN or infinity).")
    return values
