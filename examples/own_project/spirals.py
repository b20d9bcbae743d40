"""Data of one's own: two interleaved spirals, as a DataModule on dlp's base."""

from typing import Unpack

import numpy as np

from dlp.datamodules import Examples, SharedArguments, SupervisedDataModule, TargetEncoder


class SpiralDataModule(SupervisedDataModule):
    """Points of two spirals, to be told apart.

    Args:
        num_points: How many points there are.
        turns: How often each spiral winds around the centre.
        test_size: Points to test on: a count or a fraction.
    """

    def __init__(
        self,
        num_points: int = 1000,
        turns: float = 1.0,
        test_size: int | float | None = 0.2,
        **shared: Unpack[SharedArguments],
    ) -> None:
        targets = TargetEncoder("classification", ["first", "second"])
        super().__init__(targets=targets, test_size=test_size, **shared)
        self.num_points = num_points
        self.turns = turns

    def load_train(self) -> Examples:
        """Return all points, (N, 2), and the spiral of each, (N,)."""
        random = np.random.default_rng(0)
        spiral = np.arange(self.num_points) % 2
        radius = random.uniform(0.2, 1, self.num_points)
        angle = 2 * np.pi * self.turns * radius + np.pi * spiral
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        return Examples(points + random.normal(0, 0.02, points.shape), spiral)
