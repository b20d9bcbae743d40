"""Mistakes of a test, written beside its numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning import LightningModule, Trainer

from dlp.callbacks.predictions import BatchOutputs, gather_outputs, threshold_of
from dlp.console import say
from dlp.datamodules.base import Part, SupervisedDataModule, data_of, data_serving
from dlp.datamodules.rows import Array
from dlp.files import AnyPath, save_figure, write_json, write_table
from dlp.modules.serialization import output_names

if TYPE_CHECKING:
    from dlp.evaluation.mistakes import Mistakes

#: A class is rare with fewer rows than this part of an equal share.
RARE = 2 / 3
_MAX_LISTED = 3  # classes whose scores are printed


class MistakesReport(BatchOutputs):
    """Writer of ``mistakes.json``, its figures, and the worst rows in ``worst.csv``.

    It takes a `SupervisedDataModule` and a model whose ``test_step`` returns ``targets`` and
    ``probabilities`` or ``values``; after others it writes nothing. If a subclass of the data
    overrides ``test_dataloader``, rows have only their number in the order of the batches.

    Args:
        folder: Folder of the files; None for no files.
    """

    def __init__(self, folder: AnyPath | None = None) -> None:
        super().__init__()
        self.folder = None if folder is None else Path(folder)
        #: ``targets``, and ``probabilities`` or ``values`` of the last test. ``rows`` are their
        #: numbers in the test part, unless ``test_dataloader`` is overridden.
        self.outputs: Any = None
        #: Content of ``mistakes.json`` of the last test.
        self.report: Any = {}

    on_test_batch_end = BatchOutputs.collect

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Analyse the predictions and write the files."""
        data = data_of(trainer)
        if self.folder is None or data is None or not self.has("targets"):
            return
        kind = "values" if self.has("values") else "probabilities"
        batches = [{name: batch[name] for name in (kind, "targets")} for batch in self._batches]
        row_numbers = None
        if data_serving(trainer, "test") is not None:
            row_numbers = "rows"
            loader: Any = trainer.test_dataloaders
            # The test may have been of some batches only.
            for batch, rows in zip(batches, loader.batch_sampler, strict=False):
                batch["rows"] = rows
        gathered = gather_outputs(trainer, batches, row_numbers)
        if gathered is None:
            return
        if "rows" in gathered:
            # Points of the figures follow the order of the rows, as do equal errors.
            order = np.argsort(gathered["rows"])
            gathered = {name: values[order] for name, values in gathered.items()}
        if not np.isfinite(gathered[kind]).all():
            say("mistakes are not written: the model predicts NaN or infinity")
            return
        self.outputs = gathered
        threshold = threshold_of(pl_module)
        self.report = write_mistakes(self.folder, data, "test", gathered, threshold).report


def write_mistakes(
    folder: Path,
    data: SupervisedDataModule,
    part: Part,
    outputs: Mapping[str, Array],
    threshold: float,
    name: str = "worst",
    count: int = 16,
) -> "Mistakes":
    """Write ``mistakes.json``, its figures and the worst rows of a part; return what was written.

    Args:
        folder: Folder of the files.
        data: Data of the part.
        part: Name of the part.
        outputs: ``targets``, and ``probabilities`` or ``values``, of some rows. ``rows`` are their
            numbers in the part; without them nothing else is known of the rows.
        threshold: Probability above which a row is of class 1 of two, or has a label.
        name: Name of the table of the worst rows, and of their figure if they are images.
        count: Largest number of worst rows.
    """
    import pandas as pd  # a fit does not wait for these

    from dlp.visualization.images import image_grid
    from dlp.visualization.mistakes import draw_mistakes

    mistakes = _analyse(data, part, outputs, threshold)
    figures = draw_mistakes(mistakes)
    worst = mistakes.worst.head(count)
    numbers = worst.pop("row")
    if "rows" not in outputs:
        worst = pd.DataFrame({"index": numbers}).join(worst)
    else:
        rows = outputs["rows"][numbers]
        examples = data.examples(part).take(rows)
        worst = pd.DataFrame({"index": examples.index, **examples.names}).join(worst)
        cells = examples.inputs.readable()
        if cells:  # images are identified by their path
            worst["input"] = cells
        if len(worst) and len(data.input_shape) == 3:
            captions = worst["true"].astype(str) + " -> " + worst["predicted"].astype(str)
            images = data.inputs(part)[torch.from_numpy(rows)]
            figures[name] = image_grid(images, captions.tolist())
    for title, figure in figures.items():
        save_figure(figure, folder / f"{title}.png")
    write_json(folder / "mistakes.json", mistakes.report)
    write_table(folder / f"{name}.csv", worst)
    _say(mistakes.report, folder)
    return mistakes._replace(worst=worst)


def _analyse(
    data: SupervisedDataModule,
    part: Part,
    outputs: Mapping[str, Array],
    threshold: float,
) -> "Mistakes":
    """Return the mistakes of a classifier of one class or of labels, or of values."""
    from dlp.evaluation.mistakes import class_mistakes, label_mistakes, value_mistakes

    targets = outputs["targets"]
    if "values" in outputs:
        values = outputs["values"]
        if "rows" in outputs:  # the targets of the head went through its scaling, which rounds
            targets = data.targets.encode(data.examples(part).targets)[outputs["rows"]]
        targets = targets.reshape(values.shape)
        names = output_names(data, values.shape[1])
        median = data.fit()["target_summary"].get("median")
        return value_mistakes(values, targets, names, median, data.targets.transform)
    probabilities = outputs["probabilities"]
    names = output_names(data, probabilities.shape[1])
    if targets.ndim == 2:
        return label_mistakes(probabilities, targets, names, threshold)
    guess = int(np.argmax(data.class_frequencies or [1]))
    return class_mistakes(probabilities, targets, names, threshold, guess)


def _say(report: Mapping[str, Any], folder: Path) -> None:
    """Print how good the model is, the scores of a few classes, and what helps a rare one."""
    say(f"mistakes: {report['summary']}; see {folder}")
    classes = report.get("classes", [])
    if len(classes) <= _MAX_LISTED:
        for entry in classes:
            say(
                f"{entry['name']} ({entry['support']:,} rows): precision {entry['precision']:.4g}, "
                f"recall {entry['recall']:.4g}, f1 {entry['f1']:.4g}"
            )
    fewest = RARE * report["rows"] / max(1, len(classes))
    rare = [entry for entry in classes if 0 < entry["support"] < fewest]
    missed = min(rare, key=lambda entry: entry["recall"], default={"recall": 1})
    if missed["recall"] < 0.5:
        say(
            f"{missed['recall']:.0%} of {missed['name']!r} are found: try --model.class_weight "
            "balanced or, of two classes, the threshold that dlp calibrate proposes"
        )
