"""The numbers by which schedules such as ``ReduceLROnPlateau`` step, each of them once."""

from collections.abc import Mapping
from typing import Any

from lightning import Trainer
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau


class PlateauNumbers:
    """What a model has logged and no schedule has stepped by yet.

    Lightning keeps the last number of a metric through epochs that do not measure it; and it steps
    after the checkpoint of an epoch is written, and does not make up for that on resuming.
    """

    def __init__(self) -> None:
        self._new: dict[str, Tensor] = {}
        self._restored: dict[str, float] = {}

    def note(self, values: Mapping[str, Tensor]) -> None:
        """Take in what was measured: logged name -> number."""
        self._new.update(values)

    def take(self, name: str) -> bool:
        """Whether there is a new number of that name; from now on it is none."""
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
