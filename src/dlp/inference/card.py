"""Model card of an export."""

from dataclasses import asdict
from pathlib import Path
from string import Template

import pandas as pd
import yaml

from dlp.reader.model import Model
from dlp.runs.folder import Run

#: What a reader of the card needs to know of the inputs, beside their columns.
_FACTS = ("kind", "shape", "height", "width", "channels", "encoding", "tokens", "read_csv")


def card(model: Model, run: Run, checkpoint: str, difference: str) -> str:
    """Return the text of the card.

    Args:
        model: Exported model.
        run: Run of the checkpoint, with its results.
        checkpoint: File name of the checkpoint.
        difference: Largest difference of the export, and its rows.
    """
    spec = model.spec
    inputs = {name: spec.inputs[name] for name in _FACTS if spec.inputs.get(name)}
    fields = pd.DataFrame(model.reader.fields())
    columns = ""
    if len(fields):
        columns = _table(fields.set_index("name").fillna(""))
    template = Template(Path(__file__).with_suffix(".md").read_text("utf-8"))
    return template.substitute(
        title=f"{run.folder.resolve().parent.name} {run.folder.name}",
        inputs=yaml.safe_dump(inputs, sort_keys=False),
        columns=columns,
        answer=yaml.safe_dump(asdict(spec.answer), sort_keys=False),
        scores=_scores(run, checkpoint),
        training=yaml.safe_dump(asdict(spec.card), sort_keys=False),
        checkpoint=checkpoint,
        difference=difference,
    )


def _scores(run: Run, checkpoint: str) -> str:
    """Return the scores of the test of this checkpoint, beside those of baselines."""
    test = run.results().get("test") or {}
    if test.get("checkpoint") != checkpoint:
        return "It was not tested."
    text = f"{test['rows']:,} test rows"
    note = run.threshold_note()
    if note:
        text += f". {note}"
    return text + _table(pd.DataFrame(run.test_scores()).T)


def _table(frame: pd.DataFrame) -> str:
    """Return a table as aligned text, in a block of Markdown."""
    text = frame.to_string(float_format="{:.6g}".format, na_rep="", max_colwidth=60)
    return f"\n\n```text\n{text}\n```"
