"""The progress bars: a line an epoch with its losses and metrics, or a line a fit.

Lightning's `TQDMProgressBar` would need 13 of its hooks changed to draw such a line: it counts
epochs from 0, names the DataLoader, has a bar for the sanity check and draws on stdout. It also
costs 31 µs a step instead of 6, since it redraws at every batch.
"""

from collections.abc import Mapping
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

    def _open(self, line: str, total: float | None, unit: str = "batch", done: int = 0) -> None:
        self._bar = tqdm(
            desc=line,
            total=None if total is None or total == float("inf") else int(total),
            initial=done,
            unit=unit,
            disable=not self._enabled,
            dynamic_ncols=True,
            file=bar_file(),
        )

    def _step(self, *args: Any, **named: Any) -> None:
        if self._bar is not None:
            self._bar.update()

    def _show(self, metrics: Mapping[str, Any]) -> None:
        if self._bar is not None:
            shown = {name: f"{v:.4f}" for name, v in metrics.items() if isinstance(v, int | float)}
            self._bar.set_postfix(shown, refresh=False)

    def _close(self, *args: Any, **named: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    on_train_end = on_test_end = on_predict_end = on_exception = _close


class ProgressBar(_Bars):
    """One bar an epoch, counted from 1; drawn ten times a second at most, and never in pieces."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of an epoch."""
        total = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
        self._open(f"Epoch {trainer.current_epoch + 1}{total}", trainer.num_training_batches)

    on_train_batch_end = on_test_batch_end = on_predict_batch_end = _Bars._step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the line with the metrics of the epoch."""
        self._show(self.get_metrics(trainer, pl_module))
        self._close()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of a validation that is no part of a fit."""
        if trainer.state.fn == "validate":
            self._open("Validating", sum(trainer.num_val_batches))
        elif self._bar is not None:
            self._bar.set_postfix_str("validating", refresh=True)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Advance by a batch of such a validation."""
        if trainer.state.fn == "validate":
            self._step()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the line of such a validation."""
        if trainer.state.fn == "validate":
            self._close()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of a test."""
        self._open("Testing", sum(trainer.num_test_batches))

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the line of a prediction."""
        self._open("Predicting", sum(trainer.num_predict_batches))

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
        self._open(self.description, trainer.max_epochs, "epoch", trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Advance by an epoch, with its metrics of validation."""
        metrics = trainer.callback_metrics.items()
        self._show({name: float(value) for name, value in metrics if name.startswith("val_")})
        self._step()
