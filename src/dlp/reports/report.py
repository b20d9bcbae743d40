"""``dlp report``: one page that tells all of a run, to be read in any browser and passed on."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dlp import __version__
from dlp.commands.building import build_trained, working
from dlp.commands.invocation import started
from dlp.console import say
from dlp.errors import InputError, MissingInputError
from dlp.files import check_place, write_text
from dlp.named_configs import recipes, run_name, variations
from dlp.recipe import Recipe
from dlp.reports.folds_page import folds_page
from dlp.reports.page import Block, Page, Paragraph, render
from dlp.reports.sections import sections
from dlp.reports.trained_run import Trained, tiles
from dlp.runs.folders import Run, config_name, existing_checkpoint, run_of, runs_of
from dlp.runs.origin import is_of
from dlp.runs.record import read_run

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


def report(options: Sequence[str]) -> None:
    """Run ``dlp report RUN`` with its options.

    Raises:
        InputError: There is no such run, or the page cannot be written.
    """
    given, *others = options or [""]
    if {"-h", "--help"} & set(options):
        print(HELP)
        return
    if not given or given.startswith("-"):
        raise InputError(
            "report: name the run first: its folder, a checkpoint, or the name of its config. For "
            "example: dlp report quickstart"
        )
    run, checkpoint = find_run(given)
    if not (run.folder / "crossval.json").is_file() and checkpoint is None:
        checkpoint = _tested(run) or run.checkpoint()
    if checkpoint is not None:
        recipe, path = started("test", ["--ckpt_path", str(checkpoint), *others], ReportOptions)
        assert path is not None
        report_checkpoint(recipe, path, run)
        return
    output = _only_output(others)
    if output:
        check_place(Path(output))
    if (run.folder / "crossval.json").is_file():
        page = folds_page(run.folder, about(run.folder), _footer(run.folder))
    else:
        missing = f"{run.folder} has no checkpoint."
        page = run_page(Trained(read_run(run.folder), problem=missing))
    _write(page, Path(output or run.folder / "report.html"))


def report_checkpoint(recipe: Recipe, checkpoint: Path, run: Run) -> None:
    """Write the page of a run and one of its checkpoints.

    Where data and model cannot be had, the page says why and shows the rest.

    Args:
        recipe: Of the run; its `output` is the file to write.
        checkpoint: What the page is about.
        run: The run.

    Raises:
        InputError: The page cannot be written.
    """
    output = Path(recipe.run.output or run.folder / "report.html")
    if recipe.run.output:
        check_place(output)
    with working(recipe):
        recorded = read_run(run.folder)
        try:
            data, model = build_trained(recipe, checkpoint)
        except InputError as error:
            say(f"without data and model: {error}")
            trained = Trained(recorded, checkpoint, problem=str(error))
        else:
            trained = Trained(recorded, checkpoint, model.eval(), data)
        page = run_page(trained)
    if not recipe.is_trial:
        _write(page, output)


def find_run(given: str) -> tuple[Run, Path | None]:
    """Return the run that is meant, and the checkpoint if one was named.

    Args:
        given: A run's folder, a checkpoint, or the name of a config (several joined by ``+``) or
            its path: then its newest run.

    Raises:
        InputError: There is no such run, or it has recorded nothing.
    """
    path = Path(given)
    if path.suffix == ".ckpt":
        checkpoint = existing_checkpoint(given)
        run = run_of(checkpoint)
        if run is None:
            raise InputError(f"{given} lies in no run's folder (no config.yaml beside it).")
        return _recorded(run), checkpoint
    if path.is_dir() and (_is_recorded(Run(path)) or len(path.parts) > 1):
        return _recorded(Run(path)), None
    named = runs_of(given) if len(path.parts) == 1 else []
    name = given if named else run_name([given] if path.is_file() else given.split("+"))
    for run in named or runs_of(name):
        if _is_recorded(run) and (not path.is_file() or is_of(run, [given])):
            say(f"the newest run of {name} is {run.folder}")
            return run, None
    configs = " --config ".join([given] if path.is_file() else name.split("+"))
    raise MissingInputError(
        f"no run of {name!r} below ./runs has recorded an epoch: train one by dlp fit --config "
        f"{configs}, or give a run's folder."
    )


def _is_recorded(run: Run) -> bool:
    return any((run.folder / name).is_file() for name in ("history.json", "crossval.json"))


def _recorded(run: Run) -> Run:
    if not _is_recorded(run):
        raise MissingInputError(
            f"{run.folder} holds neither history.json nor crossval.json: it is no run's folder, or "
            "no epoch of it has ended."
        )
    return run


def _tested(run: Run) -> Path | None:
    """Return the checkpoint of the run's last test, so that all of the page is about one model."""
    results = read_run(run.folder).results
    place = (results.get("test") or results.get("validation") or {}).get("checkpoint")
    path = run.folder / place if place else None  # an absolute place stays as it is
    return path if path is not None and path.is_file() else None


def _only_output(options: Sequence[str]) -> str | None:
    """Return ``--output`` where no other option makes sense: nothing is read but the run's files.

    Raises:
        InputError: There are others.
    """
    words = [part for option in options for part in option.split("=", 1)]
    if not words:
        return None
    if words[0] != "--output" or len(words) != 2:
        raise InputError(f"report: without a checkpoint --output is the one option; got {words}.")
    return words[1]


def run_page(trained: Trained) -> Page:
    """Return the page of a run."""
    run = trained.run
    verdict = run.epochs.advice(run.monitor)
    notes: list[Block] = []
    for step in trained.next_steps:
        evaluates = step == trained.test_command
        what = f"Not evaluated on the {trained.part_name} yet; this does it:"
        notes.append(Paragraph(what if evaluates else "The next step:", step))
    return Page(
        about(run.folder) or run.name,
        f"{run.name} · {run.folder.name}",
        _date(run.folder / "history.json"),
        f"{verdict}.",
        tiles(trained),
        notes,
        sections(trained),
        _footer(run.folder),
    )


def about(folder: Path) -> str:
    """Return what a run is of, by the first comment of its configs; empty if they are not known."""
    name = config_name(folder)
    known = {**variations(), **recipes()}
    texts = []
    for part in name.split("+"):
        path = known.get(part, Path(f"{part}.yaml"))
        text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
        comment = re.match(r"\s*#+ *(.+)", text)
        if comment is None:
            return ""
        texts.append(comment[1].strip())
    return "; ".join(texts)


def _date(path: Path) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))


def _footer(folder: Path) -> str:
    now = time.strftime("%Y-%m-%d %H:%M")
    return f"Made from {folder} on {now} by dlp {__version__} with torch {torch.__version__}."


def _write(page: Page, path: Path) -> None:
    text = render(page)
    try:
        write_text(path, text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
    say(f"wrote {path} ({len(text.encode()) / 1000:,.0f} kB)")
