"""Cache the output of a backbone's frozen stages, so that it is computed once per image."""

import hashlib
import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset

from dlp.callbacks.unfreezing import trained_stages
from dlp.console import say
from dlp.datamodules.base import Part
from dlp.datamodules.batches import StoredRows
from dlp.datamodules.ownership import data_of
from dlp.errors import InputError
from dlp.files import cached_file
from dlp.modules.pretrained import PretrainedModule, PretrainedNet, StoredFeatures


@dataclass(frozen=True)
class FeatureRows(StoredRows):
    """Rows of stored features. Rows with equal images share their features.

    Args:
        values: Features of the distinct images, (M, ...).
        places: Index of each row in `values`, (N,).
        depth: Number of parts of the `PretrainedNet` that computed the features.
    """

    values: Tensor
    places: Tensor
    depth: int

    def __len__(self) -> int:
        return len(self.places)

    def select(self, index: Tensor) -> StoredFeatures:
        """Return the features of the rows with the given indices, (B,)."""
        return StoredFeatures(self.values[self.places[index]], self.depth)


class CacheFeatures(Callback):
    """Train a `PretrainedModule` on the stored output of its frozen stages.

    The stored features are the input of the first stage that is trained at any time in the fit,
    because of `trainable_stages` or an `Unfreeze` callback. If no stage is trained, the output of
    the pooling is stored. With augmentation, only the features of the validation images are stored,
    because the training images differ in each epoch.

    The features are kept in the cache folder, where other runs and folds can reuse them. If the
    data has no `Examples.hashes`, the model is trained on the images as usual. Checkpoints contain
    the whole model, and tests and predictions use the images.

    Args:
        batch_size: Number of images per batch while the features are computed.

    Example::

        trainer = Trainer(max_epochs=30, callbacks=[CacheFeatures()])
    """

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size
        self._undo = ExitStack()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace the images by their features, which are read from the cache folder or computed.

        Raises:
            InputError: If the model is not a `PretrainedModule`, or the data is not a
                `SupervisedDataModule`.
        """
        data = data_of(trainer)
        if data is None or not isinstance(pl_module, PretrainedModule):
            raise InputError(
                "CacheFeatures: expected a PretrainedModule and a SupervisedDataModule, got other "
                "objects. Remove CacheFeatures from trainer.callbacks, or, if the data is missing, "
                "pass datamodule=data to trainer.fit."
            )
        network = pl_module.network
        num_trained = trained_stages(math.inf, network.backbone, trainer)
        depth = network.depth
        if num_trained:
            depth = len(network.backbone.stages) - num_trained
        parts: list[Part] = []
        if data.augmenter(1) is None:
            parts.append("train")
        if data.has("val"):
            parts.append("val")
        hashes: list[Any] = [data.examples(part).hashes for part in parts]
        is_trial = getattr(trainer, "fast_dev_run", False)  # it uses too few images to cache
        if is_trial or depth == 0 or not parts or hashes[0] is None:
            return
        # Both parts are stored in one file, because each fold has the same images in other parts.
        distinct, places = np.unique(np.concatenate(hashes), return_index=True)
        device = trainer.strategy.root_device
        settings = (depth, trainer.precision, device.type, data.encoder.state(), torch.__version__)
        name = _file_name(network, distinct, settings)
        stored: Any = [data.inputs(part) for part in parts]

        def write(path: Path) -> None:
            """Compute the features of the distinct images and write them to a file."""
            say(f"computing features of {len(places):,} images by {network.backbone.name} once")
            images: ConcatDataset[Tensor] = ConcatDataset(stored)
            plugin = trainer.precision_plugin
            features = []
            for batch in torch.split(torch.from_numpy(places), self.batch_size):
                # Stored rows are indexed with tensors, which here have one element.
                pixels = torch.cat([images[place] for place in torch.split(batch, 1)])
                with plugin.forward_context():
                    pixels = plugin.convert_input(pixels.to(device))
                    features.append(network.features(pixels, depth).values.cpu())
            with path.open("wb") as file:  # given a path, torch would store its name in the file
                torch.save(torch.cat(features), file)

        load = partial(torch.load, mmap=True, weights_only=True)
        values = cached_file(name, write, load)
        inputs = data.fit().inputs
        for part, part_hashes, rows in zip(parts, hashes, stored, strict=True):
            index = torch.from_numpy(np.searchsorted(distinct, part_hashes))
            inputs[part] = FeatureRows(values, index, depth)
            self._undo.callback(inputs.__setitem__, part, rows)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: object) -> None:
        """Restore the images in the data."""
        self._undo.close()

    # Lightning skips teardown if a fit raises an exception.
    on_exception = teardown  # type: ignore[assignment]  # the last argument has another name


def _file_name(network: PretrainedNet, images: NDArray[np.uint64], settings: object) -> str:
    """Return the name of a file of features. It depends on everything that influences them.

    Args:
        network: Network that computes the features.
        images: Hashes of the distinct images, (M,).
        settings: Other values that influence the features.
    """
    key = hashlib.blake2b(f"{network.backbone.name} {network.pool} {settings}".encode())
    key.update(images.tobytes())
    for tensor in network.backbone.state_dict().values():
        key.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy())
    return f"features/{key.hexdigest()[:32]}.pt"
