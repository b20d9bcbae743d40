"""Optimizers and schedules as they are made; when schedules step, and by which numbers."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lightning import Trainer
from lightning.pytorch.callbacks import ModelPruning
from torch import Tensor
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from dlp.errors import InputError

_T = TypeVar("_T")


def stepping(
    scheduler: LRScheduler | ReduceLROnPlateau, logs: Callable[[str], bool], every: int
) -> dict[str, Any]:
    """Return a schedule with how often it steps and what it watches: Lightning's ``lr_scheduler``.

    Args:
        scheduler: One-cycle and cyclic schedules step each batch, others each epoch. One that
            watches a metric watches its `monitor`, else ``val_loss``, and steps in the epochs that
            validate.
        logs: Whether the model logs a name. Such a number may be missing in an epoch; another is
            an error.
        every: Validation is every so many epochs.
    """
    monitor = getattr(scheduler, "monitor", "val_loss")
    watches = isinstance(scheduler, ReduceLROnPlateau) and not monitor.startswith("train_")
    return {
        "scheduler": scheduler,
        "interval": "step" if isinstance(scheduler, OneCycleLR | CyclicLR) else "epoch",
        "monitor": monitor,
        "strict": not logs(monitor),
        "frequency": every if watches else 1,
    }


def made(what: str, make: Callable[[], _T]) -> _T:
    """Return what a class makes of the arguments that a person gave.

    Raises:
        InputError: It refuses one of them.
    """
    try:
        return make()
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"the {what} cannot be made: {error}.") from error


def is_pruned(trainer: Any) -> bool:
    """Whether parameters are viewed as one vector, as LBFGS does too."""
    return any(isinstance(callback, ModelPruning) for callback in trainer.callbacks)


class PlateauNumbers:
    """What a model has logged and no schedule has stepped by yet.

    Lightning keeps the last number of a metric through epochs that do not measure it; and it steps
    after the checkpoint of an epoch is written, and does not make up for that on resuming.
    """

    def __init__(self) -> None:
        self._new: dict[str, Tensor] = {}
        self._restored: dict[str, float] = {}

    def begin(self) -> None:
        """Forget what was measured before this fit; what its checkpoint kept stays."""
        self._new.clear()

    def note(self, values: Mapping[str, Tensor]) -> None:
        """Take in what was measured: logged name -> number."""
        self._new.update(values)

    def take(self, name: str) -> bool:
        """Whether there is a new number of that name; it counts as old from now on."""
        return self._new.pop(name, None) is not None

    def state(self, others: Mapping[str, Tensor]) -> dict[str, float]:
        """Return what a checkpoint keeps: the new numbers, and those of other loggers."""
        return {name: value.item() for name, value in {**others, **self._new}.items()}

    def restore(self, state: Mapping[str, float]) -> None:
        """Take over what a checkpoint kept."""
        self._restored = dict(state)

    def catch_up(self, trainer: Trainer) -> None:
        """Let schedules step that had not yet when the checkpoint was written."""
        configs: list[Any] = trainer.lr_scheduler_configs
        for config in configs:
            schedule, watched = config.scheduler, self._restored.get(str(config.monitor))
            if watched is None or not isinstance(schedule, ReduceLROnPlateau):
                continue
            if schedule.last_epoch < trainer.current_epoch // config.frequency:
                schedule.step(watched)
        self._restored = {}
