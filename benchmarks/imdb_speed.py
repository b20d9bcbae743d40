"""Time IMDB's 20 epochs beside Lightning's default way, and write docs/benchmarks.md's table.

    python benchmarks/imdb_speed.py --rounds 5

Each measurement is a process of its own, the two in turn, so that a machine whose speed drifts
drifts for both. Seconds are those of ``Trainer.fit``; memory is the peak resident size of the whole
process, imports and data included.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tables import put, spread

EPOCHS = 20


def fit_dlp() -> float:
    """Run the recipe through the command line; return the seconds of ``Trainer.fit``."""
    from dlp.cli import main

    main(["fit", "--config", "imdb", "--trainer.max_epochs", str(EPOCHS), "--run_dir", "run"])
    results = json.loads(Path("run/results.json").read_text(encoding="utf-8"))
    return float(results["seconds"]["fit"])


def fit_dense() -> float:
    """Train the same network the default way: a dense matrix, a DataLoader, metrics each step."""
    import torch
    import torchmetrics
    from lightning import LightningModule, Trainer, seed_everything
    from torch.utils.data import DataLoader, TensorDataset

    from dlp.datamodules import IMDBDataModule
    from dlp.modules import DenseNet, KerasRMSprop

    class Plain(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = DenseNet((10000,), 1)
            self.train_acc = torchmetrics.Accuracy("binary")
            self.val_acc = torchmetrics.Accuracy("binary")

        def step(self, batch: list[torch.Tensor], stage: str) -> torch.Tensor:
            x, y = batch
            logits = self.network(x).squeeze(1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y)
            accuracy = getattr(self, f"{stage}_acc")
            accuracy(logits, y.long())
            self.log(f"{stage}_loss", loss, prog_bar=True)
            self.log(f"{stage}_acc", accuracy, prog_bar=True)
            return loss

        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            return self.step(batch, "train")

        def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
            self.step(batch, "val")

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return KerasRMSprop(self.parameters())

    seed_everything(0)
    data = IMDBDataModule()
    data.setup("fit")
    sets = []
    for loader in (data.train_dataloader(), data.val_dataloader()):
        pairs = [(bag.to_dense(10000), y.float()) for bag, y in loader]
        x, y = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        del pairs
        sets.append(TensorDataset(x, y))
    trainer = Trainer(max_epochs=EPOCHS, accelerator="cpu", default_root_dir="dense")
    start = time.perf_counter()
    trainer.fit(
        Plain(),
        DataLoader(sets[0], batch_size=512, shuffle=True),
        DataLoader(sets[1], batch_size=512),
    )
    return time.perf_counter() - start


WAYS = {"dlp": fit_dlp, "dense": fit_dense}
LABELS = {
    "dlp": "`dlp fit --config imdb`",
    "dense": "Lightning, dense float32 matrix, default `DataLoader`",
}


def measure(way: str) -> dict[str, float]:
    """Run one way in a process and a folder of its own; return its seconds and megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).resolve()), "--one", way]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def write(measured: dict[str, list[dict[str, float]]]) -> None:
    """Put the table of the medians into docs/benchmarks.md."""
    import torch

    rounds = len(measured["dlp"])
    lines = ["| way | fit, s: median (min to max) | ratio | peak memory, MB |", "|---|---|---|---|"]
    pairs = zip(measured["dense"], measured["dlp"], strict=True)
    ratios = [slow["seconds"] / fast["seconds"] for slow, fast in pairs]
    for way, label in LABELS.items():
        seconds = [one["seconds"] for one in measured[way]]
        lines.append(
            f"| {label} | {spread(seconds, 2)} | {spread(ratios, 1) if way == 'dlp' else '1'} | "
            f"{statistics.median(one['megabytes'] for one in measured[way]):.0f} |"
        )
    lines.append(f"\n{rounds} interleaved rounds, torch {torch.__version__}.")
    put("imdb", "\n".join(lines))


def main() -> None:
    """Measure in turn, or (in the processes this starts) one way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        seconds = WAYS[given.one]()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak_mb = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        print(json.dumps({"seconds": seconds, "megabytes": peak_mb}))
        return
    measured: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    measure("dlp")  # fills the cache, which both ways read
    for number in range(given.rounds):
        for way in WAYS:
            measured[way].append(measure(way))
            print(number, way, measured[way][-1], flush=True)
    write(measured)


if __name__ == "__main__":
    main()
