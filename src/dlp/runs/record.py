"""One run as its files tell it, and how these come to be; reading needs no torch."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from dlp import __version__
from dlp.config_files import leaves, read_config
from dlp.directions import Mode
from dlp.errors import InputError
from dlp.runs.epochs import Epochs, read_metrics
from dlp.runs.folders import Run
from dlp.runs.json_files import read_json, write_json

if TYPE_CHECKING:  # reading a run needs no torch
    from torch import nn

#: What a setting may be: a number, a name, or None where it was left open.
Setting = float | str | None


@dataclass(frozen=True)
class RunRecord(Run):
    """A run, and what its files tell.

    Args:
        folder: The run's folder.
        epochs: ``history.json``: every metric by epoch, with the best epoch and the verdict.
        results: ``results.json``.
        settings: ``config.yaml``, flat: ``data.train_size`` -> value.
    """

    epochs: Epochs
    results: dict[str, Any]
    settings: dict[str, Setting]

    @property
    def monitor(self) -> str:
        """The metric that said which epoch was best."""
        return str(self.settings.get("monitor") or "val_loss")

    @property
    def test_scores(self) -> dict[str, float]:
        """What the last test measured; empty before one."""
        tested: dict[str, Any] = self.results.get("test", {})
        return {name: value for name, value in tested.items() if isinstance(value, int | float)}

    def best(self, metric: str) -> tuple[float, int] | None:
        """Return the best value of a metric and its epoch, from 1; None if it has none.

        Where nobody knows whether less or more of it is better, there is none.
        """
        best = self.epochs.best_epoch(metric)
        return None if best is None else (self.epochs.metrics[metric][best - 1], best)

    def setting(self, key: str) -> Setting:
        """Return a setting; the real number of training rows, where that is known."""
        if key == "data.train_size":
            rows: int | None = self.results.get("train_rows")
            return self.settings[key] if rows is None else rows
        return self.settings[key]


def read_run(folder: Path) -> RunRecord:
    """Return what the files of a run tell.

    Raises:
        InputError: One of them cannot be read.
    """
    try:
        results = read_results(folder)
        config = folder / "config.yaml"
        settings = dict(_settings(read_config(config))) if config.is_file() else {}
        directions: dict[str, Mode] = dict(results.get("directions", {}))  # older runs have none
        if (mode := settings.get("monitor_mode")) in ("min", "max"):
            directions[str(settings.get("monitor"))] = cast(Mode, mode)
        epochs = Epochs(read_metrics(folder), directions, results.get("last"))
        return RunRecord(folder, epochs, results, settings)
    except InputError:  # it names the file
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"the files of the run {folder} cannot be read: {error}.") from error


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Setting]]:
    """Yield the settings of a config as people write them; a class by its name."""
    for key, value in leaves(config):
        if key.endswith(".class_path"):
            yield key.removesuffix(".class_path"), str(value).rpartition(".")[2]
        elif isinstance(value, float) and value.is_integer():  # train_size: 500.0
            yield key, int(value)
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield key, value
        else:
            yield key, str(value)


# results.json -----------------------------------------------------------------------------------


def write_results(
    folder: Path, epochs: Epochs, monitor: str, seed: int, facts: Mapping[str, Any]
) -> None:
    """Write ``results.json`` of a fit into its run's folder.

    Args:
        folder: The run's folder.
        epochs: What the fit recorded.
        monitor: The metric that says which epoch was best.
        seed: The seed of the run.
        facts: More to be kept: ``parameters``, ``train_rows``, ``device``, ``seconds``.
    """
    best = epochs.best_epoch(monitor)
    results: dict[str, Any] = {
        "best_epoch": best,
        "best": epochs.at(best) if best else {},
        "last": {name: value for name, value in epochs.last.items() if math.isfinite(value)}
        | epochs.at(epochs.num_epochs),
        "directions": epochs.directions,
        "seed": seed,
        "versions": versions(),
        **facts,
    }
    write_json(folder / "results.json", results)


def versions() -> dict[str, str]:
    """Return name -> version of what computes here, as each package says it of itself.

    An installed package's metadata leaves out the build: it says 2.13.0 where ``torch.__version__``
    says 2.13.0+cpu or 2.13.0+cu130, which may give other numbers.
    """
    import lightning
    import numpy
    import torch

    packages = {"torch": torch, "lightning": lightning, "numpy": numpy}
    return {"dlp": __version__, **{name: str(it.__version__) for name, it in packages.items()}}


def count_parameters(model: "nn.Module") -> dict[str, int]:
    """Return how many numbers a model has: ``total``, and ``trainable`` as it is now."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    trainable = sum(size for size, trains in sizes if trains)
    return {"total": sum(size for size, _ in sizes), "trainable": trainable}


def read_results(folder: Path) -> dict[str, Any]:
    """Return what ``results.json`` of a run holds; an empty dict where there is none.

    Raises:
        InputError: It is damaged.
    """
    return read_json(folder / "results.json")


def add_test(
    folder: Path,
    metrics: Mapping[str, float],
    checkpoint: str | None,
    baseline: Mapping[str, Mapping[str, float]],
    name: Literal["test", "validation"] = "test",
) -> None:
    """Put a test into ``results.json``: its numbers, their checkpoint, what guessing gives.

    Args:
        folder: The run's folder.
        metrics: What was measured.
        checkpoint: Of what.
        baseline: Kind of guess -> metric -> its number.
        name: On which part.
    """
    results = read_results(folder)
    where = Path(checkpoint) if checkpoint else None
    if where is not None and where.is_relative_to(folder):
        where = where.relative_to(folder)
    place = None if where is None else where.as_posix()
    results[name] = {**metrics, "checkpoint": place, "baseline": baseline}
    write_json(folder / "results.json", results)


def add_baselines(folder: Path, baselines: Mapping[str, Mapping[str, Any]]) -> None:
    """Put baselines that were fitted into ``results.json``, beside those that stand there."""
    results = read_results(folder)
    kept = results.get("baselines", {})
    results["baselines"] = {**kept, **{k: {**kept.get(k, {}), **v} for k, v in baselines.items()}}
    write_json(folder / "results.json", results)
