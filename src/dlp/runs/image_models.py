"""Image networks to visualise, of a run or of torchvision, and their images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.images.folder import ImageFolderDataModule, find_images
from dlp.datamodules.images.store import ImageFormat, read_image
from dlp.errors import InputError, unknown
from dlp.modules import SupervisedModule
from dlp.modules.pretrained.backbone import published_weights
from dlp.modules.weights import load_weights
from dlp.runs.folder import ROOT, runs_of
from dlp.runs.restoring import restore
from dlp.visualization.layers import model_input


class NamedImage(NamedTuple):
    """Image (C, H, W) in [0, 1], with the start of its figures' names and a title."""

    name: str
    title: str
    pixels: Tensor


@dataclass(frozen=True)
class ImageModel:
    """Trained network from images in [0, 1] to logits.

    Args:
        name: Name in titles.
        folder: Folder of the figures.
        network: Network, which is put on the GPU if there is one.
        predict: Function from logits to probabilities (N, C) or values (N, T).
        image_format: Size and channels of its images.
        names: Names of the classes or values.
        data: Data that it was trained on; None for a published network.
    """

    name: str
    folder: Path
    network: nn.Module
    predict: Callable[[Tensor], Tensor]
    image_format: ImageFormat
    names: Sequence[str]
    data: SupervisedDataModule | None = None

    def __post_init__(self) -> None:
        self.network.eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def images(
        self,
        path: Path | None,
        count: int,
    ) -> list[NamedImage]:
        """Return the first images of a file or folder, or of the data's last labelled part."""
        if path is not None:
            files = find_images(path)[:count]
            root = path if path.is_dir() else path.parent
            return [_read(file, root, self.image_format) for file in files]
        if self.data is None:
            raise InputError(f"{self.name} has no data; give images, a file or a folder.")
        return _data_images(self.data, count)

    @torch.no_grad()
    def scores(self, image: Tensor) -> Tensor:
        """Return the probabilities or values of an image (C, H, W)."""
        logits = self.network(model_input(self.network, image[None]))
        return self.predict(logits)[0].float().cpu()

    def label(
        self,
        scores: Tensor,
        index: int,
    ) -> str:
        """Return the name and the score of a class."""
        return f"{self.names[index]} {scores[index].item():.3f}"


def load_image_model(name: str) -> ImageModel:
    """Return the network of a run, a checkpoint, a config name or torchvision."""
    from torchvision import models

    if runs_of(name) or Path(name).exists():
        return _trained(name)
    published = models.list_models(models)  # without those of detection and segmentation
    if name in published:
        return _published(name)
    runs = sorted({path.parent.name for path in ROOT.glob("*/version_*")})
    raise unknown("run or network of torchvision", name, runs + published)


def _trained(name: str) -> ImageModel:
    run, data, module = restore(name, check_rows=False)
    network: nn.Module = module
    scores = _probabilities
    if isinstance(module, SupervisedModule):
        network = module.network
        scores = module.head.predict
    return ImageModel(
        name=f"{run.folder.resolve().parent.name} {run.folder.name}",
        folder=run.folder / "visualize",
        network=network,
        predict=scores,
        image_format=image_format_of(data),
        names=data.output_names or ["value"],
        data=data,
    )


def _published(name: str) -> ImageModel:
    """Return a network of torchvision; it takes images in [0, 1], which it normalises."""
    from torchvision import models, transforms

    network = models.get_model(name)
    weights = models.get_model_weights(name)["DEFAULT"]
    load_weights(network, published_weights(weights))
    preset = weights.transforms()
    normalise = transforms.Normalize(preset.mean, preset.std)
    network.register_forward_pre_hook(lambda _, inputs: normalise(inputs[0]))
    side = preset.crop_size[0]
    return ImageModel(
        name=name,
        folder=ROOT / name / "visualize",
        network=network,
        predict=_probabilities,
        image_format=ImageFormat(side, side),
        names=weights.meta["categories"],
    )


def _probabilities(logits: Tensor) -> Tensor:
    """Return probabilities (N, C); a single logit is that of class 1 of two."""
    logits = logits.reshape(len(logits), -1)
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    return logits.softmax(1)


def _read(
    file: Path,
    root: Path,
    image_format: ImageFormat,
) -> NamedImage:
    try:
        pixels = read_image(file, image_format)
    except InputError as error:
        raise InputError(f"{file} cannot be read: {error}.") from error
    name = "_".join(file.relative_to(root).with_suffix("").parts)
    return NamedImage(name, file.name, torch.from_numpy(pixels).permute(2, 0, 1) / 255)


def _data_images(
    data: SupervisedDataModule,
    count: int,
) -> list[NamedImage]:
    """Return images of a part: the first of each class, then the second of each, ..."""
    part: Any = list(data.labelled_parts())[-1]
    loader = data.loader(part)
    titles = pd.Series(target_titles(data, loader.targets))
    turns = titles.groupby(titles).cumcount()
    rows = turns.sort_values(kind="stable").index[:count].tolist()
    pixels = loader.inputs[torch.tensor(rows)]
    images = []
    for row, image in zip(rows, pixels, strict=True):
        title = f"{part} row {row} ({titles[row]})"
        images.append(NamedImage(f"{part}_{row}", title, image))
    return images


def target_titles(
    data: SupervisedDataModule,
    targets: Any,
) -> list[str]:
    """Return the class, labels or values of each encoded row as text."""
    encoded = targets.numpy()
    if data.class_names is not None:
        return data.targets.names(encoded)
    rows = encoded.reshape(len(encoded), -1)
    return [", ".join(f"{value:.6g}" for value in row) for row in rows]


def image_format_of(data: SupervisedDataModule) -> ImageFormat:
    """Return the format of the images of some data; other rows are an error."""
    shape = data.input_shape
    if len(shape) != 3:
        raise InputError(f"visualize takes images; {type(data).__name__} has rows {shape}.")
    if isinstance(data, ImageFolderDataModule):
        return data.image_format
    channels, height, width = shape
    return ImageFormat(height, width, channels=3 if channels == 3 else 1)
