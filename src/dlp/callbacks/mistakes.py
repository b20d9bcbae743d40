"""What a test gets wrong, written beside its numbers: matrix, curves and the worst mistakes."""

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from dlp.callbacks.part_rows import data_of, decision_rule, evaluated_part, names_of
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.examples import Examples
from dlp.datamodules.known_rows import places
from dlp.datamodules.loader import BatchLoader
from dlp.errors import InputError
from dlp.evaluation.mistake_files import (
    describe_rows,
    ending,
    worst_table,
    worst_texts,
    write_mistakes,
)
from dlp.evaluation.mistakes import (
    ClassificationMistakes,
    Mistakes,
    MultilabelMistakes,
    RegressionMistakes,
)
from dlp.files import atomic_path, write_text

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
        self._kind = ""
        self._part: Literal["test", "val"] = "test"
        self._batches: list[tuple[Tensor, Tensor]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self.mistakes = None
        self._batches.clear()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self.on_test_start(trainer, pl_module)

    def on_validation_batch_end(self, trainer: Trainer, *batch: Any, **named: Any) -> None:
        """Keep the predictions of a batch; those of a fit are not looked at."""
        if trainer.state.fn == "validate":
            self.on_test_batch_end(trainer, *batch, **named)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute and write, as after a test; the names of the files end with ``_val``.

        Raises:
            InputError: The folder cannot be written to.
        """
        self.on_test_end(trainer, pl_module)

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
        for kind in ("probabilities", "values"):
            if kind in outputs:
                self._kind = kind
                self._batches.append((outputs[kind].detach(), outputs["targets"].detach()))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute and write.

        Raises:
            InputError: The folder cannot be written to.
        """
        if not self._batches or getattr(trainer, "fast_dev_run", False):
            self._batches.clear()
            return
        predictions, targets = (torch.cat(parts) for parts in zip(*self._batches, strict=True))
        self._batches.clear()
        rows = _row_numbers(trainer, len(targets))
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
        self._part = evaluated_part(trainer)
        data = data_of(trainer, self._part)
        owners = (pl_module, getattr(trainer, "datamodule", None))
        threshold, labels = decision_rule(pl_module, targets.ndim == 2)
        found = self._found(_array(predictions), _array(targets), owners, data, threshold, labels)
        self.mistakes = found if data is None else _placed(found, data.examples(self._part))
        folder = Path(trainer.default_root_dir) if self.folder is None else self.folder
        try:
            names = self._write(folder, self.mistakes, data)
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}.") from error
        say(f"mistakes: {_summary(self.mistakes)}; see {', '.join(names)} in {folder}")

    def _found(
        self,
        predictions: NDArray[Any],
        targets: NDArray[Any],
        owners: tuple[object, ...],
        data: SupervisedDataModule | None,
        threshold: float | None,
        labels: bool,
    ) -> Mistakes:
        count = predictions.shape[1]
        rows = None if data is None else data.examples(self._part).names
        if self._kind == "values":
            targets = targets.reshape(len(targets), -1)
            names = names_of("target_names", count, *owners)
            return RegressionMistakes.of(predictions, targets, names, rows, self.num_worst)
        make = MultilabelMistakes.of if labels else ClassificationMistakes.of
        names = names_of("class_names", count, *owners)
        return make(predictions, targets, names, rows, self.num_worst, threshold)

    def _write(
        self, folder: Path, mistakes: Mistakes, data: SupervisedDataModule | None
    ) -> list[str]:
        """Write all files and return their names."""
        from dlp.visualization import mistakes as draw

        title = f"{folder.resolve().parent.name} {folder.name}"
        end = ending(self._part)
        if self._part == "val":
            title = f"{title}, validation part"
        write_mistakes(mistakes, folder / f"mistakes{end}.json")
        figures: dict[str, Figure] = {}
        if isinstance(mistakes, RegressionMistakes):
            figures[f"residuals{end}.png"] = draw.residual_figure(mistakes, title)
        else:
            figures[f"confusion{end}.png"] = draw.confusion_figure(mistakes, title)
            figures[f"reliability{end}.png"] = draw.reliability_figure(mistakes, title)
        written = [f"mistakes{end}.json", *figures]
        if data is not None and mistakes.worst:
            shown = describe_rows(data, self._part, [wrong.row for wrong in mistakes.worst])
            if isinstance(shown, Tensor):
                figures[f"worst{end}.png"] = draw.worst_figure(mistakes.worst, shown, title)
                written.append(f"worst{end}.png")
            elif isinstance(shown, list):
                write_text(folder / f"worst{end}.txt", worst_texts(mistakes.worst, shown))
                written.append(f"worst{end}.txt")
            else:
                table = worst_table(mistakes.worst, shown).to_csv(index=False)
                write_text(folder / f"worst{end}.csv", table)
                written.append(f"worst{end}.csv")
        for name, figure in figures.items():
            with atomic_path(folder / name) as temporary, warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph .* missing")  # of a class's name
                figure.savefig(temporary, format="png", dpi=110)
        return written


def _placed(mistakes: Mistakes, examples: Examples) -> Mistakes:
    """Return the mistakes with the place of the worst rows in the person's own file."""
    index, ids = places(examples), examples.ids
    worst = [
        replace(
            wrong,
            index=int(index[wrong.row]),
            id=None if ids is None else str(ids[wrong.row]),
        )
        for wrong in mistakes.worst
    ]
    changed: Mistakes = replace(cast(Any, mistakes), worst=worst)  # of the same kind
    return changed


def _row_numbers(trainer: Trainer, count: int) -> Tensor | None:
    """Return the number of each row that this process has tested; None if nobody knows."""
    loader = (
        trainer.test_dataloaders if evaluated_part(trainer) == "test" else trainer.val_dataloaders
    )
    if isinstance(loader, BatchLoader):
        return torch.cat(list(loader.batch_sampler))[:count]
    return None


def _array(values: Tensor) -> NDArray[Any]:
    values = values.float() if values.is_floating_point() else values
    array: NDArray[Any] = values.cpu().numpy()
    return array


def _summary(mistakes: Mistakes) -> str:
    """Return one clause on what went wrong."""
    if isinstance(mistakes, ClassificationMistakes):
        text = f"{mistakes.num_wrong:,} of {mistakes.rows:,} rows are wrong"
        for true, taken, count in mistakes.most_confused(1):
            text += f", most often {true} taken for {taken} ({count:,})"
        return text
    if isinstance(mistakes, MultilabelMistakes):
        low = min(mistakes.scores, key=lambda scores: scores.f1)
        return f"the label found worst is {low.name} (F1 {low.f1:.2f})"
    return f"the largest error is {mistakes.worst[0].caption}" if mistakes.worst else "none"
