"""Image networks to visualise, of a run or of torchvision, and their images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.images.folder import find_images
from dlp.errors import InputError, check_choice, reading
from dlp.modules import SupervisedModule
from dlp.modules.pretrained.families import load_published
from dlp.reader.image import ImageEncoder
from dlp.recipes.restoring import restore
from dlp.runs.places import ROOT, numbered
from dlp.visualization.layers import forward


@dataclass(frozen=True)
class ImageModel:
    """Trained network from images in [0, 1] to logits.

    Args:
        name: Name in titles.
        folder: Folder of the figures.
        network: Network, which is put on the GPU if there is one.
        predict: Function from logits on the CPU to probabilities (N, C) or values (N, T).
        encoder: Encoder of its images.
        output_names: Names of the classes or values.
        data: Data that it was trained on; None for a published network.
    """

    name: str
    folder: Path
    network: nn.Module
    predict: Callable[[Tensor], Tensor]
    encoder: ImageEncoder
    output_names: Sequence[str]
    data: SupervisedDataModule | None = None

    def __post_init__(self) -> None:
        self.network.eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def images(self, path: Path | None, count: int) -> dict[str, Tensor]:
        """Return images (C, H, W) in [0, 1] by the names of their figures.

        They are the first ones of a file or folder, else of the data's last labelled part.
        """
        if path is not None:
            root = path if path.is_dir() else path.parent
            images = {}
            for file in find_images(path)[:count]:
                with reading(file, "an image"):
                    pixels = self.encoder.read_image(file)
                name = "_".join(file.relative_to(root).with_suffix("").parts)
                images[name] = torch.from_numpy(pixels).permute(2, 0, 1) / 255
            return images
        if self.data is None:
            raise InputError(f"{self.name} has no data; give images, a file or a folder.")
        part: Any = list(self.data.labelled_parts())[-1]
        loader: Any = self.data.loader(part)
        titles = target_titles(self.data, loader.targets[:count])
        names = [f"{part}_{row}_{title}".replace("/", "_") for row, title in enumerate(titles)]
        return dict(zip(names, loader.inputs[torch.arange(len(names))], strict=True))

    @torch.no_grad()
    def scores(self, image: Tensor) -> Tensor:
        """Return the probabilities or values of an image (C, H, W)."""
        logits = forward(self.network, image[None]).cpu()  # the head stays on the CPU
        return self.predict(logits)[0].float()


def load_image_model(name: str) -> ImageModel:
    """Return the network of a run, a checkpoint, a config name or torchvision."""
    if not numbered(name) and not Path(name).exists():
        return _published(name)
    run, data, module = restore(name, check_rows=False)
    network: nn.Module = module
    scores = _probabilities
    if isinstance(module, SupervisedModule):
        network = module.network
        scores = partial(_answered, module)
    return ImageModel(
        name=f"{run.folder.resolve().parent.name} {run.folder.name}",
        folder=run.folder / "visualize",
        network=network,
        predict=scores,
        encoder=image_encoder(data),
        output_names=data.output_names or ["value"],
        data=data,
    )


def _answered(module: SupervisedModule, logits: Tensor) -> Tensor:
    """Return the probabilities of logits, after a calibration if there is one, or the values."""
    return module.outputs(logits)[module.head.prediction]


def _published(name: str) -> ImageModel:
    """Return a network of torchvision; it takes images in [0, 1], which it normalises."""
    from torchvision import models, transforms

    published = models.list_models(models)  # without those of detection and segmentation
    runs = {path.parent.name for path in ROOT.glob("*/version_*")}
    check_choice("run or network of torchvision", name, sorted(runs) + published)
    network = models.get_model(name)
    weights = models.get_model_weights(name)["DEFAULT"]
    load_published(network, weights)
    preset = weights.transforms()
    normalise = transforms.Normalize(preset.mean, preset.std)
    network.register_forward_pre_hook(lambda _, inputs: normalise(inputs[0]))
    side = preset.crop_size[0]
    return ImageModel(
        name=name,
        folder=ROOT / name / "visualize",
        network=network,
        predict=_probabilities,
        encoder=ImageEncoder(side, side),
        output_names=weights.meta["categories"],
    )


def _probabilities(logits: Tensor) -> Tensor:
    """Return probabilities (N, C); a single logit is that of class 1 of two."""
    logits = logits.reshape(len(logits), -1)
    if logits.shape[1] == 1:
        logits = F.pad(logits, (1, 0))
    return logits.softmax(1)


def target_titles(data: SupervisedDataModule, targets: Tensor) -> list[str]:
    """Return the class, labels or values of each encoded row as text."""
    if data.class_names is None:
        return list(map(str, targets.numpy()))
    return data.targets.decode(targets.numpy())


def image_encoder(data: SupervisedDataModule) -> ImageEncoder:
    """Return the encoder of the images of some data; other rows are an error."""
    shape: Any = data.input_shape
    if len(shape) != 3:
        raise InputError(f"visualize takes images; {type(data).__name__} has rows {shape}.")
    if isinstance(data.encoder, ImageEncoder):
        return data.encoder
    channels, height, width = shape
    return ImageEncoder(height, width, channels=channels)
