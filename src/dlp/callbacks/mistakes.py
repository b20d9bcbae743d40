"""Write a report on the mistakes in a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from lightning import LightningModule, Trainer

from dlp.callbacks.predictions import BatchOutputs, answer_of, gather_outputs
from dlp.console import say
from dlp.datamodules.base import Part, SupervisedDataModule
from dlp.datamodules.batches import BatchLoader
from dlp.datamodules.ownership import data_of, data_serving
from dlp.datamodules.rows import Array
from dlp.files import AnyPath, save_figure, write_json, write_table
from dlp.reader.answer import Answer

if TYPE_CHECKING:
    from dlp.evaluation.mistakes import Mistakes, Report

#: A class is rare if it has fewer rows than this fraction of the mean number of rows per class.
RARE = 2 / 3
_MAX_LISTED = 3  # largest number of classes whose scores are printed


class MistakesReport(BatchOutputs):
    """Write ``mistakes.json``, its figures, and the worst rows in ``worst.csv`` after a test.

    It requires a `SupervisedDataModule`, and a model whose ``test_step`` returns ``targets`` and
    ``probabilities`` or ``values``. Otherwise it writes nothing. If a subclass of the data
    overrides ``test_dataloader``, rows are identified by their position in the batches.

    Args:
        folder: Folder of the files. None writes no files.
    """

    def __init__(self, folder: AnyPath | None = None) -> None:
        super().__init__(("probabilities", "values", "targets"))
        self.folder = None if folder is None else Path(folder)
        #: ``targets``, and ``probabilities`` or ``values``, from the last test. ``index`` contains
        #: the indices of these rows in the test part. It is missing if ``test_dataloader`` is
        #: overridden.
        self.gathered: dict[str, Array] = {}
        #: Content of ``mistakes.json`` for the last test.
        self.report: Report = {}

    on_test_batch_end = BatchOutputs.collect

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Analyse the predictions and write the files."""
        data = data_of(trainer)
        outputs = self.outputs()
        if self.folder is None or data is None or "targets" not in outputs:
            return
        index_name = None
        if data_serving(trainer, "test") is not None:
            index_name = "index"
            loader = cast(BatchLoader, trainer.test_dataloaders)
            index = torch.cat(list(loader.batch_sampler)).numpy()
            outputs["index"] = index[: len(outputs["targets"])]  # limit_test_batches may be set
        gathered = gather_outputs(trainer, outputs, index_name)
        if gathered is None:
            return
        if "index" in gathered:
            # Points in the figures and rows with equal errors are in the order of the rows.
            order = np.argsort(gathered["index"])
            gathered = {name: values[order] for name, values in gathered.items()}
        answer = answer_of(pl_module, data, gathered)
        if not np.isfinite(gathered["probabilities" if answer.task else "values"]).all():
            say("mistakes are not written, because the model predicts NaN or infinity")
            return
        self.gathered = gathered
        self.report = write_mistakes(self.folder, data, "test", gathered, answer).report


def write_mistakes(
    folder: Path,
    data: SupervisedDataModule,
    part: Part,
    outputs: Mapping[str, Array],
    answer: Answer,
    name: str = "worst",
    count: int = 16,
) -> "Mistakes":
    """Write ``mistakes.json``, its figures and the worst rows of a part.

    Args:
        folder: Folder of the files.
        data: Data of the part.
        part: Name of the part.
        outputs: ``targets``, and ``probabilities`` or ``values``, of some rows. ``index`` contains
            the indices of these rows in the part. Without it, ids and inputs are not written.
        answer: Answer of the model: the kind of problem, the names and the threshold.
        name: Name of the table of the worst rows, and of their figure if they are images.
        count: Largest number of worst rows.

    Returns:
        The mistakes that were written.
    """
    import pandas as pd  # imported here, because a fit does not need these modules

    from dlp.visualization.images import image_grid
    from dlp.visualization.mistakes import draw_mistakes

    mistakes = _analyse(data, outputs, answer)
    figures = draw_mistakes(mistakes)
    worst = mistakes.worst.head(count)
    numbers = worst.pop("row")
    if "index" not in outputs:
        worst = pd.DataFrame({"index": numbers}).join(worst)
    else:
        index = outputs["index"][numbers]
        examples = data.examples(part).take(index)
        worst = pd.DataFrame({"index": examples.index, **examples.id_columns}).join(worst)
        cells = examples.inputs.readable()
        if cells:  # there are none for images, which are identified by their path
            worst["input"] = cells
        if len(worst) and len(data.input_shape) == 3:
            captions = worst["true"].astype(str) + " -> " + worst["predicted"].astype(str)
            images = data.inputs(part)[torch.from_numpy(index)]
            figures[name] = image_grid(images, captions.tolist())
    for title, figure in figures.items():
        save_figure(figure, folder / f"{title}.png")
    write_json(folder / "mistakes.json", mistakes.report)
    write_table(folder / f"{name}.csv", worst)
    _say(mistakes.report, folder)
    return mistakes._replace(worst=worst)


def _analyse(
    data: SupervisedDataModule, outputs: Mapping[str, Array], answer: Answer
) -> "Mistakes":
    """Return the mistakes, computed by the function for this kind of problem."""
    from dlp.evaluation.mistakes import class_mistakes, label_mistakes, value_mistakes

    targets = outputs["targets"]
    if answer.task is None:
        values = outputs["values"]
        targets = targets.reshape(values.shape)
        median = data.fit().target_statistics.column_medians
        return value_mistakes(values, targets, answer.output_names, median, data.targets.transform)
    probabilities = outputs["probabilities"]
    if answer.task == "multilabel":
        return label_mistakes(probabilities, targets, answer.output_names, answer.threshold)
    guess = int(np.argmax(data.class_frequencies or [1]))
    return class_mistakes(probabilities, targets, answer.output_names, answer.threshold, guess)


def _say(report: "Report", folder: Path) -> None:
    """Print the summary, the scores of the classes if they are few, and advice for a rare class."""
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
            f"only {missed['recall']:.0%} of {missed['name']!r} are found: try "
            "--model.class_weight balanced, or for two classes the threshold that dlp calibrate "
            "proposes"
        )
