"""Predictions as a CSV: one row an input."""

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from dlp.console import say
from dlp.errors import InputError
from dlp.files import atomic_path


class PredictionWriter(Callback):
    """Writes ``index, class, prob_<class>...`` or ``index, value``, batch by batch.

    Inputs that are files have a column ``path`` after `index`. Labels that do not exclude each
    other are joined by ``;`` in the column `class`; several targets have a column
    ``value_<target>`` each. The file appears when it is whole.

    Args:
        path: The CSV to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._open = ExitStack()
        self._writer: Any = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file, under a temporary name.

        Raises:
            InputError: The path cannot be written, or there are several processes, each of which
                would write it.
        """
        self.rows = 0
        if getattr(trainer, "fast_dev_run", False):
            return
        if trainer.world_size > 1:
            raise InputError("predict writes one file: use one device (--trainer.devices 1).")
        try:
            temporary = self._open.enter_context(atomic_path(self.path))
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}.") from error
        file = self._open.enter_context(temporary.open("w", newline="", encoding="utf-8"))
        self._writer = csv.writer(file)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the predictions of a batch.

        Raises:
            InputError: The model's `predict_step` gives something else than a dict with `index`
                and `probabilities` or `values`.
        """
        keys = outputs.keys() if isinstance(outputs, dict) else set()
        if "index" not in keys or not {"probabilities", "values"} & keys:
            raise InputError(
                f"predict_step of {type(pl_module).__name__} gives {type(outputs).__name__}; to "
                "write a CSV it must give a dict of 'index' (N,) and 'probabilities' (N, C) or "
                "'values' (N, T)."
            )
        if self._writer is not None:
            data = getattr(trainer, "datamodule", None)
            self._write(self._writer, outputs, data, header=not self.rows)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the file to its place."""
        if self._writer is not None:
            self._writer = None
            self._open.close()
            say(f"wrote {self.rows} predictions to {self.path}")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave no half file: what was there before stays."""
        self._writer = None
        self._open.__exit__(type(exception), exception, exception.__traceback__)

    def _write(self, writer: Any, batch: dict[str, Tensor], data: Any, header: bool) -> None:
        numbers = batch["index"].tolist()
        self.rows += len(numbers)
        paths = getattr(data, "predict_names", None)
        first = ["index"] if paths is None else ["index", "path"]
        index = [[number] if paths is None else [number, paths[number]] for number in numbers]
        if "values" in batch:
            values = batch["values"]
            names = getattr(data, "target_names", None) or range(values.shape[1])
            if header:
                several = [f"value_{name}" for name in names]
                writer.writerow([*first, *(several if values.shape[1] > 1 else ["value"])])
            for number, row in zip(index, values.tolist(), strict=True):
                writer.writerow([*number, *(f"{value:.6g}" for value in row)])
            return
        probabilities = batch["probabilities"]
        names = getattr(data, "class_names", None)
        names = names or [str(number) for number in range(probabilities.shape[1])]
        if header:
            writer.writerow([*first, "class", *(f"prob_{name}" for name in names)])
        exclusive = getattr(getattr(data, "targets", None), "task", None) != "multilabel"
        for number, row in zip(index, probabilities.tolist(), strict=True):
            chosen = _class(row, names) if exclusive else _labels(row, names)
            writer.writerow([*number, chosen, *(f"{value:.6g}" for value in row)])


def _class(row: Sequence[float], names: Sequence[str]) -> str:
    return names[max(range(len(row)), key=row.__getitem__)]


def _labels(row: Sequence[float], names: Sequence[str]) -> str:
    return ";".join(name for name, value in zip(names, row, strict=True) if value >= 0.5)
