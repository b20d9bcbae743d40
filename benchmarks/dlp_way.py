"""What against_keras.py asks of dlp besides its commands: data for the others, passes over files.

    python benchmarks/dlp_way.py export '{"network": "imdb", ...}' STEPS --config imdb
    python benchmarks/dlp_way.py passes '{"network": "cats_dogs", "kind": "input", ...}'

``export`` begins the fit of a recipe and writes, into the job's folder, the rows that it trains and
validates on, its first weights in Keras's layout, its first batches and the loss of each.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from jobs import Job
from torch import Tensor, nn

from dlp.bag_of_words import BagOfWords
from dlp.cli import keep_freed_memory
from dlp.commands.building import working
from dlp.datamodules import CatsVsDogsDataModule, ImageFolderDataModule, SupervisedDataModule
from dlp.recipe import Recipe

#: Rows that are turned into numbers at a time.
ROWS = 500


def save_inputs(folder: Path, name: str, inputs: Any, exact: bool = True) -> None:
    """Write a batch: images (N, H, W, C), in bytes if `exact`; texts as ids and their ends."""
    if isinstance(inputs, BagOfWords):
        np.save(folder / f"{name}_ids.npy", inputs.ids.numpy())
        np.save(folder / f"{name}_ends.npy", np.append(inputs.offsets.numpy(), len(inputs.ids)))
        return
    values = (inputs if isinstance(inputs, Tensor) else inputs.values.flatten(1)).float()
    if values.ndim == 4:
        values = values.permute(0, 2, 3, 1)
        if exact:
            number = (values * 255).round()
            assert torch.allclose(number / 255, values, atol=1e-6), "the images are no bytes"
            values = number.to(torch.uint8)
    np.save(folder / f"{name}.npy", values.contiguous().numpy())


def save_part(folder: Path, data: SupervisedDataModule, part: Any) -> None:
    """Write the rows of a part, as they are before augmentation, with their targets."""
    loader = data.loader(part)
    rows, targets = loader.inputs, loader.targets
    assert targets is not None
    pieces = [rows[index] for index in torch.split(torch.arange(len(rows)), ROWS)]
    if isinstance(pieces[0], BagOfWords):
        save_inputs(folder, part, rows[torch.arange(len(rows))])
    elif isinstance(pieces[0], Tensor):
        save_inputs(folder, part, torch.cat(pieces), exact=pieces[0].ndim == 4)
    else:
        save_inputs(folder, part, type(pieces[0])(torch.cat([one.values for one in pieces]), 0))
    np.save(folder / f"{part}_targets.npy", targets.numpy())


def save_weights(folder: Path, network: nn.Module) -> None:
    """Write kernels and biases as Keras has them: (H, W, in, out) and (in, out)."""
    channels, number = 0, 0
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            kernel, channels = layer.weight.permute(2, 3, 1, 0), layer.out_channels
        elif isinstance(layer, nn.Linear):
            kernel = layer.weight.T
            if channels:  # the first one after convolutions: torch flattens (C, H, W)
                side = int((layer.in_features / channels) ** 0.5)
                kernel = layer.weight.reshape(-1, channels, side, side).permute(2, 3, 1, 0)
                kernel, channels = kernel.reshape(layer.in_features, -1), 0
        else:
            continue
        assert layer.bias is not None
        for value in (kernel, layer.bias):
            np.save(folder / f"{number:03d}.npy", value.detach().contiguous().numpy())
            number += 1


class Recorder(lightning.Callback):
    """Writes what a fit begins with: rows, weights, batches and losses."""

    def __init__(self, job: Job) -> None:
        self.job, self.folder = job, Path(job.folder)
        self.losses: list[float] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Write the data and the first weights."""
        data, network = trainer.datamodule, pl_module.network
        for part in ("train", "val") if len(data.examples("val").rows) else ("train",):
            save_part(self.folder, data, part)
        (self.folder / "weights").mkdir(exist_ok=True)
        backbone = getattr(network, "backbone", None)
        head_alone = self.job.network == "vgg16_head"
        save_weights(self.folder / "weights", network.classifier if head_alone else network)
        if backbone is not None and not head_alone:
            for name in ("mean", "std"):
                np.save(self.folder / f"{name}.npy", getattr(backbone, name).float().numpy())

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a batch, and what a frozen base gives of the first."""
        name = f"batch{len(self.losses):03d}"
        save_inputs(self.folder, name, batch[0], exact=False)
        np.save(self.folder / f"{name}_targets.npy", batch[1].numpy())
        if self.job.kind == "features":
            with trainer.precision_plugin.forward_context(), torch.no_grad():
                maps = pl_module.network.backbone(batch[0]).float()
            np.save(self.folder / "features.npy", maps.permute(0, 2, 3, 1).flatten(1).numpy())

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Keep the loss."""
        self.losses.append(float(outputs["loss"]))


def export(job: Job, steps: int, words: list[str]) -> dict[str, Any]:
    """Write data, weights and batches; return the losses of the first steps."""
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if job.kind == "input":
        return {"files": write_jpegs(folder / "jpegs", words)}
    recipe = Recipe.parse(words)
    if job.network == "vgg16":  # the images themselves
        recipe = recipe.with_keys({"trainer.callbacks": []})
    if job.dropout:  # each library draws its own
        recipe = recipe.with_keys({"model.init_args.dropout": 0.0})
    with working(recipe):
        data = recipe.data()
        model, recorder = recipe.model(data), Recorder(job)
        quiet: dict[str, Any] = {"logger": False, "limit_val_batches": 0}
        quiet |= {"enable_checkpointing": False}
        trainer = recipe.trainer([recorder], max_steps=steps, max_epochs=-1, **quiet)
        trainer.fit(model, datamodule=data)
    return {"losses": recorder.losses}


def write_jpegs(folder: Path, words: list[str]) -> int:
    """Write the book's training images as JPEG files, a subfolder a class; return their number."""
    data = CatsVsDogsDataModule(**json.loads(words[0] if words else "{}"))
    source, _ = data._images()
    wanted, count = {Path(name).name for name in data.examples("train").names or []}, 0
    for number, path in enumerate(source.names):
        name = Path(path).name
        if name in wanted:
            place = folder / name.partition(".")[0] / name
            place.parent.mkdir(parents=True, exist_ok=True)
            content = source[number]
            place.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
            count += 1
    return count


def passes(job: Job) -> dict[str, Any]:
    """Return the seconds of passes over JPEG files; the first one decodes them."""
    keep_freed_memory()  # as the console script does
    times, rows = [time.perf_counter()], 0
    data = ImageFolderDataModule(
        Path(job.folder) / "jpegs",
        image_size=150,
        batch_size=job.batch,
        val_size=None,
        augmentation="book" if job.augment else None,
    )
    loader = data.train_dataloader()
    for epoch in range(job.epochs):
        loader.batch_sampler.set_epoch(epoch)
        rows = sum(len(targets) for _, targets in loader if targets is not None)
        times.append(time.perf_counter())
    return {"fit": times[-1] - times[0], "epochs": np.diff(times).tolist(), "rows": rows}


def main() -> None:
    """Do what is asked."""
    what, job, *words = sys.argv[1], Job.read(sys.argv[2]), *sys.argv[3:]
    result = export(job, int(words[0]), words[1:]) if what == "export" else passes(job)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
