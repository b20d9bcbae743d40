"""Mistakes of a test, written beside its numbers."""

from pathlib import Path

import numpy as np
import torch
from lightning import LightningModule, Trainer
from numpy.typing import NDArray

from dlp.callbacks.predictions import BatchOutputs, gather_outputs, threshold_of
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.evaluation.mistakes import Mistakes, class_mistakes, label_mistakes, value_mistakes
from dlp.files import save_figure, write_csv, write_json


class MistakesReport(BatchOutputs):
    """Writer of ``mistakes.json``, its figures, and the worst rows in ``worst.csv``.

    It takes a `SupervisedDataModule` and a model whose ``test_step`` returns ``targets`` and
    ``probabilities`` or ``values``; after others it writes nothing.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    on_test_batch_end = BatchOutputs.collect

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Analyse the predictions and write the files."""
        data = getattr(trainer, "datamodule", None)
        loader = trainer.test_dataloaders
        if not self._batches or loader is None or not isinstance(data, SupervisedDataModule):
            return
        first = self._batches[0]
        if not isinstance(first, dict) or "targets" not in first:
            return
        kind = "values" if "values" in first else "probabilities"
        batches = []
        # The test may have been of some batches alone.
        for rows, outputs in zip(loader.batch_sampler, self._batches, strict=False):
            batches.append({"rows": rows, "scores": outputs[kind], "targets": outputs["targets"]})
        gathered = gather_outputs(trainer, batches)
        if gathered is None:
            return
        if not np.isfinite(gathered["scores"]).all():
            say("mistakes are not written: the model predicts NaN or infinity")
            return
        if kind == "probabilities" and not data.class_names:
            say("mistakes are not written: the target is numbers; give data.task: classification")
            return
        scores = gathered["scores"]
        targets = gathered["targets"]
        if kind == "values":
            columns = data.targets.columns or ["target"]
            mistakes = value_mistakes(scores, targets.reshape(scores.shape), columns)
        else:
            analyse = class_mistakes if targets.ndim == 1 else label_mistakes
            mistakes = analyse(scores, targets, data.class_names or [], threshold_of(pl_module))
        self._write(data, mistakes, gathered["rows"])
        say(f"mistakes: {mistakes.summary}; see {self.folder}")

    def _write(
        self, data: SupervisedDataModule, mistakes: Mistakes, rows: NDArray[np.int64]
    ) -> None:
        import pandas as pd

        from dlp.visualization.mistakes import draw_mistakes

        write_json(self.folder / "mistakes.json", mistakes.report)
        figures = draw_mistakes(mistakes)
        worst = pd.DataFrame(mistakes.worst)
        if len(worst):
            rows = rows[worst.pop("row")]
            examples = data.examples("test").take(rows)
            worst = pd.DataFrame({"index": examples.index, **examples.names}).join(worst)
            cells = examples.inputs.readable()
            if cells:  # of images the path tells the row
                worst["input"] = cells
            if len(data.input_shape) == 3:
                from dlp.visualization.images import image_grid

                captions = worst["true"].astype(str) + " -> " + worst["predicted"].astype(str)
                images = data.inputs("test")[torch.from_numpy(rows)]
                figures["worst"] = image_grid(images, captions.tolist())
        for name, figure in figures.items():
            save_figure(figure, self.folder / f"{name}.png")
        write_csv(self.folder / "worst.csv", worst)
