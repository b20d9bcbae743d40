"""Time the input of images and cached features beside the usual ways, and write the tables.

    python benchmarks/image_speed.py --rounds 5

Needs the cats and dogs below DLP_DATA_DIR. The ways are measured in turn, round after round, so
that a machine whose speed drifts drifts for all. Seconds are those of an epoch after the first:
2,000 images brought to 150 x 150 in batches of 20 (input), or 2,000 trained on and 1,000
validated with a MobileNetV2 and the book's dense net (features).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lightning
import torch
from tables import put, spread
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from dlp.callbacks import CacheFeatures
from dlp.cli import keep_freed_memory
from dlp.datamodules import CatsVsDogsDataModule, ImageFolderDataModule
from dlp.modules import KerasRMSprop, PretrainedModule

SIZE = 150


def write_jpegs(folder: Path) -> None:
    """Write the book's training images as JPEG files, a subfolder a class."""
    data = CatsVsDogsDataModule()
    source, _ = data._images()
    wanted = {Path(name).name for name in data.examples("train").names or []}
    for number, name in enumerate(source.names):
        name = Path(name).name
        if name in wanted:
            place = folder / name.partition(".")[0] / name
            place.parent.mkdir(parents=True, exist_ok=True)
            content = source[number]
            place.write_bytes(content if isinstance(content, bytes) else content.read_bytes())


def through(batches: Iterable[Any]) -> float:
    """Return the seconds of one pass."""
    start = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - start


def usual_loader(folder: Path, workers: int, augment: bool) -> DataLoader[Any]:
    """Return torchvision's ``ImageFolder`` under torch's ``DataLoader``."""
    changes = [v2.RandomAffine(40, (0.2, 0.2), (0.8, 1.2), (-11.5, 11.5, 0, 0))]
    changes = [*changes, v2.RandomHorizontalFlip()] if augment else []
    scale = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    images = ImageFolder(str(folder), v2.Compose([v2.Resize((SIZE, SIZE)), *changes, *scale]))
    return DataLoader(images, batch_size=20, shuffle=True, num_workers=workers)


def own_loader(folder: Path, augment: bool) -> Iterable[Any]:
    """Return the batches of `ImageFolderDataModule`, decoded once beforehand."""
    name = "book" if augment else None
    data = ImageFolderDataModule(
        folder, image_size=SIZE, batch_size=20, val_size=None, augmentation=name
    )
    return data.train_dataloader()


class EpochTimes(lightning.Callback):
    """Notes when each training epoch starts and the fit ends."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        """Note the time."""
        self.starts.append(time.perf_counter())

    on_fit_end = on_train_epoch_start


def fit_epoch(cached: bool) -> float:
    """Return the seconds of the last of a few epochs, with or without cached features."""
    data = CatsVsDogsDataModule(image_size=SIZE)
    model = PretrainedModule(
        data.input_shape,
        data.num_outputs,
        "sigmoid",
        "mobilenet_v2",
        weights=None,
        dropout=0.5,
        optimizer=lambda parameters: KerasRMSprop(parameters, lr=2e-5),
    )
    times = EpochTimes()
    trainer = lightning.Trainer(
        max_epochs=4 if cached else 2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[times, *([CacheFeatures()] if cached else [])],
    )
    trainer.fit(model, datamodule=data)
    return times.starts[-1] - times.starts[-2]


def compare(ways: dict[str, Callable[[], float]], rounds: int) -> str:
    """Return a table of the ways; ratios are against the first."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            seconds[name].append(measure())
    first = next(iter(seconds.values()))
    lines = ["| way | seconds an epoch: median (min to max) | ratio |", "|---|---|---|"]
    for name, taken in seconds.items():
        ratios = [base / own for base, own in zip(first, taken, strict=True)]
        lines.append(f"| {name} | {spread(taken, 2)} | {spread(ratios, 1)} |")
    return "\n".join([*lines, "", f"{rounds} rounds, torch {torch.__version__}."])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["DLP_CACHE_DIR"] = f"{temporary}/cache"  # nothing is found, nothing is left
        folder = Path(temporary) / "jpegs"
        write_jpegs(folder)
        for augment, name in ((False, "input"), (True, "augmented input")):
            usual, workers = usual_loader(folder, 0, augment), usual_loader(folder, 2, augment)
            own = own_loader(folder, augment)
            ways = {
                "`ImageFolder` + `DataLoader`": lambda usual=usual: through(usual),
                "the same, 2 workers": lambda workers=workers: through(workers),
                "`ImageFolderDataModule`": lambda own=own: through(own),
            }
            put(name, compare(ways, rounds))
        ways = {
            "frozen MobileNetV2 run in every epoch": lambda: fit_epoch(cached=False),
            "`CacheFeatures`": lambda: fit_epoch(cached=True),
        }
        put("features", compare(ways, rounds))


if __name__ == "__main__":
    main()
