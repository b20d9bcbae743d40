"""What a test gets wrong, written beside its numbers: matrix, curves and the worst mistakes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from dlp.callbacks.evaluated_data import loader_and_data
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError
from dlp.evaluation.evaluated_part import describe_rows, find_mistakes
from dlp.evaluation.mistake_files import ending, write_mistakes, write_worst
from dlp.evaluation.mistakes import Mistakes, RegressionMistakes
from dlp.runs.folders import run_title

if TYPE_CHECKING:  # drawing alone needs it
    from matplotlib.figure import Figure


class MistakesReport(Callback):
    """Writes what a test got wrong: ``mistakes.json``, figures, and the worst mistakes to look at.

    Classes: ``confusion.png`` and ``reliability.png``; values: ``residuals.png``. The worst
    mistakes are ``worst.png`` (images), ``worst.txt`` (texts) or ``worst.csv`` (tables). The
    model's `test_step` must give a dict of ``targets`` and ``probabilities`` or ``values``, as
    `SupervisedModule` does; after another one nothing is written. The metrics are not touched.

    Args:
        folder: Where to write; None for the Trainer's ``default_root_dir``, which is the run's
            folder on the command line.
        num_worst: How many of the worst mistakes to keep.

    Raises:
        InputError: `num_worst` is negative.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, num_worst: int = 16) -> None:
        if num_worst < 0:
            raise InputError(f"num_worst must be 0 or more, got {num_worst}.")
        self.folder = None if folder is None else Path(folder)
        self.num_worst = num_worst
        #: What the last test found; None before the first one.
        self.mistakes: Mistakes | None = None
        self._kind: Literal["probabilities", "values"] = "probabilities"
        self._batches: list[tuple[Tensor, Tensor]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self.mistakes = None
        self._batches.clear()

    on_validation_start = on_test_start

    def on_validation_batch_end(self, trainer: Trainer, *batch: Any, **named: Any) -> None:
        """Keep the predictions of a batch; those of a fit are not looked at."""
        if trainer.state.fn == "validate":
            self.on_test_batch_end(trainer, *batch, **named)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions of a batch, on their device; of several sets those of the first."""
        if not isinstance(outputs, dict) or "targets" not in outputs or dataloader_idx:
            return
        kinds: tuple[Literal["probabilities", "values"], ...] = ("probabilities", "values")
        for kind in kinds:
            if kind in outputs:
                self._kind = kind
                self._batches.append((outputs[kind].detach(), outputs["targets"].detach()))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute and write; of the validation part the names of the files end with ``_val``.

        Raises:
            InputError: The folder cannot be written to.
        """
        if not self._batches or getattr(trainer, "fast_dev_run", False):
            self._batches.clear()
            return
        predictions, targets = (torch.cat(parts) for parts in zip(*self._batches, strict=True))
        self._batches.clear()
        part: Literal["test", "val"] = "val" if trainer.state.fn == "validate" else "test"
        loader, data = loader_and_data(trainer, part)
        rows = None
        if loader is not None:  # of another one nobody knows them
            rows = torch.cat(list(loader.batch_sampler))[: len(targets)]
        if trainer.world_size > 1:
            if rows is None:
                say("mistakes are not written: over several processes they need a BatchLoader")
                return
            rows, predictions, targets = (
                torch.cat(gather_all_tensors(part.to(predictions.device)))
                for part in (rows, predictions, targets)
            )
            if not trainer.is_global_zero:
                return
        if rows is not None:
            order = rows.argsort()
            predictions, targets = predictions[order], targets[order]
        if not len(targets) or not predictions.isfinite().all():
            say("mistakes are not written: the predictions are no numbers")
            return
        self.mistakes = find_mistakes(
            _array(predictions),
            _array(targets),
            self._kind,
            pl_module,
            getattr(trainer, "datamodule", None),
            None if data is None else data.examples(part),
            self.num_worst,
        )
        folder = Path(trainer.default_root_dir) if self.folder is None else self.folder
        try:
            names = _write(folder, self.mistakes, part, data)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}.") from error
        say(f"mistakes: {self.mistakes.summary}; see {', '.join(names)} in {folder}")

    on_validation_end = on_test_end


def _write(
    folder: Path,
    mistakes: Mistakes,
    part: Literal["test", "val"],
    data: SupervisedDataModule | None,
) -> list[str]:
    """Write all files and return their names."""
    from dlp.visualization import mistake_figures as draw
    from dlp.visualization.files import save_drawing

    title, end = run_title(folder), ending(part)
    if part == "val":
        title = f"{title}, validation part"
    write_mistakes(mistakes, folder / f"mistakes{end}.json")
    figures: dict[str, Figure] = {}
    if isinstance(mistakes, RegressionMistakes):
        figures["residuals"] = draw.residual_figure(mistakes, title)
    else:
        figures["confusion"] = draw.confusion_figure(mistakes, title)
        figures["reliability"] = draw.reliability_figure(mistakes, title)
    lists = []
    if data is not None and mistakes.worst:
        shown = describe_rows(data, part, [wrong.row for wrong in mistakes.worst])
        if isinstance(shown, Tensor):
            figures["worst"] = draw.worst_figure(mistakes.worst, shown, title)
        else:
            lists = [write_worst(folder / f"worst{end}", mistakes.worst, shown)]
    for name, figure in figures.items():
        save_drawing(figure, folder / f"{name}{end}.png")
    return [f"mistakes{end}.json", *(f"{name}{end}.png" for name in figures), *lists]


def _array(values: Tensor) -> NDArray[Any]:
    values = values.float() if values.is_floating_point() else values
    array: NDArray[Any] = values.cpu().numpy()
    return array
