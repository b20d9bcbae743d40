"""Feature extraction made fast: the output of the frozen stages is computed once per image."""

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
    """Features of distinct images (M, ...), and the index of each row in them, (N,)."""

    values: Tensor
    places: Tensor
    depth: int

    def __len__(self) -> int:
        return len(self.places)

    def select(self, index: Tensor) -> StoredFeatures:
        """Return a batch."""
        return StoredFeatures(self.values[self.places[index]], self.depth)


class CacheFeatures(Callback):
    """Training on the stored output of the frozen stages of a `PretrainedModule`.

    The cut is before the first stage that is ever trained, by `trainable_stages` or an `Unfreeze`;
    if none is, after the pooling. With augmentation only the validation part is stored. The
    features are kept in the cache folder for other runs and folds; data without
    `Examples.hashes` trains on images. The checkpoint is the whole model; test and prediction run
    on images.

    Args:
        batch_size: Number of images per batch while features are computed.
    """

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size
        self._undo = ExitStack()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace images by features, from the cache folder or computed."""
        data = data_of(trainer)
        if data is None or not isinstance(pl_module, PretrainedModule):
            raise InputError(
                "CacheFeatures needs a PretrainedModule and a DataModule of the project; take it "
                "out of trainer.callbacks, or give datamodule=data to trainer.fit."
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
        is_trial = getattr(trainer, "fast_dev_run", False)  # few images, no cache
        if is_trial or depth == 0 or not parts or hashes[0] is None:
            return
        # Over both parts together: another fold has the same images.
        distinct, places = np.unique(np.concatenate(hashes), return_index=True)
        device = trainer.strategy.root_device
        settings = (depth, trainer.precision, device.type, data.encoder.state(), torch.__version__)
        name = _file_name(network, distinct, settings)
        stored: Any = [data.inputs(part) for part in parts]

        def write(path: Path) -> None:
            """Write the features of the distinct images."""
            say(f"computing features of {len(places):,} images by {network.backbone.name} once")
            images: ConcatDataset[Tensor] = ConcatDataset(stored)
            plugin = trainer.precision_plugin
            features = []
            for batch in torch.split(torch.from_numpy(places), self.batch_size):
                # Stored rows are indexed by tensors, here of one element.
                pixels = torch.cat([images[place] for place in torch.split(batch, 1)])
                with plugin.forward_context():
                    pixels = plugin.convert_input(pixels.to(device))
                    features.append(network.features(pixels, depth).values.cpu())
            with path.open("wb") as file:  # by name, torch would store the name too
                torch.save(torch.cat(features), file)

        load = partial(torch.load, mmap=True, weights_only=True)
        values = cached_file(name, write, load)
        inputs = data.fit().inputs
        for part, part_hashes, rows in zip(parts, hashes, stored, strict=True):
            index = torch.from_numpy(np.searchsorted(distinct, part_hashes))
            inputs[part] = FeatureRows(values, index, depth)
            self._undo.callback(inputs.__setitem__, part, rows)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: object) -> None:
        """Give the data its images back."""
        self._undo.close()

    # Lightning skips teardown when a fit raises.
    on_exception = teardown  # type: ignore[assignment]  # another name of the last argument


def _file_name(network: PretrainedNet, images: NDArray[np.uint64], settings: object) -> str:
    """Return the name of a file of features, which follows all that they depend on."""
    key = hashlib.blake2b(f"{network.backbone.name} {network.pool} {settings}".encode())
    key.update(images.tobytes())
    for tensor in network.backbone.state_dict().values():
        key.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy())
    return f"features/{key.hexdigest()[:32]}.pt"
