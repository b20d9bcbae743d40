"""Mistakes as files: ``mistakes.json``, and the rows they were made on, to be read by a person."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlp.errors import InputError
from dlp.evaluation.calibration import Calibration
from dlp.evaluation.confusion import Confusion
from dlp.evaluation.mistakes import (
    ClassificationMistakes,
    ClassScores,
    Mistakes,
    MultilabelMistakes,
    RegressionMistakes,
    ValueScores,
    WrongClass,
    WrongValue,
)
from dlp.files import write_text

if TYPE_CHECKING:  # reading mistakes needs neither torch nor pandas
    import pandas as pd

    from dlp.datamodules.examples import Part

#: The confusion matrix of more classes is mostly zeros, which are left out.
_FULL = 200
#: A text is printed up to so many words.
_WORDS = 300


def ending(part: "Part") -> str:
    """Return what the names of the files of a part end with: nothing for the test part."""
    return "" if part == "test" else f"_{part}"


def to_dict(mistakes: Mistakes) -> dict[str, Any]:
    """Return plain values, with the ``task`` that says which kind they are.

    The confusion matrix of up to 200 classes is there in full, (C, C); of more classes only its
    cells that hold rows: true class, predicted class and their number.
    """
    content = {"task": mistakes.task, **asdict(mistakes)}
    if isinstance(mistakes, ClassificationMistakes):
        found = mistakes.confusion
        full = len(mistakes.class_names) <= _FULL
        content["confusion"] = found.matrix().tolist() if full else found.cells()
    return content


def from_dict(content: Mapping[str, Any]) -> Mistakes:
    """Return what `to_dict` was given."""
    fields = dict(content)
    task = fields.pop("task")
    if task == RegressionMistakes.task:
        fields["scores"] = [ValueScores(**scores) for scores in fields["scores"]]
        fields["worst"] = [WrongValue(**wrong) for wrong in fields["worst"]]
        return RegressionMistakes(**fields)
    for name in ("scores", "means"):
        fields[name] = [ClassScores(**scores) for scores in fields[name]]
    fields["worst"] = [WrongClass(**wrong) for wrong in fields["worst"]]
    fields["calibration"] = Calibration(**fields["calibration"])
    if task == ClassificationMistakes.task:
        matrix, count = fields["confusion"], len(fields["class_names"])
        is_full = len(matrix) == count and all(len(row) == count for row in matrix)
        fields["confusion"] = (
            Confusion.of_matrix(matrix) if is_full else Confusion.of_cells(matrix, count)
        )
        return ClassificationMistakes(**fields)
    fields["counts"] = [tuple(counts) for counts in fields["counts"]]
    return MultilabelMistakes(**fields)


def write_mistakes(mistakes: Mistakes, path: Path) -> None:
    """Write ``mistakes.json``: a line for each row of a matrix and each entry of a list."""
    parts = []
    for name, value in to_dict(mistakes).items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list) and value and not isinstance(value[0], str):
            lines = ",\n  ".join(json.dumps(item, allow_nan=False) for item in value)
            text = f"[\n  {lines}\n ]"
        parts.append(f" {json.dumps(name)}: {text}")
    write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


def read_mistakes(path: Path) -> Mistakes:
    """Return what `write_mistakes` wrote.

    Raises:
        InputError: The file is damaged.
    """
    try:
        return from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): test again, by dlp test, to write it anew."
        ) from error


def write_worst(
    path: Path, worst: Sequence[WrongClass | WrongValue], rows: "list[str] | pd.DataFrame"
) -> str:
    """Write the worst mistakes with their texts (.txt) or their columns (.csv).

    Args:
        path: Where, without the ending.
        worst: The mistakes.
        rows: The row of each.

    Returns:
        The name of the file.
    """
    if isinstance(rows, list):
        path, content = path.with_suffix(".txt"), worst_texts(worst, rows)
    else:
        path, content = path.with_suffix(".csv"), worst_table(worst, rows).to_csv(index=False)
    write_text(path, content)
    return path.name


def worst_texts(worst: Sequence[WrongClass | WrongValue], texts: Sequence[str]) -> str:
    """Return the worst mistakes with the text each was made on, to be read."""
    blocks = []
    for number, (wrong, text) in enumerate(zip(worst, texts, strict=True), 1):
        words = text.split()
        shown = " ".join(words[:_WORDS]) + (" ..." if len(words) > _WORDS else "")
        blocks.append(
            f"{number}. {wrong.caption}, {wrong.called}\n\n"
            f"{textwrap.fill(shown, 100, initial_indent='   ', subsequent_indent='   ')}\n"
        )
    return "\n".join(blocks)


def worst_table(worst: Sequence[WrongClass | WrongValue], rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return the worst mistakes, each beside the columns of the row it was made on."""
    import pandas as pd

    about = pd.DataFrame([asdict(wrong) for wrong in worst])
    # The row in the person's own file says more than the row in the part.
    about = about.drop(columns="row" if about["index"].notna().all() else "index")
    first = [name for name in ("index", "row", "id") if name in about]
    about = about[[*first, *about.columns.drop([*first, "name"]), "name"]]
    for column in ("name", "target", "id"):
        if column in about and not about[column].any():  # rows, or a single target, without names
            about = about.drop(columns=column)
    taken = {name: f"{name}_" for name in rows.columns if name in about.columns}
    columns = rows.reset_index(drop=True).rename(columns=taken)
    return pd.concat([about, columns], axis=1)
