"""Networks that ``dlp visualize`` looks at, and the images that they are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor, nn

from dlp.console import say
from dlp.datamodules.base import Part, SupervisedDataModule
from dlp.datamodules.images.folder import ImageFolderDataModule, find_images
from dlp.datamodules.images.store import ImageFormat, read_image
from dlp.errors import InputError, unknown
from dlp.lightning_cli.dlp_cli import load
from dlp.modules import SupervisedModule
from dlp.modules.pretrained.backbone import published_weights
from dlp.modules.weights import load_weights, read_file
from dlp.runs.folder import ROOT, Run, checkpoint_of, run_of, runs_of
from dlp.runs.restoring import restore_data
from dlp.visualization.layers import evaluating, model_input


@dataclass(frozen=True)
class NamedImage:
    """Image (C, H, W) in [0, 1], with the start of its figures' names and a title."""

    name: str
    title: str
    pixels: Tensor


@dataclass(frozen=True)
class Subject:
    """Network to look at, from images in [0, 1] to logits, with the folder of its figures.

    `predict` turns logits into probabilities (N, C) or values (N, T).
    """

    network: nn.Module
    name: str
    folder: Path
    form: ImageFormat
    predict: Callable[[Tensor], Tensor]
    class_names: Sequence[str] | None = None
    data: SupervisedDataModule | None = None

    def __post_init__(self) -> None:
        self.network.eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def images(self, path: Path | None, count: int) -> list[NamedImage]:
        """Return the first images of a file or folder, or of the data's last labelled part."""
        if path is not None:
            return [_read(file, path, self.form) for file in find_images(path)[:count]]
        if self.data is None:
            raise InputError(f"{self.name} has no data; give images, a file or a folder.")
        return _data_images(self.data, count)

    def scores(self, image: Tensor) -> Tensor:
        """Return the probabilities or values of an image (C, H, W)."""
        with evaluating(self.network), torch.no_grad():
            logits = self.network(model_input(self.network, image[None]))
            return self.predict(logits)[0].float().cpu()

    def words(self, scores: Tensor, number: int) -> str:
        """Return the name and the score of a class."""
        name = number if self.class_names is None else self.class_names[number]
        return f"{name} {scores[number].item():.3f}"

    def number(self, class_name: str) -> int:
        """Return the number of a class."""
        names = list(self.class_names or ())
        if class_name not in names:
            raise unknown("class", class_name, names)
        return names.index(class_name)


def find_subject(model: str) -> Subject:
    """Return the network of a run, a checkpoint, a config name or torchvision."""
    from torchvision import models

    if runs_of(model) or Path(model).exists():
        return _trained(model)
    published = models.list_models(models)  # without those of detection and segmentation
    if model in published:
        return _published(model)
    runs = sorted({path.parent.name for path in ROOT.glob("*/version_*")})
    raise unknown("run or network of torchvision", model, [*runs, *published])


def restore(model: str) -> tuple[Run, SupervisedDataModule, LightningModule]:
    """Return the run, data and module of a config name, a run folder or a checkpoint.

    The weights are those of the checkpoint, and the rows those that it was trained on.
    """
    checkpoint = checkpoint_of(model)
    run = run_of(checkpoint)
    if run is None:
        raise InputError(f"{checkpoint} is not in the folder of a run, which has its config.")
    say(f"using {checkpoint}")
    content = read_file(checkpoint, "state_dict")
    has_backbone = "weights" in content.get("hyper_parameters", {})  # they are in the checkpoint
    recipe = load(str(run.config), **({"model.weights": None} if has_backbone else {}))
    data = recipe.data()
    restore_data(data, content, checkpoint)
    module = recipe.model(data)
    module.load_state_dict(content["state_dict"])
    return run, data, module.eval()


def _trained(model: str) -> Subject:
    run, data, module = restore(model)
    network: nn.Module = module
    predict = _probabilities
    if isinstance(module, SupervisedModule):
        network, predict = module.network, module.head.predict
    return Subject(
        network=network,
        name=f"{run.folder.resolve().parent.name} {run.folder.name}",
        folder=run.folder / "visualize",
        form=image_format(data),
        predict=predict,
        class_names=data.class_names,
        data=data,
    )


def _published(name: str) -> Subject:
    """Return a network of torchvision; it takes images in [0, 1], which it normalises."""
    from torchvision import models, transforms

    network, entry = models.get_model(name), models.get_model_weights(name)["DEFAULT"]
    load_weights(network, published_weights(entry))
    preset = entry.transforms()
    normalise = transforms.Normalize(preset.mean, preset.std)
    network.register_forward_pre_hook(lambda _, inputs: normalise(inputs[0]))
    return Subject(
        network=network,
        name=name,
        folder=ROOT / name / "visualize",
        form=ImageFormat(preset.crop_size[0], preset.crop_size[0]),
        predict=_probabilities,
        class_names=entry.meta["categories"],
    )


def _probabilities(logits: Tensor) -> Tensor:
    if logits.shape[1:] in ((), (1,)):
        positive = logits.reshape(-1, 1).sigmoid()
        return torch.cat([1 - positive, positive], dim=1)
    return logits.softmax(1)


def _read(file: Path, root: Path, form: ImageFormat) -> NamedImage:
    try:
        pixels = read_image(file, form)
    except InputError as error:
        raise InputError(f"{file} cannot be read: {error}.") from error
    name = file.stem if file == root else "_".join(file.relative_to(root).with_suffix("").parts)
    return NamedImage(name, file.name, torch.from_numpy(pixels).permute(2, 0, 1) / 255)


def _data_images(data: SupervisedDataModule, count: int) -> list[NamedImage]:
    """Return images of a part: the first of each class, then the second of each, ..."""
    import pandas as pd

    parts: list[Part] = ["test", "val", "train"]
    part = next(part for part in parts if data.has(part))
    titles = target_titles(data, data.examples(part).targets)
    classes = pd.Series(titles if data.class_names else [""] * len(titles))
    turns = classes.groupby(classes).cumcount()
    rows = np.argsort(turns.to_numpy(), kind="stable")[:count]
    images: Any = data.inputs(part)[torch.from_numpy(rows)]
    return [
        NamedImage(f"{part}_{row}", f"{part} row {row} ({titles[row]})", image)
        for row, image in zip(rows, images, strict=True)
    ]


def target_titles(data: SupervisedDataModule, targets: Any) -> list[str]:
    """Return the class, labels or values of each row in words."""
    encoded = data.targets.encode(targets)
    if data.class_names is None:
        return [", ".join(f"{value:.4g}" for value in np.atleast_1d(row)) for row in encoded]
    return data.targets.names(encoded)


def image_format(data: SupervisedDataModule) -> ImageFormat:
    """Return the format of the images of some data; other rows are an error."""
    shape = data.input_shape
    if len(shape) != 3:
        raise InputError(f"visualize takes images; {type(data).__name__} has rows {shape}.")
    if isinstance(data, ImageFolderDataModule):
        return data.image_format
    return ImageFormat(shape[1], shape[2], channels=3 if shape[0] == 3 else 1)
