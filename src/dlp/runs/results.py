"""``results.json`` and the curves of a run: its numbers in one small file each."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dlp import __version__
from dlp.errors import InputError
from dlp.files import atomic_path, write_text

if TYPE_CHECKING:  # reading results needs no torch
    from torch import nn

    from dlp.callbacks.history import History


def write_results(
    folder: Path, history: "History", monitor: str, seed: int, facts: Mapping[str, Any]
) -> None:
    """Write ``results.json`` of a fit into its run's folder.

    Args:
        folder: The run's folder.
        history: What the fit recorded.
        monitor: The metric that says which epoch was best.
        seed: The seed of the run.
        facts: More to be kept: ``parameters``, ``train_rows``, ``device``, ``seconds``.
    """
    best = history.best_epoch(monitor)
    results: dict[str, Any] = {
        "best_epoch": best,
        "best": history.at(best) if best else {},
        "last": {name: value for name, value in history.last.items() if math.isfinite(value)}
        | history.at(history.num_epochs),
        "directions": history.directions,
        "seed": seed,
        "versions": versions(),
        **facts,
    }
    _write(folder, results)


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


def draw_curves(folder: Path, history: "History", monitor: str, smoothing: float = 0.0) -> None:
    """Draw ``curves.png`` of a fit into its run's folder."""
    from dlp.visualization.curves import learning_curves  # Matplotlib, which reading does without

    if not history.num_epochs:
        return
    title = f"{folder.resolve().parent.name} {folder.name}"
    figure = learning_curves(history.metrics, history.best_epoch(monitor), smoothing, title)
    with atomic_path(folder / "curves.png") as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def read_results(folder: Path) -> dict[str, Any]:
    """Return what ``results.json`` of a run holds; an empty dict where there is none.

    Raises:
        InputError: It is damaged.
    """
    return read_record(folder / "results.json")


def read_record(path: Path) -> dict[str, Any]:
    """Return what a JSON file of a run holds; an empty dict where there is none.

    Raises:
        InputError: It is damaged.
    """
    if not path.exists():
        return {}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or no UTF-8
        raise InputError(
            f"{path} is damaged ({error}): put back a copy, or delete it; its run can be tested "
            "and reported again from its checkpoints."
        ) from error
    if not isinstance(read, dict):
        raise InputError(f"{path} is damaged: it holds no numbers by name. Delete it.")
    return read


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
    _write(folder, results)


def add_baselines(folder: Path, baselines: Mapping[str, Mapping[str, Any]]) -> None:
    """Put baselines that were fitted into ``results.json``, beside those that stand there."""
    results = read_results(folder)
    kept = results.get("baselines", {})
    results["baselines"] = {**kept, **{k: {**kept.get(k, {}), **v} for k, v in baselines.items()}}
    _write(folder, results)


def _write(folder: Path, results: dict[str, Any]) -> None:
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
