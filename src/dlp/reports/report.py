"""``dlp report``: one page that tells all of a run, to be read in any browser and passed on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dlp import __version__
from dlp.commands.building import build_trained, working
from dlp.commands.invocation import started
from dlp.console import say
from dlp.errors import InputError
from dlp.files import check_place, write_text
from dlp.named_configs import about, recipes, variations
from dlp.recipe import Recipe
from dlp.reports.folds_page import folds_page
from dlp.reports.page import Page, moment, render
from dlp.reports.sections import sections
from dlp.reports.trained_run import Trained, tiles
from dlp.runs.finding import find_run
from dlp.runs.folders import Run, config_name
from dlp.runs.record import read_results, read_run

HELP = """usage: dlp report RUN [--output FILE] [--KEY VALUE ...]

Writes report.html into the folder of a run: its numbers beside what guessing gives, curves, data,
mistakes, samples, heat maps, layers and config, in one file that needs no network.

A RUN is a run's folder, a checkpoint, or the name of a config (its newest run). Of a
cross-validation the page shows the folds.

options:
  --output FILE   where to write the page (default: report.html in the run's folder)
  --KEY VALUE     any option of dlp test, such as --data.data_dir where the data has moved

examples:
  dlp report quickstart
  dlp report runs/imdb/version_0 --output imdb.html"""


@dataclass(frozen=True)
class ReportOptions:
    """The options of ``dlp report``.

    Args:
        output: Where to write the page (default: report.html in the run's folder).
    """

    output: str | None = None


def main(words: Sequence[str]) -> None:
    """Run ``dlp report`` with the words that stand after it.

    Raises:
        InputError: There is no such run, or an option is none that is accepted; or see `report`.
    """
    if {"-h", "--help"} & set(words):
        print(HELP)
        return
    given, *others = words or [""]
    if not given or given.startswith("-"):
        raise InputError(
            "report: name the run first: its folder, a checkpoint, or the name of its config. For "
            "example: dlp report quickstart"
        )
    run, checkpoint = find_run(given)
    if not run.is_crossval and checkpoint is None:
        checkpoint = _tested(run) or run.checkpoint()
    if checkpoint is not None:
        recipe, path = started("test", ["--ckpt_path", str(checkpoint), *others], ReportOptions)
        report(run, recipe, path, recipe.run.output)
        return
    parts = [part for word in others for part in word.split("=", 1)]
    if parts and (parts[0] != "--output" or len(parts) != 2):
        raise InputError(f"report: without a checkpoint --output is the one option; got {parts}.")
    report(run, output=parts[1] if parts else None)


def report(
    run: Run,
    recipe: Recipe | None = None,
    checkpoint: Path | None = None,
    output: str | None = None,
) -> None:
    """Write the page of a run, or of a cross-validation.

    Where data and model cannot be had, the page says why and shows the rest.

    Args:
        run: The run.
        recipe: The run's own.
        checkpoint: What the page is about; without one it tells what the run's files tell.
        output: The file to write; None for report.html in the run's folder.

    Raises:
        InputError: The page cannot be written, or the files of the run cannot be read.
    """
    path = Path(output or run.folder / "report.html")
    if output:
        check_place(path)
    if recipe is not None and checkpoint is not None:
        with working(recipe):
            page = run_page(_trained(run, recipe, checkpoint))
        if recipe.is_trial:
            return
    elif run.is_crossval:
        page = folds_page(run.folder, _title(run.folder), _footer(run.folder))
    else:
        missing = f"{run.folder} has no checkpoint."
        page = run_page(Trained(read_run(run.folder), problem=missing))
    text = render(page)
    try:
        write_text(path, text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
    say(f"wrote {path} ({len(text.encode()) / 1000:,.0f} kB)")


def _trained(run: Run, recipe: Recipe, checkpoint: Path) -> Trained:
    recorded = read_run(run.folder)
    try:
        data, model = build_trained(recipe, checkpoint)
    except InputError as error:
        say(f"without data and model: {error}")
        return Trained(recorded, checkpoint, problem=str(error))
    return Trained(recorded, checkpoint, model.eval(), data)


def _tested(run: Run) -> Path | None:
    """Return the checkpoint of the run's last test, so that all of the page is about one model."""
    results = read_results(run.folder)
    place = (results.get("test") or results.get("validation") or {}).get("checkpoint")
    path = run.folder / place if place else None  # an absolute place stays as it is
    return path if path is not None and path.is_file() else None


def run_page(trained: Trained) -> Page:
    """Return the page of a run."""
    run = trained.run
    return Page(
        _title(run.folder),
        f"{run.name} · {run.folder.name}",
        moment((run.folder / "history.json").stat().st_mtime),
        f"{run.epochs.advice(run.monitor)}.",
        tiles(trained),
        trained.next_steps,
        sections(trained),
        _footer(run.folder),
    )


def _title(folder: Path) -> str:
    """Return what a run is of, as its configs say it; its name if they do not, or are not known."""
    name, known = config_name(folder), {**variations(), **recipes()}
    paths = [known.get(part, Path(f"{part}.yaml")) for part in name.split("+")]
    texts = [about(path) if path.is_file() else "" for path in paths]
    return "; ".join(texts) if all(texts) else name


def _footer(folder: Path) -> str:
    return f"Made from {folder} on {moment()} by dlp {__version__} with torch {torch.__version__}."
