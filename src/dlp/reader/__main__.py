"""Predict rows with the exported model next to this package.

    python predict.py "a film to remember" "a bore"
    python predict.py rows.csv
    python predict.py cat.jpg dog.jpg

All kinds of rows can also be in a JSON file, and arrays in a file of NumPy.
"""

import csv
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .files import typed_rows
from .model import load_exported
from .rows import ReaderError


def main(words: Sequence[str]) -> None:
    """Print the predictions of typed texts or files as a CSV."""
    model = load_exported(Path(__file__).parents[1] / "model.onnx")
    rows = typed_rows(words, model.encoder)
    columns = model.spec.answer.prediction_columns(model.scores(rows))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["index", *columns])
    for index, cells in enumerate(zip(*columns.values(), strict=True)):
        texts = [cell if isinstance(cell, str) else f"{cell:.9g}" for cell in cells]
        writer.writerow([index, *texts])


def run() -> None:
    """Predict the words of ``sys.argv``; an error is one line, and so is each note on a row."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        print(__doc__)
        return
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _print_note
            main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # predict.py rows.csv | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
    except ReaderError as error:
        sys.exit(str(error))


def _print_note(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"note: {message}", file=sys.stderr)


if __name__ == "__main__":
    run()
