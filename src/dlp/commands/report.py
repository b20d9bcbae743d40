"""Command ``report``: one page of the files in a run's folder; nothing is computed anew."""

import base64
import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from dlp.console import say
from dlp.errors import InputError
from dlp.files import write_text
from dlp.runs.folder import find_runs

_FACTS = ("parameters", "seed", "seconds", "versions")
_MAX_ROWS = 50


def report(run: str, output: Path | None = None) -> Path:
    """Write one page of a run: numbers, curves, mistakes, heat maps, config.

    Args:
        run: Folder of the run, or the name of a config (its newest run).
        output: File of the page; None is ``report.html`` in the run's folder.
    """
    runs = find_runs(run, "config.yaml")
    if len(runs) > 1:
        raise InputError(f"{run} has {len(runs)} runs; give one, such as {runs[-1].folder}.")
    folder, results = runs[0].folder, runs[0].results()
    sections = [_tiles(results)]
    if baselines := (results.get("test") or {}).get("baselines"):
        frame = pd.DataFrame.from_dict(baselines, orient="index").rename_axis("baseline")
        sections.append(_section("Baselines on the test part", _table(frame.reset_index())))
    if calibration := results.get("calibration"):
        sections.append(_section("Calibration", _table(pd.DataFrame(calibration))))
    if (folder / "crossval.json").is_file():
        sections.append(_folds(folder / "crossval.json"))
    figures = sorted(folder.rglob("*.png"), key=lambda path: (path.stem != "curves", path))
    sections += map(_figure, figures)
    for name, heading in (("worst.csv", "The worst mistakes"), ("metrics.csv", "Every epoch")):
        if (folder / name).is_file() and (folder / name).stat().st_size > 1:
            sections.append(_section(heading, _table(pd.read_csv(folder / name))))
    facts = {name: results[name] for name in _FACTS if name in results}
    if facts:
        sections.append(_section("Training", _table(pd.json_normalize(facts, sep=" ").melt())))
    config = escape((folder / "config.yaml").read_text("utf-8"))
    sections.append(_section("Config", f"<pre>{config}</pre>"))
    template = Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
    title = f"{folder.resolve().parent.name} {folder.name}"
    page = template.substitute(
        title=escape(title), verdict=escape(results.get("verdict", "")), body="\n".join(sections)
    )
    path = output or folder / "report.html"
    write_text(path, page)
    say(f"wrote {path}")
    return path


def _tiles(results: dict[str, Any]) -> str:
    """Show the values of the best epoch and of the test."""
    tiles = [
        f'<div class="tile"><span>{escape(part)} {escape(name)}</span><b>{value:.4g}</b></div>'
        for part in ("best", "test")
        for name, value in (results.get(part) or {}).items()
        if isinstance(value, float)
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _folds(path: Path) -> str:
    content = json.loads(path.read_text("utf-8"))
    rows = [{"repeat": f["repeat"], "fold": f["fold"], **f["metrics"]} for f in content["folds"]]
    rows += [{"repeat": name, "fold": "", **content[name]} for name in ("mean", "std")]
    return _section("Folds", _table(pd.DataFrame(rows)))


def _figure(path: Path) -> str:
    heading = path.stem.replace("_", " ").capitalize()
    image = base64.b64encode(path.read_bytes()).decode()
    return _section(heading, f'<img src="data:image/png;base64,{image}" alt="{escape(heading)}">')


def _table(frame: pd.DataFrame) -> str:
    more = len(frame) - _MAX_ROWS
    html = frame.head(_MAX_ROWS).to_html(
        index=False, border=0, na_rep="", float_format="{:.4g}".format
    )
    note = f"<p>{more:,} more rows are in the file.</p>" if more > 0 else ""
    return f'<div class="scroll" tabindex="0">{html}</div>{note}'


def _section(heading: str, content: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{content}</section>"
