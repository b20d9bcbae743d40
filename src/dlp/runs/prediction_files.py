"""Files of predictions: which one a run writes, and how tables of either kind are written."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dlp.errors import InputError
from dlp.files import atomic_path
from dlp.files import check_place as check_file_place
from dlp.runs.json_files import write_json

#: Name of a column -> a value for each row.
Columns = Mapping[str, Sequence[Any]]

_ENDINGS = (".csv", ".parquet")
_RECORD = "predictions.json"


def check_place(path: Path) -> None:
    """Refuse a file that cannot be written, before anything is computed. Nothing is left behind.

    Raises:
        InputError: It is no .csv or .parquet, or lies where nothing can be written.
    """
    check_file_place(path)
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(
            f"predictions are written as {' or '.join(_ENDINGS)}, by the ending of the name; got "
            f"{path.name!r}."
        )


def file_of(folder: Path, source: str | None) -> Path:
    """Return the file for the predictions of an input: never that of another input.

    Args:
        folder: The run's folder.
        source: The path of the input; None for the test part.
    """
    written = _record(folder)
    stem = "predictions"
    if source is not None:
        name = Path(source).name.split(".")[0]
        stem += "_" + (re.sub(r"[^\w-]+", "-", name).strip("-") or "input")
    number = 1
    while True:
        path = folder / f"{stem}{'' if number == 1 else f'_{number}'}.csv"
        known = written.get(path.name)
        if not path.exists() or (known is not None and known["input"] == _whole(source)):
            return path
        number += 1


def remember(path: Path, source: str | None, checkpoint: Path | None) -> None:
    """Note in a run's ``predictions.json`` what a file of predictions was made of."""
    written = _record(path.parent)
    made_by = None if checkpoint is None else checkpoint.name
    written[path.name] = {"input": _whole(source), "checkpoint": made_by}
    write_json(path.parent / _RECORD, written)


def _whole(source: str | None) -> str | None:
    if source is None or not Path(source).exists():  # such as a data set of the Hub
        return source
    return str(Path(source).resolve())


def _record(folder: Path) -> dict[str, dict[str, str | None]]:
    try:
        written = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return written if isinstance(written, dict) else {}


@contextmanager
def open_table(path: Path) -> Iterator[Callable[[Columns], None]]:
    """Yield what appends rows to a table of that path, which appears when it is whole.

    Numbers with a point have nine significant digits in a CSV, which is all that float32 has, and
    all of them in Parquet.

    Raises:
        InputError: The path cannot be written.
    """
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(atomic_path(path))
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}.") from error
        if path.suffix.lower() == ".parquet":
            yield stack.enter_context(_parquet(temporary))
        else:
            yield stack.enter_context(_csv(temporary))


@contextmanager
def _csv(path: Path) -> Iterator[Callable[[Columns], None]]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def append(columns: Columns) -> None:
            if not file.tell():
                writer.writerow(columns)
            for row in zip(*columns.values(), strict=True):
                writer.writerow([f"{x:.9g}" if isinstance(x, float) else x for x in row])

        yield append


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[Columns], None]]:
    import pyarrow as pa
    from pyarrow import parquet

    with ExitStack() as stack:
        writer: Any = None  # pyarrow has no types

        def append(columns: Columns) -> None:
            nonlocal writer
            schema = None if writer is None else writer.schema
            table = pa.table(dict(columns), schema=schema)
            if writer is None:
                writer = stack.enter_context(parquet.ParquetWriter(path, table.schema))
            writer.write_table(table)

        yield append
