"""Model card of an export."""

from pathlib import Path
from string import Template

import pandas as pd

from dlp.reader.answer import Answer
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
    facts = {name: spec.inputs.get(name) for name in _FACTS}
    takes = ", ".join(f"{name} {value}" for name, value in facts.items() if value)
    fields = pd.DataFrame(model.reader.fields())
    if len(fields):
        takes += _table(fields.set_index("name").fillna(""))
    counts = [f"{number:,} {part} rows" for part, number in spec.card.rows.items()]
    versions = [f"{name} {version}" for name, version in spec.card.versions.items()]
    template = Template(Path(__file__).with_suffix(".md").read_text("utf-8"))
    return template.substitute(
        title=f"{run.folder.resolve().parent.name} {run.folder.name}",
        takes=takes,
        gives=_answer(spec.answer),
        scores=_scores(run, checkpoint),
        data=spec.card.data,
        rows=", ".join(counts),
        epoch=spec.card.epoch,
        versions=", ".join(versions),
        checkpoint=checkpoint,
        difference=difference,
    )


def _answer(answer: Answer) -> str:
    """Return what the model gives: classes or targets, and the rule from one to the other."""
    parts = ["probabilities" if answer.task else "values"]
    if answer.task in ("binary", "multilabel"):
        parts.append(f"threshold {answer.threshold:g}")
    if answer.coverage is not None:
        parts.append(f"coverage {answer.coverage:g}")
    return f"{', '.join(parts)}: {', '.join(answer.names)}"


def _scores(run: Run, checkpoint: str) -> str:
    """Return the scores of the test of this checkpoint, beside those of baselines."""
    test = run.results().get("test") or {}
    if test.get("checkpoint") != checkpoint:
        return "It was not tested."
    names = [name for name in test if name.startswith("test_")]
    scores = {name.removeprefix("test_"): test[name] for name in names}
    table = pd.DataFrame({"this model": scores} | test.get("baselines", {}))
    return f"{test['rows']:,} test rows" + _table(table)


def _table(frame: pd.DataFrame) -> str:
    """Return a table as aligned text, in a block of Markdown."""
    text = frame.to_string(float_format="{:.6g}".format, na_rep="", max_colwidth=60)
    return f"\n\n```text\n{text}\n```"
