"""Mistakes of a test, written beside its numbers."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torchmetrics.utilities.distributed import gather_all_tensors

from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.evaluation.mistakes import Mistakes, class_mistakes, label_mistakes, value_mistakes
from dlp.files import atomic_path, write_json


class MistakesReport(Callback):
    """Writer of ``mistakes.json``, its figures, and the worst rows in ``worst.csv``.

    It takes a `SupervisedDataModule` and a model whose ``test_step`` returns ``targets`` and
    ``probabilities`` or ``values``, as `SupervisedModule` does; after others it writes nothing.

    Args:
        folder: Folder of the files.
        num_worst: Number of the worst rows.
    """

    def __init__(self, folder: Path, num_worst: int = 16) -> None:
        self.folder, self.num_worst = folder, num_worst
        self._batches: list[dict[str, Any]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the batches of a test that was broken off."""
        self._batches = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect a batch."""
        if isinstance(outputs, dict) and "targets" in outputs:
            self._batches.append(outputs)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Analyse the predictions and write the files."""
        data = getattr(trainer, "datamodule", None)
        if not self._batches or not isinstance(data, SupervisedDataModule):
            return
        kind = "values" if "values" in self._batches[0] else "probabilities"
        targets = torch.cat([batch["targets"] for batch in self._batches])
        predictions = torch.cat([batch[kind] for batch in self._batches])
        rows = torch.cat([*trainer.test_dataloaders.batch_sampler])[: len(targets)].to(
            targets.device
        )
        if trainer.world_size > 1:
            rows, predictions, targets = (
                torch.cat(gather_all_tensors(part)) for part in (rows, predictions, targets)
            )
        self._batches = []
        if not trainer.is_global_zero:
            return
        if not predictions.isfinite().all():
            say("mistakes are not written: the model predicts NaN or infinity")
            return
        order = rows.argsort()
        mistakes = self._analyse(data, pl_module, kind, predictions[order], targets[order])
        self._write(data, mistakes)
        say(f"mistakes: {mistakes.summary}; see {self.folder}")

    def _analyse(
        self,
        data: SupervisedDataModule,
        model: Any,
        kind: str,
        predictions: torch.Tensor,
        targets: torch.Tensor,
    ) -> Mistakes:
        found, true = predictions.float().cpu().numpy(), targets.cpu().numpy()
        if kind == "values":
            names = data.targets.columns or ["target"]
            return value_mistakes(found, true.reshape(found.shape), names, self.num_worst)
        names = data.class_names or [*map(str, range(found.shape[1]))]
        threshold = getattr(getattr(model, "head", None), "threshold", 0.5)
        analyse = class_mistakes if true.ndim == 1 else label_mistakes
        return analyse(found, true, names, threshold, self.num_worst)

    def _write(self, data: SupervisedDataModule, mistakes: Mistakes) -> None:
        import pandas as pd

        from dlp.visualization.mistakes import draw_mistakes

        write_json(self.folder / "mistakes.json", mistakes.report)
        for name, figure in draw_mistakes(mistakes).items():
            with atomic_path(self.folder / f"{name}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=100)
        rows = [row["row"] for row in mistakes.worst]
        index = data.examples("test").index
        worst = pd.DataFrame(mistakes.worst)
        if len(worst):
            worst["row"] = rows if index is None else index[rows]
            worst = worst.rename(columns={"row": "index"})
            worst["input"] = data.readable("test", rows)
        with atomic_path(self.folder / "worst.csv") as temporary:
            worst.to_csv(temporary, index=False, float_format="%.9g")
