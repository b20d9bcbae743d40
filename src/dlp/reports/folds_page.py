"""The page of a cross-validation: folds, their mean and spread, the mean curves."""

from pathlib import Path

from dlp.commands import next_steps
from dlp.config_files import read_config
from dlp.folds import CrossValidation, read_folds
from dlp.number_words import score_in_words
from dlp.reports import page
from dlp.reports.page import Block, Page, Section, Tile, section
from dlp.reports.trained_run import against_baseline, config_blocks, curve_drawings, test_tiles
from dlp.runs.folders import config_name
from dlp.visualization.comparison import metric_words
from dlp.visualization.curves import fold_curves

#: More folds than this are folded away.
_LONG = 12


def folds_page(folder: Path, title: str, footer: str) -> Page:
    """Return the page of the cross-validation in a folder."""
    result = read_folds(folder)
    name = config_name(folder)
    sections = [
        Section("folds", "Folds", _folds(result)),
        Section("curves", "Mean curves", _curves(result)),
        _refit(result),
        Section("data", "Protocol", [page.Facts(_facts(result, folder))]),
        section("config", "Config", lambda: config_blocks(folder, "crossval")),
    ]
    return Page(
        title,
        f"{name} · {folder.name} · cross-validation of {len(result.folds)} folds",
        page.moment((folder / "crossval.json").stat().st_mtime),
        _verdict(result),
        _tiles(result),
        _next(result, folder),
        sections,
        footer,
    )


def _verdict(result: CrossValidation) -> str:
    if result.refit is None:
        advice = result.advice()
    else:
        epoch, value = result.best()
        curve = "smoothed mean" if result.smoothing else "mean"
        advice = (
            f"the {curve} {result.monitor} was best at epoch {epoch} ({score_in_words(value)}); a "
            "model was then trained on everything for so many epochs"
        )
        advice += " and tested once" if result.refit else "; there is no test part"
    return f"{advice[:1].upper()}{advice[1:]}."


def _next(result: CrossValidation, folder: Path) -> list[Block]:
    found = None if result.refit is not None else result.verdict()
    if found is None:
        return []
    epochs = len(result.curves[result.monitor])
    return [page.Paragraph("The next step:", next_steps.after_folds(found, epochs, folder))]


def _tiles(result: CrossValidation) -> list[Tile]:
    epoch, value = result.best()
    curve = "smoothed mean curve" if result.smoothing else "mean curve"
    last = max(map(len, result.curves.values()))
    made = [
        Tile("Best epoch", epoch, f"of {last}, by the {curve} of {result.monitor}"),
        Tile(f"Best mean {metric_words(result.monitor)}", value, f"at epoch {epoch}"),
    ]
    for name in result.val_metrics:
        mean, error = result.mean[name], f"standard error {result.standard_error[name]:.2g}"
        note, tone = against_baseline(name, mean, result.baseline, result.directions)
        words = f"Mean {metric_words(name)} at the last epoch"
        made.append(Tile(words, mean, f"{note}, {error}" if note else error, tone))
    return made + test_tiles(result.refit or {}, result.directions, {})


def _folds(result: CrossValidation) -> list[Block]:
    names = result.val_metrics
    folds: list[list[page.Cell]] = [
        [
            f"repeat {of.repeat}, fold {of.fold}",
            of.num_train,
            of.num_val,
            *map(of.metrics.get, names),
        ]
        for of in result.folds
    ]
    summary: list[list[page.Cell]] = [
        [label, "", "", *cells] for label, cells in result.summary.items()
    ]
    head = ["fold", "trained on", "validated on", *names]
    caption = "At the last epoch"
    if len(folds) <= _LONG:
        return [page.Table(caption, head, [*folds, *summary], last=len(summary))]
    every = page.Folded(f"All {len(folds)} folds", [page.Table("All folds", head, folds)])
    return [page.Table(caption, ["", *head[1:]], summary), every]


def _curves(result: CrossValidation) -> list[Block]:
    best = (result.monitor, result.best_epoch)
    drawings = curve_drawings(
        result.curves,
        lambda curves: fold_curves(curves, result.spreads, best, result.smoothing or 0.9),
        ", mean over the folds,",
    )
    about = (
        "The mean over the folds, with their standard deviation as a band; below it, for 30 epochs "
        "or more, without its first 10 points and smoothed."
    )
    return [page.Paragraph(about), page.Row(drawings)]


def _refit(result: CrossValidation) -> Section:
    title = "Trained on everything, tested once"
    if result.refit is None:
        reason = f"not done yet; the option --refit does it, for {result.best_epoch} epochs."
        return Section("refit", title, reason=reason)
    if not result.refit:
        reason = f"it was trained for {result.best_epoch} epochs, and there is no test part."
        return Section("refit", "Trained on everything", reason=reason)
    tiles = test_tiles(dict(result.refit), result.directions, {})
    rows = [[tile.label, tile.value] for tile in tiles]
    epochs = f"After {result.best_epoch} epochs on all that the test part leaves"
    return Section("refit", title, [page.Table(epochs, ["metric", "value"], rows)])


def _facts(result: CrossValidation, folder: Path) -> list[tuple[str, str]]:
    first = result.folds[0]
    facts = [
        ("Folds", f"{len(result.folds)} of {result.num_folds} done"),
        ("Monitored", result.monitor),
        ("Engine", result.engine),
        ("Seeds", ", ".join(str(fold.seed) for fold in result.folds[:8])),
    ]
    if parameters := first.parameters:
        facts.append(("Parameters", f"{parameters['total']:,}"))
    protocol = folder / "crossval.yaml"
    if protocol.is_file():
        settings = read_config(protocol)
        facts += [(name, str(value)) for name, value in settings.items() if value is not None]
    return facts
