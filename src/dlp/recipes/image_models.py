"""Load image networks that can be visualised, from a run or from torchvision, and their images."""

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
    """Trained network that maps images in [0, 1] to logits.

    Args:
        name: Name of the network in titles.
        folder: Folder in which the figures are written.
        network: Network. It is moved to the GPU if there is one.
        predict: Function from logits on the CPU to probabilities (N, C) or values (N, T).
        encoder: Encoder that reads images for the network.
        output_names: Names of the classes or values.
        data: Data that the network was trained on. None for a published network.
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
        """Return images (C, H, W) in [0, 1], keyed by the names of their figures.

        Args:
            path: Image, or folder of images. None takes images from the last labelled part of the
                data, which is the test part if there is one.
            count: Largest number of images. The first ones are taken.
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
            raise InputError(
                f"{self.name} was not trained by dlp, so there is no data set to take images "
                "from. Give a file or a folder with --images."
            )
        part: Any = list(self.data.labelled_parts())[-1]
        loader: Any = self.data.loader(part)
        titles = target_titles(self.data, loader.targets[:count])
        names = [f"{part}_{row}_{title}".replace("/", "_") for row, title in enumerate(titles)]
        return dict(zip(names, loader.inputs[torch.arange(len(names))], strict=True))

    @torch.no_grad()
    def scores(self, image: Tensor) -> Tensor:
        """Return the probabilities or values that are predicted for an image (C, H, W)."""
        logits = forward(self.network, image[None]).cpu()  # the head is on the CPU
        return self.predict(logits)[0].float()


def load_image_model(name: str) -> ImageModel:
    """Load the network of a run, or a published network from torchvision.

    Args:
        name: Folder of a run, checkpoint, name of a config with a run, or name of a network in
            torchvision.
    """
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
    """Return the values for logits, or the probabilities, with the calibration of the module."""
    return module.outputs(logits)[module.head.prediction]


def _published(name: str) -> ImageModel:
    """Return a network from torchvision that takes images in [0, 1] and normalises them itself."""
    from torchvision import models, transforms

    published = models.list_models(models)  # without detection and segmentation networks
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
    """Return probabilities (N, C). A single logit is the logit of class 1 in a binary problem."""
    logits = logits.reshape(len(logits), -1)
    if logits.shape[1] == 1:
        logits = F.pad(logits, (1, 0))
    return logits.softmax(1)


def target_titles(data: SupervisedDataModule, targets: Tensor) -> list[str]:
    """Return the class, the labels or the values of each encoded target as text."""
    if data.class_names is None:
        return list(map(str, targets.numpy()))
    return data.targets.decode(targets.numpy())


def image_encoder(data: SupervisedDataModule) -> ImageEncoder:
    """Return the encoder that reads images for the data.

    Raises:
        InputError: If the rows of the data are not images.
    """
    shape: Any = data.input_shape
    if len(shape) != 3:
        raise InputError(
            f"visualize: expected images (C, H, W), got a {type(data).__name__} whose rows have "
            f"the shape {tuple(shape)}. Give a run that was trained on images."
        )
    if isinstance(data.encoder, ImageEncoder):
        return data.encoder
    channels, height, width = shape
    return ImageEncoder(height, width, channels=channels)
