"""Command ``report``: one page of the files in a run's folder; nothing is computed anew."""

import base64
import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from dlp.console import say
from dlp.errors import InputError, reading
from dlp.files import write_text
from dlp.runs.folder import Run, find_runs

_FACTS = ("parameters", "seed", "seconds", "versions")
_MAX_ROWS = 50
_FILES = {
    "worst.csv": "The worst mistakes",
    "suspects.csv": "Labels in doubt",
    "metrics.csv": "Every epoch",
}


def report(run: str, output: Path | None = None) -> Path:
    """Write one page of a run: numbers, curves, mistakes, heat maps, config.

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
    """Return the page of a run."""
    folder = run.folder
    results = run.results()
    test = results.get("test") or {}
    sections = {}
    if test.get("baselines"):
        baselines = pd.DataFrame(test["baselines"]).T.rename(index=_readable)
        baselines = baselines.rename_axis("baseline").reset_index()
        sections["Baselines on the test part"] = _table(baselines)
    if "calibration" in results:
        sections["Calibration"] = _table(pd.DataFrame(results["calibration"]))
    if (folder / "crossval.json").is_file():
        sections["Folds"] = _table(_folds(folder / "crossval.json"))
    for path in sorted(folder.rglob("*.png"), key=lambda path: (path.stem != "curves", path)):
        parts = path.relative_to(folder).with_suffix("").parts
        heading = ": ".join(map(_readable, parts[-2:]))
        heading = heading[0].upper() + heading[1:]
        pixels = base64.b64encode(path.read_bytes()).decode()
        sections[heading] = f'<img src="data:image/png;base64,{pixels}" alt="{escape(heading)}">'
    for name, heading in _FILES.items():
        file = folder / name
        if file.is_file() and file.stat().st_size > 1:
            sections[heading] = _table(pd.read_csv(file))
    facts = {name: results[name] for name in _FACTS if name in results}
    if facts:
        sections["Training"] = _table(pd.json_normalize(facts, sep=" ").melt(var_name="fact"))
    config = (folder / "config.yaml").read_text("utf-8")
    sections["Config"] = f"<pre>{escape(config)}</pre>"
    body = _tiles("best", results.get("best") or {}) + _tiles("test", test)
    for heading, content in sections.items():
        body += f"<section><h2>{escape(heading)}</h2>{content}</section>\n"
    template = Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
    return template.substitute(
        title=escape(f"{folder.resolve().parent.name} {folder.name}"),
        verdict=escape(results.get("verdict", "")),
        body=body,
    )


def _folds(path: Path) -> pd.DataFrame:
    """Return the scores of each fold, their mean and their standard deviation."""
    content = json.loads(path.read_text("utf-8"))
    folds = pd.json_normalize(content["folds"])
    folds.columns = folds.columns.str.removeprefix("metrics.")
    summary = pd.DataFrame([content["mean"], content["std"]])
    return pd.concat([folds, summary.assign(repeat=["mean", "std"])])


def _tiles(part: str, scores: dict[str, Any]) -> str:
    """Show the values of the best epoch or of the test."""
    tiles = []
    for name, value in scores.items():
        if isinstance(value, float):
            label = escape(f"{part} {_readable(name.removeprefix('test_'))}")
            tiles.append(f'<div class="tile"><span>{label}</span><b>{value:.6g}</b></div>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _table(frame: pd.DataFrame) -> str:
    html = frame.rename(columns=_readable).to_html(
        index=False,
        border=0,
        na_rep="",
        float_format="{:.6g}".format,
        max_rows=_MAX_ROWS,
    )
    return f'<div class="scroll" tabindex="0">{html}</div>'


def _readable(name: str) -> str:
    """Return a name in words."""
    return name.replace("_", " ")
