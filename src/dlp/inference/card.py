"""Model card of an export, with an example that runs in the exported folder."""

import shlex
from dataclasses import asdict
from pathlib import Path
from pprint import pformat
from string import Template
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from dlp.files import write_json
from dlp.reader.encoder import AnyEncoder, PlainValues
from dlp.reader.files import csv_options
from dlp.reader.model import Model
from dlp.reader.notation import column_option
from dlp.runs.folder import Run
from dlp.runs.scores import test_scores, threshold_note

#: Facts about the inputs that the card lists, in addition to the columns.
_FACTS = ("kind", "shape", "height", "width", "channels", "encoding", "tokens", "read_csv")
_MAX_LETTERS = 200


class Example(NamedTuple):
    """Example on the card: one row, and how to predict it.

    Args:
        imports: Import statements that the code needs, or an empty text.
        code: Python expression whose value is a list that contains the row.
        word: Argument for ``predict.py``: a file name, or a text that is quoted for the shell.
    """

    imports: str
    code: str
    word: str


def write_example(folder: Path, model: Model, row: Any) -> Example:
    """Write an example row into the folder of an export, and return how to predict it.

    A text needs no file, because it is an argument of ``predict.py``.

    Args:
        folder: Folder of the export.
        model: Exported model.
        row: Row of the training set, in the form that `Rows.raw` returns.
    """
    form = model.encoder.form
    if form == "text":
        text = shorten(row, _MAX_LETTERS, placeholder="")
        return Example("", repr([text]), shlex.quote(text))
    if form == "file":
        row.save(folder / "example.png")
        return Example("", '["example.png"]', "example.png")
    if model.encoder.kind == "array":
        np.save(folder / "example.npy", row[np.newaxis])
        return Example("import numpy as np\n\n", 'np.load("example.npy")', "example.npy")
    if form == "columns":
        options = csv_options(model.encoder)
        cells = {}
        for name in [field["name"] for field in model.encoder.fields()]:
            cells[name] = _plain(row[name], column_option(options, "date_format", name))
        row = cells
    rows = [_plain(row)]
    write_json(folder / "example.json", rows)
    if form == "columns":
        return Example("", pformat(rows, width=90, sort_dicts=False), "example.json")
    imports = "import json\nfrom pathlib import Path\n\n"
    return Example(imports, 'json.loads(Path("example.json").read_text())', "example.json")


def _plain(cell: Any, date_format: str | None = None) -> Any:
    """Return a cell in a form that JSON accepts; a date has the format of the training table."""
    if isinstance(cell, pd.Timestamp):
        if date_format in (None, "ISO8601"):
            return cell.isoformat()
        return cell.strftime(str(date_format))
    if isinstance(cell, np.ndarray | np.generic):
        return cell.tolist()
    return cell


def card(model: Model, run: Run, checkpoint: str, difference: str, example: Example) -> str:
    """Return the text of the card.

    Args:
        model: Exported model.
        run: Run of the checkpoint, with its results.
        checkpoint: File name of the checkpoint.
        difference: Largest difference between the predictions of the export and of the checkpoint,
            with the rows on which it was measured.
        example: Example row, and how to predict it.
    """
    spec = model.spec
    facts = input_facts(model.encoder)
    inputs = {name: facts[name] for name in _FACTS if facts.get(name)}
    fields = pd.DataFrame(model.encoder.fields())
    columns = ""
    if len(fields):
        columns = _table(fields.set_index("name").fillna(""))
    template = Template(Path(__file__).with_suffix(".md").read_text("utf-8"))
    return template.substitute(
        title=f"{run.folder.resolve().parent.name} {run.folder.name}",
        inputs=yaml.safe_dump(inputs, sort_keys=False, allow_unicode=True),
        columns=columns,
        answer=yaml.safe_dump(asdict(spec.answer), sort_keys=False, allow_unicode=True),
        scores=_scores(run, checkpoint),
        training=yaml.safe_dump(asdict(spec.card), sort_keys=False, allow_unicode=True),
        checkpoint=checkpoint,
        difference=difference,
        packages=" pillow" if model.encoder.form == "file" else "",
        word=example.word,
        imports=example.imports,
        code=example.code,
    )


def input_facts(encoder: AnyEncoder) -> PlainValues:
    """Return the kind of the rows, the shape of arrays, and the arguments of the encoder."""
    facts = {"kind": encoder.kind, **encoder.arguments()}
    if encoder.form == "json":
        facts["shape"] = list(encoder.input_shape_)
    return facts


def _scores(run: Run, checkpoint: str) -> str:
    """Return the test scores of this checkpoint, together with the baselines' scores."""
    test = run.results().get("test") or {}
    if test.get("checkpoint") != checkpoint:
        return "This checkpoint was not tested."
    text = f"{test['rows']:,} test rows"
    note = threshold_note(run.results())
    if note:
        text += f". {note}"
    return text + _table(pd.DataFrame(test_scores(run.results())).T)


def _table(frame: pd.DataFrame) -> str:
    """Return a table as aligned text in a Markdown code block."""
    text = frame.to_string(float_format="{:.6g}".format, na_rep="", max_colwidth=60)
    return f"\n\n```text\n{text}\n```"
