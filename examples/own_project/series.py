"""A custom kind of row: vibrations of machines, as series of numbers with different lengths."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dlp.datamodules import DataArguments, Encoder, Examples, Rows, SupervisedDataModule
from dlp.datamodules.rows import row_hashes
from dlp.datamodules.targets import TargetEncoder
from dlp.hyperparameters import Keywords


class SeriesRows(Rows):
    """Rows that are series of numbers."""

    def __init__(self, series: list[NDArray[Any]]) -> None:
        self.series = series

    def __len__(self) -> int:
        return len(self.series)

    def __getitem__(self, index: NDArray[Any]) -> "SeriesRows":
        return SeriesRows([self.series[row] for row in index])

    def describe(self) -> str:
        """Return a description with the number and lengths of the series."""
        lengths = [len(series) for series in self.series]
        return f"{len(self):,} series of {min(lengths)} to {max(lengths)} numbers"

    def raw(self) -> list[NDArray[Any]]:
        """Return the series as a list of arrays."""
        return self.series

    def features(self) -> NDArray[Any]:
        """Return the mean, standard deviation and maximum of each series, (N, 3)."""
        return np.array([[series.mean(), series.std(), series.max()] for series in self.series])


class SeriesEncoder(Encoder[Sequence[ArrayLike]]):
    """Encoder of series, which computes the mean power in bands of frequencies.

    The inputs are the standardised logarithms of these powers.

    Args:
        num_bands: Number of frequency bands.
    """

    kind = "series"

    def __init__(self, num_bands: int) -> None:
        self.num_bands = num_bands

    def fit(self, rows: Sequence[ArrayLike], targets: NDArray[Any] | None = None) -> None:
        """Learn the mean and standard deviation of each band.

        A band that is constant in training is encoded as 0.
        """
        if len(rows) < 2:
            raise ValueError(f"rows: expected two series or more to train on, got {len(rows)}.")
        powers = self.log_powers(rows)
        is_constant = np.ptp(powers, axis=0) == 0
        self.mean_ = powers.mean(axis=0).tolist()
        self.std_ = np.where(is_constant, np.inf, powers.std(axis=0, ddof=1)).tolist()
        self.input_shape_ = (self.num_bands,)

    def transform(self, rows: Sequence[ArrayLike]) -> NDArray[np.float32]:
        """Return the inputs, float32 (N, num_bands), for series of any length."""
        powers = self.log_powers(rows)
        return ((powers - self.mean_) / self.std_).astype(np.float32)

    def log_powers(self, rows: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """Return the logarithm of the mean power in each band, (N, num_bands)."""
        powers = []
        for row in rows:
            try:
                series = np.asarray(row, np.float64)
            except (TypeError, ValueError) as error:
                raise ValueError("a row must be a series of numbers.") from error
            if series.ndim != 1 or len(series) < 2 * self.num_bands:
                raise ValueError(f"a row must be a series of {2 * self.num_bands} numbers or more.")
            if not np.isfinite(series).all():
                raise ValueError("a series contains a missing or infinite number.")
            spectrum = abs(np.fft.rfft(series)[1:]) ** 2 / len(series)
            bands = np.array_split(spectrum, self.num_bands)
            powers.append([band.mean() for band in bands])
        return np.log(np.reshape(powers, (len(rows), self.num_bands)) + 1e-6)


class SeriesDataModule(SupervisedDataModule):
    """Simulated vibrations of machines that run well, are unbalanced, or have a worn bearing.

    Args:
        num_series: Number of series.
        num_bands: Number of frequency bands.
        test_size: Size of the test part, as a number of series or a fraction.
        **split: See `SupervisedDataModule`.
    """

    def __init__(
        self,
        num_series: int = 600,
        num_bands: int = 16,
        test_size: float | None = 0.2,
        **split: Keywords[DataArguments],
    ) -> None:
        super().__init__(
            encoder=SeriesEncoder(num_bands),
            targets=TargetEncoder("classification", ["good", "unbalanced", "worn"]),
            test_size=test_size,
            **split,
        )
        self.num_series = num_series
        self.save_arguments(locals())

    def load(self) -> dict[str, Examples]:
        """Return all series, each with 200 to 399 numbers, and the state of each machine."""
        random = np.random.default_rng(0)
        states = np.arange(self.num_series) % 3
        series = [vibration(state, random) for state in states]
        # A resumed fit compares the hashes to recognise its rows. They also reveal rows that are in
        # two parts.
        hashes = row_hashes(series)
        return {"train": Examples(SeriesRows(series), states, hashes=hashes)}


def vibration(state: int, random: np.random.Generator) -> NDArray[Any]:
    """Return the noisy vibration of a shaft; imbalance adds an overtone, a worn bearing a hum."""
    time = np.arange(random.integers(200, 400))
    turn = 2 * np.pi * random.uniform(0.04, 0.06) * time
    overtone = np.sin(2 * turn) * (state == 1)
    hum = np.sin(7 * turn) * (state == 2)
    return np.sin(turn) + 0.8 * (overtone + hum) + random.normal(size=len(time))
