"""The progress bars: a line an epoch with its losses and metrics, or a line a fit."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar as LightningProgressBar
from tqdm.auto import tqdm

from dlp.console import bar_file


class _Bars(LightningProgressBar):
    """What bars have in common: there is one at a time, and it can be switched off."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm[Any] | None = None
        self._enabled = True

    def disable(self) -> None:
        """Show nothing (Lightning calls this on all processes but the first)."""
        self._enabled = False

    def enable(self) -> None:
        """Show bars."""
        self._enabled = True


class ProgressBar(_Bars):
    """One bar an epoch, counted from 1; drawn ten times a second at most, and never in pieces.

    Lightning's own bars redraw at every step and count epochs from 0.
    """

    def _open(self, description: str, total: int | float | list[int | float]) -> None:
        batches = sum(total) if isinstance(total, list) else total
        self._bar = tqdm(
            desc=description,
            total=int(batches) if batches != float("inf") else None,
            unit="batch",
            disable=not self._enabled,
            dynamic_ncols=True,
            file=bar_file(),
        )

    def _step(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def _close(self, metrics: dict[str, Any]) -> None:
        if self._bar is not None:
            shown = {name: f"{value:.4f}" for name, value in metrics.items() if _is_number(value)}
            self._bar.set_postfix(shown, refresh=False)
            self._bar.close()
            self._bar = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of an epoch."""
        total = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
        self._open(f"Epoch {trainer.current_epoch + 1}{total}", trainer.num_training_batches)

    def on_train_batch_end(self, *args: Any) -> None:
        """Advance by a batch."""
        self._step()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the line with the metrics of the epoch."""
        self._close(self.get_metrics(trainer, pl_module))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of a validation that is no part of a fit."""
        if trainer.state.fn == "validate":
            self._open("Validating", trainer.num_val_batches)
        elif self._bar is not None:
            self._bar.set_postfix_str("validating", refresh=True)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Advance by a batch of such a validation."""
        if trainer.state.fn == "validate":
            self._step()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the line of such a validation."""
        if trainer.state.fn == "validate":
            self._close({})

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of a test."""
        self._open("Testing", trainer.num_test_batches)

    def on_test_batch_end(self, *args: Any) -> None:
        """Advance by a batch."""
        self._step()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the line; Lightning prints the table of numbers."""
        self._close({})

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of a prediction."""
        self._open("Predicting", trainer.num_predict_batches)

    def on_predict_batch_end(self, *args: Any) -> None:
        """Advance by a batch."""
        self._step()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the line."""
        self._close({})

    def on_exception(self, trainer: Trainer, *args: Any) -> None:
        """Leave the line as it is."""
        self._close({})

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return the metrics to show, without Lightning's version number."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return shown


class EpochBar(_Bars):
    """One bar a fit, that counts its epochs; for fits of which there are many, such as folds.

    Args:
        description: What the line begins with.
    """

    def __init__(self, description: str) -> None:
        super().__init__()
        self.description = description

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line, at the epoch that a resumed fit goes on with."""
        self._bar = tqdm(
            desc=self.description,
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            unit="epoch",
            disable=not self._enabled,
            dynamic_ncols=True,
            file=bar_file(),
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Advance by an epoch, with its metrics of validation."""
        if self._bar is not None:
            shown = {
                name: f"{float(value):.4f}"
                for name, value in trainer.callback_metrics.items()
                if name.startswith("val_")
            }
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_exception(self, trainer: Trainer, *args: Any) -> None:
        """Leave the line as it is."""
        if self._bar is not None:
            self._bar.close()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
