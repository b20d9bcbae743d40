"""Feature extraction made fast: what the frozen part of a network gives is computed once."""

import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xxhash
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from numpy.typing import NDArray
from torch import Tensor

from dlp.cache import only_one
from dlp.callbacks.unfreezing import trainable_at
from dlp.console import image_bar, say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.images.store import StoredImages
from dlp.datamodules.loader import Rows
from dlp.datamodules.splitting.leakage import row_hashes
from dlp.errors import InputError
from dlp.files import cache_dir, save_tensors
from dlp.frozen_features import Features
from dlp.modules.pretrained import PretrainedModule, PretrainedNet

PartOfFit = Literal["train", "val"]
#: From a batch of images to their features, on the CPU.
Give = Callable[[Tensor], Tensor]


class CacheFeatures(Callback):
    """Train on the stored outputs of the frozen stages instead of running them in every epoch.

    For a `PretrainedModule`. With augmentation, which changes the training images in every
    epoch, only the features of the validation part are stored. The cut lies before the first
    stage that is ever trained, by `trainable_stages` or an `Unfreeze`; where none is, after the
    pooling.

    Features are kept in the cache folder by the backbone's weights, scaling and cut, the
    precision and the tensors that the network is given, so that another run or fold finds them
    and no change of any of these does. The checkpoint is the whole model; test and prediction run
    on images.

    Args:
        batch_size: Images at a time.
        cache_gb: The most the features may take, in gigabytes of memory and of the cache folder.
    """

    def __init__(self, batch_size: int = 64, cache_gb: float = 8.0) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}.")
        self.batch_size = batch_size
        self.cache_gb = cache_gb
        self._replaced: list[tuple[SupervisedDataModule, PartOfFit, Rows]] = []
        self._depth = 0
        self._checked_epoch = -1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the features, or find them, and let the batches hold them.

        Raises:
            InputError: The model or the data leave nothing to store, or the features take too
                much room.
        """
        data, network = self._check(trainer, pl_module)
        trained = trainable_at(sys.maxsize, network.backbone, trainer)
        depth = len(network.backbone.stages) - trained + (trained == 0)
        if not isinstance(trainer.strategy, ParallelStrategy):  # there all is trained for a moment
            _check_frozen(network, depth)
        if depth == 0:
            raise InputError(
                "CacheFeatures has nothing to store: every stage of the backbone is trained. Take "
                "it out of trainer.callbacks, or train fewer stages."
            )
        parts: list[PartOfFit] = [] if data.augmentation is not None else ["train"]
        if len(data.examples("val").rows):
            parts.append("val")
        if not parts:
            return
        inputs = {part: data.inputs(part) for part in parts}
        hashes = {part: self._hashes(rows) for part, rows in inputs.items()}
        wanted, first = np.unique(np.concatenate([*hashes.values()]), return_index=True)
        images = _Joined([*inputs.values()], torch.from_numpy(first))
        computed = trainer.precision, trainer.strategy.root_device.type
        key = _key(network, depth, computed, wanted)
        home = None if data.is_trial else cache_dir() / "features" / f"{key}.pt"
        give = partial(_given, trainer, network, depth)
        values = self._compute(give, images) if home is None else self._kept(give, images, home)
        self._depth = depth
        for part, rows in inputs.items():
            self._replaced.append((data, part, rows))
            places = torch.from_numpy(np.searchsorted(wanted, hashes[part]))
            data.replace_inputs(part, FeatureRows(values, places, depth))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Check, when all have begun the epoch, that nothing is trained whose output is stored.

        Raises:
            InputError: A stage before the cut is: its steps would change nothing.
        """
        if self._replaced and trainer.current_epoch != self._checked_epoch:
            assert isinstance(pl_module, PretrainedModule)
            _check_frozen(pl_module.network, self._depth)
            self._checked_epoch = trainer.current_epoch

    def _give_back(self, *_: Any, **__: Any) -> None:
        """Give the data its images back."""
        self._checked_epoch = -1
        for data, part, rows in self._replaced:
            data.replace_inputs(part, rows)
        self._replaced.clear()

    teardown = on_exception = _give_back  # Lightning tears nothing down where a fit is broken off

    def _check(
        self, trainer: Trainer, module: LightningModule
    ) -> tuple[SupervisedDataModule, PretrainedNet]:
        if not isinstance(module, PretrainedModule):
            raise InputError(
                f"CacheFeatures goes with PretrainedModule; the model is {type(module).__name__}."
            )
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, SupervisedDataModule):
            raise InputError(
                "CacheFeatures needs one of the project's DataModules: trainer.fit(model, "
                "datamodule=...). For arrays use ArrayDataModule."
            )
        for hook in ("forward", "on_before_batch_transfer", "on_after_batch_transfer"):
            for owner, base in ((module, PretrainedModule), (data, SupervisedDataModule)):
                if hasattr(base, hook) and is_overridden(hook, owner, base):
                    raise InputError(
                        f"{type(owner).__name__}.{hook} may change what the network is given, and "
                        "CacheFeatures would hand it stored features: do that in the DataModule's "
                        "encode, or take CacheFeatures out of the callbacks."
                    )
        return data, module.network

    def _hashes(self, rows: Rows) -> NDArray[np.uint64]:
        """Return one number a row, equal for equal inputs of the network.

        Images were hashed when they were decoded: where all features are there, none is read.
        """
        if isinstance(rows, StoredImages) and (known := rows.hashes) is not None:
            return known
        batches = torch.split(torch.arange(len(rows)), self.batch_size)
        return np.concatenate([row_hashes(rows[index].numpy()) for index in batches])

    def _kept(self, give: Give, images: Rows, home: Path) -> Tensor:
        """Return the features of each image, (N, ...), from the cache if they are there."""
        with ExitStack() as stack:
            with suppress(OSError):  # a cache that cannot be written may still be read
                stack.enter_context(only_one(home))
            values = _load(home, len(images))
            if values is not None:
                if _agree(give, images, values):
                    return values
                say(f"the stored features {home} are of another network; they are computed again")
            values = self._compute(give, images)
            try:
                save_tensors(values, home)
            except OSError as error:
                why = f"cannot write the cache {home} ({error.strerror})"
                say(f"{why}: the features stay in memory")
            mapped = _load(home, len(images))  # what memory is short of need not be in it
            return values if mapped is None else mapped

    def _compute(self, give: Give, images: Rows) -> Tensor:
        batches = torch.split(torch.arange(len(images)), self.batch_size)
        title = "computing features"
        stored: Tensor | None = None
        for index in image_bar(batches, title, "batch", len(batches), len(images)):
            values = give(images[index])
            if stored is None:
                stored = self._room(values, len(images))
            stored[index] = values
        assert stored is not None
        return stored

    def _room(self, values: Tensor, count: int) -> Tensor:
        """Return an empty tensor for `count` rows like those of `values`."""
        size = values[0].numel() * values.element_size() * count / 1e9
        if size > self.cache_gb:
            raise InputError(
                f"the features of {count:,} images, each {tuple(values.shape[1:])}, would take "
                f"{size:.1f} GB; cache_gb allows {self.cache_gb}. Allow more, train fewer stages "
                "(the cut then lies deeper), or take CacheFeatures out of trainer.callbacks."
            )
        return torch.empty(count, *values.shape[1:], dtype=values.dtype)


@dataclass(frozen=True)
class FeatureRows:
    """Stored features as batches are sliced from them.

    Args:
        values: The features of each distinct image, (M, ...).
        places: Which of them each row has, (N,).
        stage: How many parts of the network gave them.
    """

    values: Tensor
    places: Tensor
    stage: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.places)

    def __getitem__(self, index: Tensor) -> Features:
        """Return the features of the rows `index`."""
        return Features(self.values[self.places[index]], self.stage)


@dataclass(frozen=True)
class _Joined:
    """Chosen rows of several sets, one set after the other."""

    sets: list[Rows]
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        rows, start = self.rows[index], 0
        places, found = [], []
        for inputs in self.sets:
            inside = torch.nonzero((rows >= start) & (rows < start + len(inputs))).flatten()
            if len(inside):
                places.append(inside)
                found.append(inputs[rows[inside] - start])
            start += len(inputs)
        return torch.cat(found)[torch.cat(places).argsort()]


def _given(trainer: Trainer, network: PretrainedNet, depth: int, images: Tensor) -> Tensor:
    """Return what the first `depth` parts give of a batch of images, on the CPU."""
    plugin, device = trainer.precision_plugin, trainer.strategy.root_device
    with plugin.forward_context():
        return network.prefix(plugin.convert_input(images.to(device)), depth).values.cpu()


def _agree(give: Give, images: Rows, values: Tensor) -> bool:
    """Whether stored features are what the network gives of some images.

    The key cannot know of all that a person may do to a network, such as a hook.
    """
    some = torch.linspace(0, len(images) - 1, min(4, len(images))).long()
    given, stored = give(images[some]), values[some]
    if given.shape != stored.shape or given.dtype != stored.dtype:
        return False
    # Other batches and matrix products round otherwise: by far less than this.
    tolerance = max(0.01, torch.finfo(given.dtype).eps ** 0.5) * float(given.abs().max())
    return torch.allclose(given.float(), stored.float(), 0.0, tolerance, equal_nan=True)


def _check_frozen(network: PretrainedNet, depth: int) -> None:
    """Raise `InputError` where one of the first `depth` parts is trained."""
    backbone = network.backbone
    trained = [
        name
        for name, weight in backbone.model.named_parameters()
        if weight.requires_grad and backbone.stage_of(name) < depth
    ]
    if trained:
        stage = backbone.stages[min(backbone.stage_of(name) for name in trained)]
        raise InputError(
            f"CacheFeatures stores what {backbone.name} gives before its trained part, and "
            f"{trained[0]} in stage {stage!r} is trained now: its steps would change nothing. "
            "Unfreeze by trainable_stages or the Unfreeze callback, which the cut heeds, or take "
            "CacheFeatures out of the callbacks."
        )


def _key(
    network: PretrainedNet,
    depth: int,
    computed: tuple[str, str],
    hashes: NDArray[np.uint64],
) -> str:
    """Return a name for all that the features depend on.

    Args:
        network: Of its weights, those before the cut count.
        depth: The cut.
        computed: The precision and the kind of device.
        hashes: One number an image.
    """
    state, backbone = xxhash.xxh3_128(), network.backbone
    for name, tensor in backbone.model.state_dict().items():
        if backbone.stage_of(name) < depth:
            state.update(name.encode())
            state.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    pool = type(network.pool[0]).__name__ if depth > len(backbone.stages) else None
    scaling = backbone.mean.tolist(), backbone.std.tolist()
    # Its description has the layers without weights, which may have been replaced.
    model = repr(backbone.model)
    settings = (backbone.name, model, scaling, depth, pool, computed, torch.__version__)
    state.update(repr(settings).encode())
    state.update(hashes.tobytes())
    return state.hexdigest()


def _load(home: Path, count: int) -> Tensor | None:
    """Return the stored features, mapped into memory; None where there are none whole."""
    if not home.is_file():
        return None
    try:
        values = torch.load(home, mmap=True, weights_only=True)
        if not isinstance(values, Tensor) or len(values) != count:
            raise ValueError("it holds other features")
    except Exception as error:  # torch and pickle fail on a damaged file in many ways
        say(f"the stored features {home} are damaged ({error}); they are computed again")
        return None
    return values
