"""The sections of a run's report, each from the files of the run, its data or its model."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from torch import Tensor

from dlp.commands.visualize.images import has_images
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError
from dlp.evaluation.evaluated_part import check_rows, describe_rows
from dlp.evaluation.fitted_baselines import EvaluatedPart, fitted_verdict
from dlp.evaluation.mistake_files import worst_table
from dlp.evaluation.mistakes import (
    ClassificationMistakes,
    Mistakes,
    MultilabelMistakes,
    RegressionMistakes,
    WrongClass,
)
from dlp.reports import page
from dlp.reports.page import Block, Label, Section, number, plural, section
from dlp.reports.trained_run import Trained, config_blocks, curve_drawings
from dlp.runs.record import Setting
from dlp.visualization import mistake_figures as draw
from dlp.visualization.curves import learning_curves

_SAMPLES = 8
_HEATMAPS = 4
_SPLIT = (
    *("val_size", "test_size", "train_size", "split_seed", "stratify", "num_folds"),
    *("group_column", "time_column", "drop_duplicates", "test_path", "per_class"),
)
_FOLDS = ("fold", "repeat")
_PARTS: dict[EvaluatedPart, str] = {"val": "validation", "test": "test"}
#: Longer tables are folded.
_LONG, _ROWS = 12, 30
#: Words of a text that are shown, and columns of a table.
_WORDS, _COLUMNS = 200, 30


def sections(trained: Trained) -> list[Section]:
    """Return the sections of a run's page, in order."""
    return [
        section("data", "Data and split", lambda: data_and_split(trained)),
        section("reading", "What was read", lambda: reading(trained)),
        section("curves", "Learning curves", lambda: curves(trained)),
        section("baselines", "Baselines", lambda: baselines(trained)),
        section("mistakes", "Mistakes", lambda: mistakes(trained)),
        section("samples", "Samples", lambda: samples(trained)),
        section("heatmaps", "Heat maps", lambda: heatmaps(trained)),
        section("model", "Model", lambda: model_summary(trained)),
        section("config", "Config", lambda: config_blocks(trained.run.folder, "fit")),
    ]


# The sections -----------------------------------------------------------------------------------


def data_and_split(trained: Trained) -> list[Block]:
    """Return what the run was trained on, and how."""
    run, results = trained.run, trained.run.results
    settings = run.settings
    facts = [("Data", str(settings.get("data", "unknown")))]
    blocks: list[Block] = []
    problem = trained.problem
    if trained.data is not None:
        try:
            facts += _rows(trained.data)
            blocks += _targets(trained.data)
        except InputError as error:
            problem = str(error)
    facts.append(("Split", _split(settings)))
    if parameters := results.get("parameters"):
        trainable = parameters["trainable"]
        some = "" if trainable == parameters["total"] else f", {trainable:,} trained"
        facts.append(("Parameters", f"{parameters['total']:,}{some}"))
    if (seconds := results.get("seconds")) is not None:
        took = [f"{number(value)} s to {what}" for what, value in seconds.items()]
        facts.append(("Time", ", ".join(took)))
    device = results.get("device") or f"accelerator: {settings.get('trainer.accelerator', 'auto')}"
    facts.append(("Device", str(device)))
    facts.append(("Seed", str(results.get("seed", settings.get("seed_everything", "unknown")))))
    versions = results.get("versions", {})
    facts.append(("Versions", ", ".join(f"{name} {v}" for name, v in versions.items())))
    if problem:
        blocks.append(page.Paragraph(f"Rows and classes are left out: {problem}"))
    return [page.Facts(facts), *blocks]


def _split(settings: Mapping[str, Setting]) -> str:
    """Return the settings of a split that say something."""
    said = {name: settings.get(f"data.{name}") for name in (*_SPLIT, *_FOLDS)}
    if said["num_folds"] is None:
        said = {name: value for name, value in said.items() if name not in _FOLDS}
    texts = [f"{name} {value}" for name, value in said.items() if value not in (None, "False", "")]
    return ", ".join(texts) or "as the data come"


def _rows(data: SupervisedDataModule) -> list[tuple[str, str]]:
    counts = []
    parts: tuple[Literal["train", "val", "test"], ...] = ("train", "val", "test")
    for part, word in zip(parts, ("training", "validation", "test"), strict=True):
        try:
            rows = len(data.examples(part).rows)
        except InputError:
            if part != "test":
                raise
            rows = 0
        counts.append(f"{rows:,} {word}" if rows else f"no {word}")
    shape = " x ".join(f"{size:,}" for size in data.input_shape)
    return [("Rows", ", ".join(counts)), ("Input shape", shape)]


def _targets(data: SupervisedDataModule) -> list[Block]:
    summary, names = data.target_summary, data.class_names
    if summary is None:
        return []
    if "median" in summary:
        columns = data.target_names or [f"target {n}" for n in range(len(summary["mean"]))]
        cells = zip(columns, summary["mean"], summary["median"], strict=True)
        return [page.Table("Target in the training part", ["target", "mean", "median"], [*cells])]
    frequencies = summary["frequencies"]
    names = names or [str(n) for n in range(len(frequencies))]
    pairs = zip(names, frequencies, strict=True)
    shares = [(name, share, f"{share:.1%}") for name, share in pairs]
    what = "labels" if data.targets.task == "multilabel" else "classes"
    caption = f"Share of each of {len(names)} {what} in the training part"
    if len(shares) > _LONG:
        shares.sort(key=lambda row: -row[1])
        return [page.Folded(caption, [page.Shares(caption, shares)])]
    return [page.Shares(caption, shares)]


def reading(trained: Trained) -> list[Block]:
    """Return what `dlp data` prints: facts, columns, samples and what to look at."""
    if trained.data is None:
        raise InputError(trained.problem)
    found = trained.data.reading()
    blocks: list[Block] = [page.Facts(found.facts())]
    if columns := found.input.columns:
        head = ["column", "taken for", "missing", "example", "detail"]
        cells = [
            [of.name, of.kind, f"{of.missing:.1%}" if of.missing else "", of.example, of.detail]
            for of in columns
        ]
        table = page.Table("What each column was taken for", head, cells, names=len(head))
        blocks.append(table if len(cells) <= _ROWS else page.Folded(table.caption, [table]))
    if found.input.notes:
        blocks.append(page.Subheading("To look at"))
        blocks += [page.Paragraph(f"{note}.".replace("..", ".")) for note in found.input.notes]
    if found.input.samples:
        passages = [
            (Label(f"{sample.title}: {name}"), text)
            for sample in found.input.samples
            for name, text in sample.steps
        ]
        blocks += [page.Subheading("How samples are read"), page.Passages(passages)]
    return blocks


def curves(trained: Trained) -> list[Block]:
    """Return a figure for the loss and one for each metric."""
    run = trained.run
    best = run.epochs.best_epoch(run.monitor)
    smoothing = float(run.settings.get("smoothing") or 0)
    drawings = curve_drawings(
        run.epochs.metrics, lambda curves: learning_curves(curves, best, smoothing)
    )
    if not drawings:
        raise InputError("no metric was recorded by epoch.")
    return [page.Row(drawings)]


def baselines(trained: Trained) -> list[Block]:
    """Return a table for each part: the simple models, their numbers and times, and the model."""
    if not trained.baselines:
        raise InputError(
            trained.problem
            or "no baselines were fitted; the option --baselines true does it, of a fit or a test"
        )
    run, results = trained.run, trained.run.results
    best = run.epochs.best_epoch(run.monitor) or run.epochs.num_epochs
    seconds = results.get("seconds", {}).get("fit")
    mine = [
        "this model",
        results.get("train_rows", 0),
        None if seconds is None else f"{seconds:.1f}",
    ]
    blocks: list[Block] = []
    for part, words in _PARTS.items():
        numbers = trained.baseline_numbers(part)
        own = results.get("test", {}) if part == "test" else run.epochs.at(best)
        if not numbers or not own:
            continue
        names = list(dict.fromkeys(name for scores in numbers.values() for name in scores))
        rows = [
            [record["model"], record["rows"], f"{record['seconds']:.1f}"]
            + [record.get(part, {}).get(name) for name in names]
            for record in trained.baselines.values()
        ]
        rows.append([*mine, *(own.get(f"{part}_{name}") for name in names)])
        head = ["model", "rows", "seconds", *names]
        blocks.append(page.Table(f"On the {words} part", head, rows, last=1))
        if verdict := fitted_verdict(numbers, own, part, run.epochs.directions):
            blocks.append(page.Paragraph(f"{verdict[:1].upper()}{verdict[1:]}."))
    return blocks


def mistakes(trained: Trained) -> list[Block]:
    """Return what the model got wrong on the test part; without one, on the validation part."""
    found = trained.mistakes
    if trained.evaluation is None:
        raise InputError(f"it was not evaluated on the {trained.part_name} yet.")
    if found is None:
        raise InputError(
            f"the evaluation left no mistakes; {trained.test_command} writes them, if the step of "
            "the model gives its predictions"
        )
    blocks: list[Block] = []
    if isinstance(found, RegressionMistakes):
        best = found.scores[0]
        alt = f"Predicted against true values of {found.rows:,} rows, MAE {best.mae:.4g}"
        blocks.append(page.drawing(draw.residual_figure(found), alt))
        head = ["target", "MAE", "RMSE", "R²", "mean of predicted - true"]
        cells = [
            [of.name or "target", of.mae, of.rmse, of.r2, of.mean_residual] for of in found.scores
        ]
        blocks.append(page.Table(f"Errors on the {trained.part_name}", head, cells))
    else:
        blocks += _class_mistakes(found)
    blocks.append(page.Subheading("The worst mistakes"))
    if not found.worst:
        return [*blocks, page.Paragraph("None: everything is right.")]
    by = trained.evaluation.get("checkpoint") or "the model"
    blocks.append(page.Paragraph(f"By {by} on the {trained.part_name}, the worst first."))
    return [*blocks, *_worst(trained, found)]


def _class_mistakes(found: ClassificationMistakes | MultilabelMistakes) -> list[Block]:
    confusion, reliability = draw.confusion_figure(found), draw.reliability_figure(found)
    error = f"Reliability: expected calibration error {found.calibration.error:.3f}"
    matrix = page.drawing(confusion, f"Confusion matrix of {plural(found.rows, 'row')}")
    figures = page.Row([matrix, page.drawing(reliability, error)])
    rows: list[list[page.Cell]] = [
        [of.name, f"{of.precision:.3f}", f"{of.recall:.3f}", f"{of.f1:.3f}", of.support]
        for of in (*found.scores, *found.means)
    ]
    caption, head = "Scores of each class", ["class", "precision", "recall", "F1", "rows"]
    scores = page.Table(caption, head, rows, last=len(found.means))
    if len(found.scores) > _LONG:
        return [figures, page.Folded(caption, [scores])]
    tables = [scores]
    if isinstance(found, ClassificationMistakes) and len(found.scores) > 2:
        head, pairs = ["true", "taken for", "rows"], found.most_confused(_LONG)
        confused = page.Table("Most often confused", head, pairs, names=2)
        tables = [confused, scores] if pairs else tables
    return [figures, page.Row(tables)]


def _worst(trained: Trained, found: Mistakes) -> list[Block]:
    """Return the worst mistakes with the rows they were made on, where these can be read."""
    try:
        _, data = trained.ready()
        check_rows(found, data, trained.part)
        shown = describe_rows(data, trained.part, [wrong.row for wrong in found.worst])
    except InputError as error:
        rows = [[wrong.caption, wrong.called] for wrong in found.worst]
        table = page.Table("True → predicted", ["mistake", "row"], rows, names=2)
        return [table, page.Paragraph(f"The rows themselves are left out: {error}")]
    if isinstance(shown, Tensor | list):
        labels = [Label(wrong.caption, wrong.called) for wrong in found.worst]
        return [_labelled(shown, labels)]
    beside = worst_table(found.worst, shown)
    names = 3 if isinstance(found.worst[0], WrongClass) else 1 + ("target" in beside)
    names += any(wrong.id for wrong in found.worst)
    return [_table("The worst mistakes beside their rows", beside, names)]


def samples(trained: Trained) -> list[Block]:
    """Return a few rows of the part with truth and prediction."""
    _, data = trained.ready()
    some = trained.predictions[:_SAMPLES]
    shown = describe_rows(data, trained.part, [one.row for one in some])
    where = trained.checkpoint.name if trained.checkpoint else "the model"
    rows = f"{plural(len(some), 'row')} of the {trained.part_name}"
    text = f"{rows}, drawn at random, predicted by {where}"
    if isinstance(shown, Tensor | list):
        about = page.Paragraph(f"{text}: true → predicted, or the class alone where both agree.")
        return [about, _labelled(shown, [one.label for one in some])]
    table = shown.reset_index(drop=True)
    table.insert(0, "row", [one.name.removeprefix("row ") for one in some])
    table.insert(1, "true", [one.true for one in some], allow_duplicates=True)
    table.insert(2, "predicted", [one.predicted for one in some], allow_duplicates=True)
    return [_table(text, table, 1)]


def _labelled(shown: Tensor | list[str], labels: Sequence[Label]) -> Block:
    """Return images or texts with their labels."""
    if isinstance(shown, Tensor):
        return page.Gallery([_image(*pair) for pair in zip(shown, labels, strict=True)])
    return page.Passages([*zip(labels, map(_short, shown), strict=True)])


def _image(image: Tensor, label: Label, beside: str = "") -> page.InlineImage:
    return page.inline_image(image, f"Test image, {label.note}: {label.title}{beside}", label)


def heatmaps(trained: Trained) -> list[Block]:
    """Return images beside what in them speaks for the predicted class (Grad-CAM)."""
    from dlp.visualization import GradCAM, overlay

    model, data = trained.ready()
    if not has_images(data):
        raise InputError("the inputs are no images.")
    if data.targets.task != "classification":
        raise InputError("heat maps are for one class an image; these are labels or values.")
    right = [one for one in trained.predictions if one.right][:_HEATMAPS]
    found = trained.mistakes
    if isinstance(found, ClassificationMistakes):
        check_rows(found, data, trained.part)
        worst = np.array([wrong.row for wrong in found.worst[:_HEATMAPS]], np.int64)
        wrong = [one for one in trained.predict(worst) if not one.right] if len(worst) else []
    else:
        missed = [one for one in trained.predictions if one.right is False]
        wrong = sorted(missed, key=lambda one: -(one.confidence or 0))[:_HEATMAPS]
    blocks: list[Block] = [
        page.Paragraph(
            "Left the image, right what in it speaks for the class that was predicted: warm "
            "places speak for it most (Grad-CAM)."
        )
    ]
    loader = trained.loader()
    with GradCAM(model) as cam:
        for heading, some in (("Right", right), ("Wrong, and most sure of it", wrong)):
            if not some:
                continue
            rows = [one.row for one in some]
            images = describe_rows(data, trained.part, rows)
            if not isinstance(images, Tensor):
                raise InputError("the rows cannot be shown as images.")
            maps = cam(loader.inputs_of(torch.tensor(rows), 0))
            pairs = [
                torch.cat([image.expand(3, -1, -1).cpu(), overlay(image, heat)], dim=2)
                for image, heat in zip(images, maps, strict=True)
            ]
            gallery = [
                _image(pair, one.label, "; beside it the heat map")
                for pair, one in zip(pairs, some, strict=True)
            ]
            blocks += [page.Subheading(heading), page.Gallery(gallery, wide=True)]
    return blocks


def model_summary(trained: Trained) -> list[Block]:
    """Return the layers with what comes out of them."""
    model, _ = trained.ready()
    summary = ModelSummary(model, max_depth=3)
    shapes = [_shape(size) for size in summary.out_sizes]
    layers = zip(summary.layer_names, summary.layer_types, summary.param_nums, shapes, strict=True)
    rows = [(name, kind, shape, count) for name, kind, count, shape in layers]
    head = ["layer", "type", "output shape", "parameters"]
    table = page.Table("Layers, with the shape that one row has after them", head, rows, names=3)
    return [page.Folded(f"{plural(len(rows), 'layer')}", [table]) if len(rows) > 24 else table]


def _shape(size: Any) -> str:
    if isinstance(size, list) and all(isinstance(number, int) for number in size):
        return " x ".join(map(str, size[1:])) or "1"
    return "-"


def _short(text: str) -> str:
    words = text.split()
    return " ".join(words[:_WORDS]) + (" …" if len(words) > _WORDS else "")


def _table(caption: str, rows: Any, names: int) -> page.Table:
    """Return a data frame as a table of the page."""
    left_out = len(rows.columns) - _COLUMNS
    if left_out > 0:
        rows = rows.iloc[:, :_COLUMNS]
        caption = f"{caption}; {left_out} more columns are left out"
    cells = [
        [float(cell) if isinstance(cell, float | np.floating) else str(cell) for cell in row]
        for row in rows.itertuples(index=False)
    ]
    return page.Table(caption, [str(name) for name in rows.columns], cells, names=names)
