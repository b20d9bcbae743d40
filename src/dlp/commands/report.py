"""Command ``report``: write a page from the files in a run folder, as they are."""

import base64
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

import pandas as pd

from dlp.console import digits, say
from dlp.errors import check_choice, reading
from dlp.files import write_text
from dlp.runs.folder import Results, Run
from dlp.runs.scores import test_scores, threshold_note

_LONG = r"(?s)(.{500}).+"
_WORDS = {
    "acc": "accuracy",
    "auroc": "area under ROC",
    "ece": "calibration error",
    "lead": "error smaller by",
    "mae": "mean error",
    "nll": "log loss",
    "support": "rows",
}


def report(run: str, output: Path | None = None) -> Path:
    """Write an HTML page about a run that can be sent to colleagues.

    The page contains a sentence about the result, the scores next to the scores of the baselines,
    the mistakes, the figures, the data and the config. It is a single file that needs no other
    files. The command reads the files in the folder of the run. A fit has test scores only after
    ``dlp test``, or if its config sets ``test_after_fit``.

    Args:
        run: Folder of a run or of several runs, or name of a config (its newest run).
        output: File of the page. None means ``report.html`` in the folder of the run.
    """
    record = Run.find(run, "record")
    page_path = output or record.folder / "report.html"
    check_choice("ending of --output", page_path.suffix, (".html",))
    with reading(record.folder, "a run"):
        page = _page(record)
    write_text(page_path, page)
    say(f"wrote {page_path}")
    return page_path


def _page(run: Run) -> str:
    """Return the page of a run. The page hides each section that remains empty."""
    template = Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
    slots = dict.fromkeys(template.get_identifiers(), "")
    for path in sorted(run.folder.rglob("*.png")):
        slot = path.stem if path.stem in slots else "figures"
        pixels = base64.b64encode(path.read_bytes()).decode()
        image = f'<img src="data:image/png;base64,{pixels}" alt="{escape(path.stem)}">'
        slots[slot] += f'<div class="scroll" tabindex="0">{image}</div>'
    results = run.results()
    for name, table in _tables(run, results).items():
        slots[name] += _html(table)
    title = " ".join(run.folder.resolve().parts[-2:])
    target = (results.get("data") or {}).get("target")
    if target:
        title += f" predicts {target}"
    slots["title"] = escape(title)
    slots["sentence"] = escape(results.get("test", {}).get("summary", ""))
    note = threshold_note(results)
    if note:
        note += " The scores per epoch use the threshold of the training."
        slots["note"] = f"<p>{escape(note)}</p>"
    slots["verdict"] = escape(results.get("verdict", ""))
    if run.config.is_file():  # a run from Python has none
        slots["config"] = escape(run.config.read_text("utf-8"))
    return template.substitute(slots)


def _tables(run: Run, results: Results) -> dict[str, pd.DataFrame]:
    """Return the tables of a page by their slots in the template."""
    tables = {
        "scores": _by_row("model", test_scores(results)),
        "classes": pd.DataFrame(results.get("test", {}).get("classes")),
        "calibration": pd.DataFrame(results.get("calibration")),
        "data": _facts({"date": results.get("date"), **(results.get("data") or {})}),
    }
    for name in ("worst", "suspects", "metrics"):
        path = run.folder / f"{name}.csv"
        if path.is_file():
            # Ids such as 007 and classes such as None remain texts.
            table = pd.read_csv(path, converters={0: str}, keep_default_na=False, na_values=[""])
            values = table.columns.intersection(["true", "predicted"])
            if "probability" not in table:  # values, not classes, get the number format
                table[values] = table[values].astype(float)
            tables[name] = table
    path = run.folder / "crossval.json"
    if path.is_file():
        content = json.loads(path.read_text("utf-8"))
        rows = {f"{fold['repeat']}, {fold['fold']}": fold["metrics"] for fold in content["folds"]}
        rows |= {"mean": content["mean"], "std": content["std"]}
        tables["folds"] = _by_row("repeat, fold", rows)
    return tables


def _by_row(title: str, rows: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """Return a table with the names of the rows in its first column."""
    return pd.DataFrame(rows).T.rename(index=_readable).rename_axis(title).reset_index()


def _facts(facts: Mapping[str, object]) -> pd.DataFrame:
    """Return a table with one row for each fact that is known."""
    lines = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{_readable(key)} {value[key]}" for key in value)
        if value not in (None, ""):
            lines[_readable(name)] = str(value)
    return pd.DataFrame(lines.items())


def _html(table: pd.DataFrame) -> str:
    """Return a table as HTML, with long texts cut off. A table without rows gives an empty text."""
    if table.empty:
        return ""
    rows = table.rename(columns=_readable).replace(_LONG, r"\1 …", regex=True)
    text = rows.to_html(index=False, border=0, na_rep="", float_format=digits)
    return f'<div class="scroll" tabindex="0">{text}</div>'


def _readable(name: object) -> str:
    """Return a name as words that a reader of the page understands."""
    text = str(name)
    return _WORDS.get(text, text.replace("_", " "))
