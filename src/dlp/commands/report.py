"""Command ``report``: one page of the files in a run's folder; nothing is computed anew."""

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from dlp.console import say
from dlp.errors import InputError, reading
from dlp.files import write_text
from dlp.runs.folder import Run, find_runs

_FACTS = ("parameters", "seed", "seconds", "versions")
_MAX_ROWS = 50
_WORDS = {
    "index": "row",
    "lead": "lead over this model",
    "mae": "mean error",
    "name": "class",
    "nll": "log loss",
    "ece": "calibration error",
    "standard_errors": "in standard errors",
    "support": "rows",
}
_NOTE = (
    "Lead: by how much the error of a simple model, the share of wrong rows or the mean error, is "
    "smaller; beyond 2 standard errors it is more than chance."
)


def report(run: str, output: Path | None = None) -> Path:
    """Write one page of a run: a sentence, scores, mistakes, figures, data, config.

    Args:
        run: Folder of the run, or the name of a config (its newest run).
        output: File of the page; None is ``report.html`` in the run's folder.
    """
    runs = find_runs(run, "config.yaml", "fit or crossval")
    if len(runs) > 1:
        raise InputError(f"{run} has {len(runs)} runs; give one, such as {runs[-1].folder}.")
    folder = runs[0].folder
    page_path = output or folder / "report.html"
    with reading(folder, "a run"):
        page = _page(runs[0])
    write_text(page_path, page)
    say(f"wrote {page_path}")
    return page_path


def _page(run: Run) -> str:
    """Return the page of a run; a section whose slot stays empty is hidden."""
    folder = run.folder
    results = run.results()
    test = results.get("test") or {}
    template = Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
    slots = defaultdict[str, str](str)
    for path in sorted(folder.rglob("*.png")):
        slot = path.stem if path.stem in template.get_identifiers() else "figures"
        pixels = base64.b64encode(path.read_bytes()).decode()
        image = f'<img src="data:image/png;base64,{pixels}" alt="{escape(path.stem)}">'
        slots[slot] += f'<div class="scroll" tabindex="0">{image}</div>'
    for name in ("worst", "suspects", "metrics"):
        path = folder / f"{name}.csv"
        if path.is_file() and path.stat().st_size > 1:
            slots[name] += _table(pd.read_csv(path))
    if (folder / "crossval.json").is_file():
        slots["folds"] = _table(_folds(folder / "crossval.json"))
    if test:
        own = {name: test[name] for name in test if isinstance(test[name], float)}
        scores = pd.DataFrame(test.get("baselines") or {"this model": own}).T
        scores = scores.rename(index=_readable).rename_axis("model")
        slots["scores"] = _table(scores.reset_index())
        slots["note"] = _NOTE if "lead" in scores else ""
    slots["classes"] = _table(pd.DataFrame(test.get("classes")))
    slots["sentence"] = escape(run_sentence(run))
    slots["title"] = escape(f"{folder.resolve().parent.name} {folder.name}")
    slots["verdict"] = escape(results.get("verdict", ""))
    slots["calibration"] = _table(pd.DataFrame(results.get("calibration")))
    slots["data"] = _facts({"date": results.get("date"), **(results.get("data") or {})})
    slots["training"] = _facts({name: results.get(name) for name in _FACTS})
    slots["config"] = escape((folder / "config.yaml").read_text("utf-8"))
    return template.substitute(slots)


def run_sentence(run: Run) -> str:
    """Return the `sentence` of a run; empty without a test."""
    path = run.folder / "mistakes.json"
    if not path.is_file():
        return ""
    mistakes = json.loads(path.read_text("utf-8"))
    test = run.results().get("test") or {}
    return sentence(mistakes, test.get("baselines") or {})


def sentence(mistakes: Mapping[str, Any], baselines: Mapping[str, Any]) -> str:
    """Say in plain words how good a model is, beside a constant answer.

    Args:
        mistakes: Content of ``mistakes.json``.
        baselines: Scores by the name of a baseline.
    """
    rows = mistakes["rows"]
    if mistakes["task"] == "regression":
        errors = [f"{each['name']} by {_digits(each['mae'])}" for each in mistakes["targets"]]
        text = f"Misses {', '.join(errors)} on average"
        guess = baselines.get("median", {}).get("mae")
        if guess is not None and len(errors) == 1:
            text += f"; always guessing the median misses by {_digits(guess)}"
        return f"{text} ({rows:,} rows)."
    classes: Any = pd.DataFrame(mistakes["classes"])
    classes["found"] = (classes["recall"] * classes["support"]).round().astype(int)
    right = f"{1 - mistakes['wrong'] / rows:.1%}"
    if mistakes["task"] == "multilabel":
        found, labels = classes[["found", "support"]].sum()
        return f"Finds {found:,} of {labels:,} labels; {right} of {rows:,} rows are all right."
    text = ""
    if len(classes) == 2:
        rare = classes.iloc[1]
        text = f"Finds {rare.found:,} of {rare.support:,} “{rare['name']}”, and is right in "
        text += f"{rare.precision:.1%} of those that it names. "
    common = classes.loc[classes["support"].idxmax()]
    text += f"{right} of {rows:,} rows are right; always saying “{common['name']}” is right in "
    return f"{text}{common.support / rows:.1%}."


def _folds(path: Path) -> pd.DataFrame:
    """Return the scores of each fold, their mean and their standard deviation."""
    content = json.loads(path.read_text("utf-8"))
    folds = pd.json_normalize(content["folds"])
    folds.columns = folds.columns.str.removeprefix("metrics.")
    summary = pd.DataFrame([content["mean"], content["std"]])
    return pd.concat([folds, summary.assign(repeat=["mean", "std"])])


def _facts(facts: Mapping[str, Any]) -> str:
    """Show a line per fact."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{_readable(key)} {value[key]}" for key in value)
        if value is not None:
            lines.append((_readable(name), str(value)))
    return _table(pd.DataFrame(lines, columns=["fact", "value"]))


def _table(frame: pd.DataFrame) -> str:
    """Show the first rows of a table, if it has any; texts are on the left."""
    if frame.empty:
        return ""
    kinds = ["number" if is_numeric_dtype(kind) else "text" for kind in frame.dtypes]
    lines = [_line("th", kinds, map(_readable, frame.columns))]
    for row in frame.head(_MAX_ROWS).itertuples(index=False):
        lines.append(_line("td", kinds, row))
    return f'<div class="scroll" tabindex="0"><table>{"".join(lines)}</table></div>'


def _line(tag: str, kinds: Iterable[str], values: Iterable[Any]) -> str:
    """Return a row of a table."""
    cells = []
    for kind, value in zip(kinds, values, strict=True):
        cells.append(f'<{tag} class="{kind}"><div>{escape(_digits(value))}</div></{tag}>')
    return f"<tr>{''.join(cells)}</tr>\n"


def _digits(value: Any) -> str:
    """Return a fraction with three significant digits, or with all of its integer part."""
    if not isinstance(value, float):
        return str(value)
    if value != value:
        return ""
    if abs(value) >= 100 or value.is_integer():
        return f"{value:.0f}"
    return f"{value:.3g}"


def _readable(name: str) -> str:
    """Return a name in words."""
    return _WORDS.get(name, name.replace("_", " "))
