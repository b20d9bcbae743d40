"""Exports and the checkpoints that they were made from; reading needs no torch."""

from collections.abc import Mapping
from pathlib import Path

from dlp.files import sha256
from dlp.runs.folder import Run


def source_of(checkpoint: Path) -> dict[str, str]:
    """Return what an export holds of its checkpoint: path and SHA-256."""
    return {"path": checkpoint.as_posix(), "sha256": sha256(checkpoint)}


def changed_checkpoint(export: Path, source: Mapping[str, str]) -> Path | None:
    """Return the checkpoint of an export if it has changed since, such as by ``dlp calibrate``.

    Args:
        export: File of the exported model.
        source: Its `source_of`; empty for an export before 1.2.1.
    """
    if not source:
        return None
    checkpoint = Path(source["path"])
    run = Run.find(export)
    if run.is_recorded:  # it may have been moved together with its export
        checkpoint = run.checkpoints / checkpoint.name
    if not checkpoint.is_file() or sha256(checkpoint) == source["sha256"]:
        return None
    return checkpoint
