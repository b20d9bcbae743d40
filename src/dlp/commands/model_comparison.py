"""A command's model beside baselines that learn: fitted once, said and kept for each part."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from lightning import LightningModule

from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.directions import directions_of
from dlp.evaluation.baselines import Baselines
from dlp.evaluation.fitted_baselines import (
    EvaluatedPart,
    FittedBaseline,
    as_baselines,
    fitted_baselines,
    fitted_lines,
)
from dlp.runs.record import add_baselines


class ModelComparison:
    """The baselines of one model on the data it was trained on.

    Args:
        model: The model.
        data: Its data.
        parts: The parts that will be asked for.
    """

    def __init__(
        self, model: LightningModule, data: SupervisedDataModule, parts: Sequence[EvaluatedPart]
    ) -> None:
        self.model = model
        self.data = data
        self.parts = parts

    @cached_property
    def fitted(self) -> dict[str, FittedBaseline]:
        """The baselines, fitted when they are first asked for."""
        return fitted_baselines(self.model, self.data, self.parts)

    def say(
        self, scores: Mapping[str, float], part: EvaluatedPart, folder: Path | None
    ) -> Baselines:
        """Say how the baselines do on a part, and which model is better; keep their numbers.

        Args:
            scores: The model's own metrics, such as ``val_acc``.
            part: The part they are of.
            folder: The run's folder; None keeps nothing.

        Returns:
            Model -> metric -> number.
        """
        found = as_baselines(self.fitted, part)
        for line in fitted_lines(self.fitted, scores, part, directions_of(self.model)):
            say(line)
        if folder is not None:
            add_baselines(folder, {name: each.record() for name, each in self.fitted.items()})
        return found
