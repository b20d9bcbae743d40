"""Networks that ``dlp visualize`` looks at: those of runs, and torchvision's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dlp.commands.images import (
    LabelledPart,
    NamedImage,
    image_format,
    part_images,
    read_images,
)
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.images.store import ImageFormat
from dlp.errors import InputError, suggestion, unknown
from dlp.lightning_cli import load
from dlp.modules import SupervisedModule
from dlp.restoring import read_checkpoint, restore_data
from dlp.runs import ROOT, find_checkpoint, run_of, runs_of
from dlp.visualization.layers import evaluating, model_input


@dataclass(frozen=True)
class Subject:
    """Network to look at.

    Args:
        network: Network from images in [0, 1] to logits.
        name: Name in titles.
        folder: Folder of its figures.
        form: Format of the images.
        predict: Function from logits to probabilities (N, C) or values (N, T); None for a network
            without a classifier.
        class_names: Names of the classes or labels.
        data: Data that it was trained on.
    """

    network: nn.Module
    name: str
    folder: Path
    form: ImageFormat
    predict: Callable[[Tensor], Tensor] | None = None
    class_names: Sequence[str] | None = None
    data: SupervisedDataModule | None = None

    def images(self, path: Path | None, part: LabelledPart, count: int) -> list[NamedImage]:
        """Return the images of a path, or of a part of the data."""
        if path is not None:
            return read_images(path, count, self.form)
        if self.data is None:
            raise InputError(f"{self.name} has no data; give images, a file or a folder.")
        return part_images(self.data, part, count)

    def scores(self, image: Tensor) -> Tensor:
        """Return the probabilities or values of an image (C, H, W)."""
        assert self.predict is not None
        with evaluating(self.network), torch.no_grad():
            logits = self.network(model_input(self.network, image[None]))
            return self.predict(logits)[0].float().cpu()

    def words(self, scores: Tensor, number: int) -> str:
        """Return the name and the score of a class."""
        name = number if self.class_names is None else self.class_names[number]
        return f"{name} {scores[number].item():.3f}"

    def number(self, class_name: str) -> int:
        """Return the number of a class by its name or number."""
        names = list(self.class_names or ())
        if class_name in names:
            return names.index(class_name)
        if class_name.isdecimal():
            return int(class_name)
        raise InputError(
            f"unknown class {class_name!r}.{suggestion(class_name, names)} Give one of "
            f"{', '.join(names[:20])} or a number."
        )


def find_subject(model: str, weights: str | None) -> Subject:
    """Return the network of a run, a checkpoint, a config name or torchvision.

    Raises:
        InputError: If there is no such network.
    """
    from torchvision import models

    published = models.list_models(models)  # without those of detection and segmentation
    if runs_of(model):
        return _trained(find_checkpoint(None, model))
    if Path(model).exists():
        return _trained(find_checkpoint(model, ""))
    if model in published:
        return _published(model, weights)
    runs = sorted({path.parent.name for path in ROOT.glob("*/version_*")})
    raise unknown("run or network of torchvision", model, [*runs, *published])


def _trained(checkpoint: Path) -> Subject:
    run = run_of(checkpoint)
    if run is None:
        raise InputError(f"{checkpoint} is not in the folder of a run, which has its config.")
    content = read_checkpoint(checkpoint)
    say(f"using {checkpoint}")
    has_backbone = "weights" in content.get("hyper_parameters", {})  # they are in the checkpoint
    recipe = load(str(run.config), **({"model.weights": None} if has_backbone else {}))
    data = recipe.data()
    restore_data(data, content, checkpoint)
    form, module = image_format(data), recipe.model(data)
    module.load_state_dict(content["state_dict"])
    network: nn.Module = module
    predict = _probabilities
    if isinstance(module, SupervisedModule):
        network, predict = module.network, module.head.predict
    return Subject(
        network=_on_device(network),
        name=f"{recipe.name} {run.folder.name}",
        folder=run.folder / "visualize",
        form=form,
        predict=predict,
        class_names=data.class_names,
        data=data,
    )


def _published(name: str, weights: str | None) -> Subject:
    """Return a network of torchvision; it takes images in [0, 1], which it normalises."""
    from torchvision import models, transforms

    choices = models.get_model_weights(name)
    is_path = weights is not None and Path(weights).is_file()
    if weights is not None and not is_path and weights not in choices.__members__:
        raise unknown("weights", weights, [*choices.__members__, "the path of a state dict"])
    entry = choices["DEFAULT" if is_path or weights is None else weights]
    try:
        network = models.get_model(name, weights=None if is_path or weights is None else entry)
    except OSError as error:
        raise InputError(
            f"the weights of {name} cannot be downloaded ({error}). Give the path of a state dict "
            "as weights."
        ) from error
    absent: list[str] = []
    if is_path:
        tensors = torch.load(str(weights), map_location="cpu", weights_only=True)
        absent, unexpected = network.load_state_dict(tensors, strict=False)
        if unexpected or len(absent) > len(tensors) / 2:
            raise InputError(f"{weights} has the weights of another network than {name}.")
    preset = entry.transforms()
    normalise = transforms.Normalize(preset.mean, preset.std)
    network.register_forward_pre_hook(lambda _, inputs: normalise(inputs[0]))
    return Subject(
        network=_on_device(network),
        name=name,
        folder=ROOT / name / "visualize",
        form=ImageFormat(preset.crop_size[0], preset.crop_size[0]),
        predict=None if absent else _probabilities,
        class_names=entry.meta["categories"],
    )


def _probabilities(logits: Tensor) -> Tensor:
    if logits.shape[1:] in ((), (1,)):
        positive = logits.reshape(-1, 1).sigmoid()
        return torch.cat([1 - positive, positive], dim=1)
    return logits.softmax(1)


def _on_device(network: nn.Module) -> nn.Module:
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu")
