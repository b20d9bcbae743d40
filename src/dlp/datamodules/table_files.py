"""Reading a table from a CSV or Parquet file, with errors that say what to do."""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.errors import InputError, MissingInputError, suggestion

CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the table of a CSV (UTF-8; comma, semicolon or tab) or Parquet file.

    Its index, named ``line`` or ``row``, is where each row stands: the line of the file where
    that is certain (a plain CSV), else the row counted from 0. `place` puts it in words.

    Raises:
        MissingInputError: There is no such file.
        InputError: It cannot be read, is not UTF-8, is no table, or has no row.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith(CSV_ENDINGS + PARQUET_ENDINGS):
        accepted = ", ".join(CSV_ENDINGS + PARQUET_ENDINGS)
        raise InputError(f"{path} is no table by its name; accepted endings: {accepted}.")
    if not path.exists():
        siblings = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise MissingInputError(
            f"there is no file {path} (looked from {Path.cwd()}).{suggestion(path.name, siblings)}"
        )
    try:
        frame = pd.read_parquet(path) if name.endswith(PARQUET_ENDINGS) else _read_csv(path)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte 0x{error.object[error.start]:02x}). Save it as UTF-8: "
            "'CSV UTF-8' in a spreadsheet's save dialog, or `iconv -f WINDOWS-1252 -t UTF-8`."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty.") from error
    except (ValueError, pd.errors.ParserWarning) as error:  # pandas' and Arrow's own among them
        raise InputError(f"{path} cannot be read as a table: {str(error).strip()}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not len(frame):
        raise InputError(f"{path} has no row below its header.")
    frame.columns = pd.Index([str(column) for column in frame.columns])
    first = 2 if name.endswith((".csv", ".tsv", ".txt")) and _one_line_a_row(path, frame) else 0
    frame.index = pd.RangeIndex(first, first + len(frame), name="line" if first else "row")
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    # Without index_col=False pandas takes a surplus first field for row names, silently.
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path, sep=_separator(path), encoding="utf-8", index_col=False, low_memory=False
        )


def _separator(path: Path) -> str:
    if ".tsv" in path.suffixes:
        return "\t"
    if path.suffix == ".gz":
        return ","
    with path.open(encoding="utf-8") as file:
        header = file.readline()
    return max(",;\t", key=header.count)


def _one_line_a_row(path: Path, frame: pd.DataFrame) -> bool:
    """Return whether no cell spans lines and no line is blank, so that lines can be counted."""
    content = path.read_bytes()
    return content.rstrip(b"\r\n").count(b"\n") == len(frame)


def place(rows: pd.DataFrame | pd.Series, number: int) -> str:
    """Return where row `number` (a position) of a table stands, in words."""
    label = rows.index[number]
    if rows.index.name == "line":
        return f"line {label} of the file"
    return f"row {label} (counted from 0)"


def row_numbers(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the number of each row in the file it was read from, 0 below the header, (N,)."""
    labels = frame.index.to_numpy(np.int64)
    return labels - 2 if frame.index.name == "line" else labels


def absent(what: str, name: str, columns: Iterable[str]) -> MissingInputError:
    """Return the error for a column that is not there, with the nearest one."""
    known = list(columns)
    shown = ", ".join(known[:30]) + (f" and {len(known) - 30} more" if len(known) > 30 else "")
    return MissingInputError(
        f"{what}: there is no column {name!r}.{suggestion(name, known)} The columns are {shown}."
    )
