"""Exports and the checkpoints that they were made from. This module does not import torch."""

from collections.abc import Mapping
from pathlib import Path

from dlp.files import sha256
from dlp.runs.folder import Run


def source_of(checkpoint: Path) -> dict[str, str]:
    """Return the path and the SHA-256 of a checkpoint, which are stored in its export."""
    return {"path": checkpoint.as_posix(), "sha256": sha256(checkpoint)}


def changed_checkpoint(export: Path, source: Mapping[str, str]) -> Path | None:
    """Return the checkpoint of an export if it has changed since the export, or None otherwise.

    ``dlp calibrate``, for example, changes a checkpoint.

    Args:
        export: File of the exported model.
        source: The result of `source_of` that is stored in the export. It is empty for exports
            from before dlp 1.2.1.
    """
    if not source:
        return None
    checkpoint = Path(source["path"])
    run = Run.find(export)
    if run.is_recorded:  # the run may have been moved together with its export
        checkpoint = run.checkpoints / checkpoint.name
    if not checkpoint.is_file() or sha256(checkpoint) == source["sha256"]:
        return None
    return checkpoint
