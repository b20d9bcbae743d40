"""Sets of labelled texts from the Hub, or folders in its layout, read by ``datasets``."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from dlp.datamodules.part_names import part_of
from dlp.datamodules.text.rows import TextColumns, TextRows
from dlp.errors import InputError, MissingInputError


def read_hub_set(
    path: str, columns: TextColumns, subset: str | None, revision: str | None, offline: str
) -> dict[str, TextRows]:
    """Return the parts ``train``, ``val`` and ``test``, as they are there.

    Args:
        path: The name of a set, or a folder in the Hub's layout.
        columns: The columns to read.
        subset: The configuration of a set that has several.
        revision: Its commit, tag or branch.
        offline: What to do with a copy, said where the Hub cannot be reached.

    Raises:
        InputError: The Hub cannot be reached, or the set not be read.
    """
    import datasets

    with tempfile.TemporaryDirectory() as temporary, _quiet():  # nothing is kept twice
        try:
            sets = datasets.load_dataset(path, cache_dir=temporary, name=subset, revision=revision)
        except Exception as error:  # Hub, network and the set's own files: each in its way
            raise _unreadable(path, error, offline) from error
        named = sorted(sets, key=lambda name: part_of(name) != name, reverse=True)
        parts = {part: name for name in named if (part := part_of(name)) is not None}
        if not parts:
            raise InputError(
                f"{path} has neither a train nor a test part, only {', '.join(sets)}. Rename a "
                "part, or give one file as path."
            )
        left_out = [name for name in sets if name not in parts.values()]
        notes = (f"left out: the parts {', '.join(left_out)}",) if left_out else ()
        return {part: _rows(sets[name], columns, path, notes) for part, name in parts.items()}


def _rows(part: Any, columns: TextColumns, path: str, notes: tuple[str, ...]) -> TextRows:
    wanted = (columns.text, *columns.labels, columns.group, columns.time, columns.id)
    there = [name for name in dict.fromkeys(wanted) if name in part.column_names]
    names = None
    if len(columns.labels) == 1 and columns.labels[0] in there:
        names = getattr(part.features[columns.labels[0]], "names", None)
    columns.check(path, part.column_names)
    frame = part.select_columns(there).to_pandas()
    frame.index = pd.RangeIndex(len(frame), name="row")
    return TextRows(frame, f"{path}, in the Hub's layout", names, notes=notes)


def _unreadable(path: str, error: Exception, offline: str) -> InputError:
    if Path(path).expanduser().exists():
        return InputError(f"cannot read {path}: {error.__cause__ or error}")
    if isinstance(error, FileNotFoundError):
        return MissingInputError(
            f"{path!r} is neither a file or folder here nor a data set on the Hub ({error})."
        )
    if isinstance(error, OSError):
        return InputError(
            f"cannot reach the Hub for {path!r} ({error}). On a machine with network run "
            f"`hf download {path} --repo-type dataset --local-dir FOLDER`, copy FOLDER to this "
            f"machine and {offline}."
        )
    return InputError(f"the Hub's data set {path!r} cannot be read: {error}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep `datasets` from drawing its own bars and logging the errors we report."""
    import datasets

    level, shown = datasets.logging.get_verbosity(), not datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if shown:
            datasets.enable_progress_bars()
