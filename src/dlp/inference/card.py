"""Model card of an export, in the form of the Hugging Face Hub."""

from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from dlp.errors import reading
from dlp.inference.trained import encoder_of
from dlp.reader.answer import Answer
from dlp.reader.model import Model
from dlp.runs.folder import Run


def card(model: Model, run: Run, checkpoint: str, difference: str) -> str:
    """Return the text of the card.

    Args:
        model: Exported model.
        run: Run of the checkpoint, with its results.
        checkpoint: File name of the checkpoint.
        difference: Largest difference of the export, and its rows.
    """
    spec = model.spec
    encoder = encoder_of(spec.inputs)
    fields = model.reader.fields()
    takes = encoder.takes(spec.inputs)
    if fields:
        takes += _columns(fields)
    typical = model.reader.typical()
    python = "rows" if typical is None else f"[{typical!r}]"
    words = {"columns": "rows.csv", "json": "rows.json"}.get(model.reader.form, f'"{typical}"')
    goal = "classification" if spec.answer.task else "regression"
    counts = [f"{number:,} {part} rows" for part, number in spec.card.rows.items()]
    versions = [f"{name} {version}" for name, version in spec.card.versions.items()]
    template = Template(Path(__file__).with_suffix(".md").read_text("utf-8"))
    return template.substitute(
        data=spec.card.data,
        epoch=spec.card.epoch,
        title=f"{run.folder.resolve().parent.name} {run.folder.name}",
        task=f"{encoder.modality}-{goal}",
        takes=takes,
        gives=_answer(spec.answer),
        scores=_scores(run, checkpoint),
        rows=", ".join(counts),
        versions=", ".join(versions),
        checkpoint=checkpoint,
        difference=difference,
        packages=" pillow" if model.reader.form == "file" else "",
        words=words,
        python=python,
    )


def _columns(fields: list[dict[str, Any]]) -> str:
    """Return a line per column: its kind or categories, and a typical cell."""
    lines = {}
    for field in fields:
        kind = field["kind"]
        if field["categories"]:
            kind = ", ".join(text or "(missing)" for text in field["categories"][:9])
        lines[field["name"]] = {"kind or categories": kind, "typical cell": field["typical"]}
    return _table(pd.DataFrame(lines).T)


def _answer(answer: Answer) -> str:
    """Return what the model gives: classes or targets, and the rule from one to the other."""
    parts = ["values"]
    if answer.task is not None:
        parts = ["probabilities"]
        if answer.task != "multiclass":
            parts.append(f"threshold {answer.threshold:g}")
        if answer.temperature != 1:
            parts.append(f"temperature {answer.temperature:.3g}")
    if answer.coverage is not None:
        parts.append(f"coverage {answer.coverage:g}")
    return f"{', '.join(parts)}: {', '.join(answer.names)}"


def _scores(run: Run, checkpoint: str) -> str:
    """Return the scores of the test of this checkpoint, beside those of baselines."""
    with reading(run.folder / "results.json", "the results of a run"):
        test = run.results().get("test") or {}
        if test.get("checkpoint") != checkpoint or not test.get("rows"):  # of another one
            return "It was not tested."
        names = [name for name in test if name.startswith("test_")]
        scores = {name.removeprefix("test_"): test[name] for name in names}
        table = pd.DataFrame({"this model": scores} | test.get("baselines", {}))
        return f"{test['rows']:,} test rows" + _table(table)


def _table(frame: pd.DataFrame) -> str:
    """Return a table as aligned text, in a block of Markdown."""
    text = frame.to_string(float_format="{:.6g}".format, na_rep="")
    return f"\n\n```text\n{text}\n```"
