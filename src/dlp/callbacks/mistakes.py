"""Mistakes of a test, written beside its numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from dlp.callbacks.predictions import gather_outputs, threshold_of
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.evaluation.mistakes import Mistakes, class_mistakes, label_mistakes, value_mistakes
from dlp.files import atomic_path, save_figure, write_json


class MistakesReport(Callback):
    """Writer of ``mistakes.json``, its figures, and the worst rows in ``worst.csv``.

    It takes a `SupervisedDataModule` and a model whose ``test_step`` returns ``targets`` and
    ``probabilities`` or ``values``; after others it writes nothing.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._batches: list[dict[str, Any]] = []

    def on_test_batch_end(self, *args: Any) -> None:
        """Collect a batch; the first one begins a test."""
        _, _, outputs, _, batch_idx, *_ = args
        if isinstance(outputs, dict) and "targets" in outputs:
            self._batches[batch_idx:] = [outputs]

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Analyse the predictions and write the files."""
        data, loader = getattr(trainer, "datamodule", None), trainer.test_dataloaders
        if not self._batches or loader is None or not isinstance(data, SupervisedDataModule):
            return
        kind = "values" if "values" in self._batches[0] else "probabilities"
        pairs = zip(loader.batch_sampler, self._batches, strict=False)  # of a test of some batches
        outputs = gather_outputs(
            trainer, [{"rows": rows} | {n: o[n] for n in (kind, "targets")} for rows, o in pairs]
        )
        if outputs is None:
            return
        predictions, targets = outputs[kind], outputs["targets"]
        if not np.isfinite(predictions).all():
            say("mistakes are not written: the model predicts NaN or infinity")
            return
        if kind == "probabilities" and not data.class_names:
            say("mistakes are not written: the target is numbers; give data.task: classification")
            return
        if kind == "values":
            names, targets = data.targets.columns or ["target"], targets.reshape(predictions.shape)
            mistakes = value_mistakes(predictions, targets, names)
        else:
            analyse = class_mistakes if targets.ndim == 1 else label_mistakes
            names = data.class_names or []
            mistakes = analyse(predictions, targets, names, threshold_of(pl_module))
        self._write(data, mistakes, outputs["rows"])
        say(f"mistakes: {mistakes.summary}; see {self.folder}")

    def _write(
        self, data: SupervisedDataModule, mistakes: Mistakes, rows: NDArray[np.int64]
    ) -> None:
        import pandas as pd

        from dlp.visualization.mistakes import draw_mistakes

        write_json(self.folder / "mistakes.json", mistakes.report)
        figures, worst = draw_mistakes(mistakes), pd.DataFrame(mistakes.worst)
        if len(worst):
            rows = rows[worst.pop("row")]
            examples = data.examples("test").take(rows)
            worst = pd.DataFrame({"index": examples.index, **examples.names}).join(worst)
            if cells := examples.inputs.readable():  # of images the path tells the row
                worst["input"] = cells
            if len(data.input_shape) == 3:
                from dlp.visualization.images import image_grid

                pairs = zip(worst["true"], worst["predicted"], strict=True)
                captions = [f"{true} -> {predicted}" for true, predicted in pairs]
                figures["worst"] = image_grid(data.inputs("test")[torch.tensor(rows)], captions)
        for name, figure in figures.items():
            save_figure(figure, self.folder / f"{name}.png")
        with atomic_path(self.folder / "worst.csv") as temporary:
            worst.to_csv(temporary, index=False, float_format="%.9g")
