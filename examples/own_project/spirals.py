"""Your own data: two interleaved spirals, as a subclass of dlp's DataModule."""

import numpy as np

from dlp.datamodules import ArrayEncoder, ArrayRows, Examples, SupervisedDataModule
from dlp.datamodules.targets import TargetEncoder


class SpiralDataModule(SupervisedDataModule):
    """Points on two spirals; the class of a point is its spiral.

    Args:
        num_points: Number of points.
        turns: Number of times that each spiral winds around the centre.
        batch_size: Number of points per training batch.
        val_size: Size of the validation part, as a number of points or a fraction.
        test_size: Size of the test part, as a number of points or a fraction.
        split_seed: Seed for shuffling the points before they are split. None keeps their order.
    """

    def __init__(
        self,
        num_points: int = 1000,
        turns: float = 1.0,
        batch_size: int = 32,
        val_size: int | float | None = 0.2,
        test_size: int | float | None = 0.2,
        split_seed: int | None = 0,
    ) -> None:
        super().__init__(
            encoder=ArrayEncoder(),
            targets=TargetEncoder("classification", ["first", "second"]),
            batch_size=batch_size,
            val_size=val_size,
            test_size=test_size,
            split_seed=split_seed,
        )
        self.num_points, self.turns = num_points, turns

    def load(self) -> dict[str, Examples]:
        """Return all points, (N, 2), and the spiral of each, (N,)."""
        random = np.random.default_rng(0)
        spiral = np.arange(self.num_points) % 2
        radius = random.uniform(0.2, 1, self.num_points)
        angle = 2 * np.pi * self.turns * radius + np.pi * spiral
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        points += random.normal(0, 0.02, points.shape)
        return {"train": Examples(ArrayRows(points), spiral)}
