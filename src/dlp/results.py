"""``results.json`` and the curves of a run: its numbers in one small file each."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dlp import __version__
from dlp.callbacks.history import History
from dlp.files import atomic_path, write_text
from dlp.visualization.curves import learning_curves


def write_results(
    folder: Path, history: History, monitor: str, seed: int, seconds: dict[str, float]
) -> None:
    """Write ``results.json`` of a fit into its run's folder."""
    best = history.best_epoch(monitor)
    results: dict[str, Any] = {
        "best_epoch": best,
        "best": history.at(best) if best else {},
        "last": history.at(history.num_epochs),
        "seed": seed,
        "versions": {
            "dlp": __version__,
            **{name: version(name) for name in ("torch", "lightning", "numpy")},
        },
        "seconds": seconds,
    }
    _write(folder, results)


def draw_curves(folder: Path, history: History, monitor: str, smoothing: float = 0.0) -> None:
    """Draw ``curves.png`` of a fit into its run's folder."""
    if not history.num_epochs:
        return
    title = f"{folder.resolve().parent.name} {folder.name}"
    figure = learning_curves(history.metrics, history.best_epoch(monitor), smoothing, title)
    with atomic_path(folder / "curves.png") as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def read_results(folder: Path) -> dict[str, Any]:
    """Return what ``results.json`` of a run holds; an empty dict where there is none."""
    path = folder / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def add_test(folder: Path, metrics: Mapping[str, float], checkpoint: str | None) -> None:
    """Put the numbers of a test, and the checkpoint they belong to, into ``results.json``."""
    results = read_results(folder)
    where = Path(checkpoint) if checkpoint else None
    if where is not None and where.is_relative_to(folder):
        where = where.relative_to(folder)
    results["test"] = {**metrics, "checkpoint": None if where is None else where.as_posix()}
    _write(folder, results)


def _write(folder: Path, results: dict[str, Any]) -> None:
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
