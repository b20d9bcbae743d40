"""Model card of an export, in the form of the Hugging Face Hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from dlp.runs.folder import Run

#: Kind of the inputs -> start of its task on the Hub, what it takes, words and Python of its use.
_KINDS = {
    "text": ("text", "texts: {num_words} {tokens}, {encoding}", '"a text"', '["a text"]'),
    "table": ("tabular", "rows with these columns:", "rows.csv", "[{typical}]"),
    "image": ("image", "images: {height} x {width} x {channels}", "a.jpg", '["a.jpg"]'),
    "array": ("array", "arrays with rows of shape {shape}", "rows.npy", "rows"),
}


def card(entry: Mapping[str, Any], run: Run, checkpoint: str, difference: str) -> str:
    """Return the text of the card.

    Args:
        entry: Entry ``use`` of the checkpoint.
        run: Run of the checkpoint, with its results.
        checkpoint: File name of the checkpoint.
        difference: Largest difference of the export, and its rows.
    """
    head, inputs, facts = entry["head"], entry["inputs"], entry["card"]
    kind, takes, words, python = _KINDS[inputs["kind"]]
    takes, goal, gives = takes.format(**inputs), "regression", "values"
    if kind == "tabular":
        kinds = dict.fromkeys([*inputs["scales"], *inputs["indicators"]], "number")
        for name, texts in inputs["categories"].items():
            kinds[name] = ", ".join(text or "(missing)" for text in texts[:9])
        typical = {name: inputs["typical"][name] for name in kinds}
        takes += _table({"kind or categories": kinds, "typical cell": typical})
        python = python.format(typical=typical)
    if head["task"]:
        goal, gives = "classification", f"probabilities, threshold {head['threshold']:g}"
        if "temperature" in head:
            gives += f", temperature {head['temperature']:.3g}"
    scores, test = "It was not tested.", run.results().get("test") or {}
    if test.get("checkpoint") == checkpoint and test.get("rows"):  # not another one of the run
        model = {k.removeprefix("test_"): v for k, v in test.items() if k.startswith("test_")}
        scores = f"{test['rows']:,} test rows"
        scores += _table({"this model": model, **test["baselines"]})
    spread = "One fit: how others would differ was not measured."
    if (folds := run.folder / "crossval.json").is_file():
        summary = json.loads(folds.read_text("utf-8"))
        spread = f"{len(summary['folds'])} folds"
        spread += _table({name: summary[name] for name in ("mean", "std")})
    return Template(Path(__file__).with_suffix(".md").read_text("utf-8")).substitute(
        facts,
        title=f"{run.folder.resolve().parent.name} {run.folder.name}",
        task=f"{kind}-{goal}",
        takes=takes,
        gives=f"{gives}: {', '.join(head['names'])}",
        scores=scores,
        spread=spread,
        rows=", ".join(f"{number:,} {part} rows" for part, number in facts["rows"].items()),
        versions=", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        checkpoint=checkpoint,
        difference=difference,
        packages=" pillow" if kind == "image" else "",
        words=words,
        python=python,
    )


def _table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Return columns as aligned text, in a block of Markdown."""
    text = pd.DataFrame(columns).to_string(float_format="{:.6g}".format, na_rep="")
    return f"\n\n```text\n{text}\n```"
