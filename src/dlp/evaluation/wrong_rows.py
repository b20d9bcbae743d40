"""Rows that a model was wrong about, as people read of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WrongClass:
    """A row that was confidently taken for another class; of labels, its worst one.

    Args:
        row: Number of the row in its part, from 0.
        true: What it is.
        predicted: What it was taken for.
        true_probability: Probability given to what it is.
        predicted_probability: Probability given to what it was taken for.
        name: What people call the row, such as the path of its file.
        index: Number of the row in the file it was read from, from 0.
        id: What stands in its `id_column`.
    """

    row: int
    true: str
    predicted: str
    true_probability: float
    predicted_probability: float
    name: str | None = None
    index: int | None = None
    id: str | None = None

    @property
    def called(self) -> str:
        """What tells a person which row it is: its path, its id, or its number in their file."""
        return self.name or self.id or f"row {self.row if self.index is None else self.index}"

    @property
    def caption(self) -> str:
        """The mistake in a few words."""
        return f"{self.true} → {self.predicted} {_digits(self.predicted_probability)}"


@dataclass(frozen=True)
class WrongValue:
    """A row whose value was predicted far off; of several targets, the worst one.

    Args:
        row: Number of the row in its part, from 0.
        target: The target column.
        true: Its value.
        predicted: The value predicted.
        name: What people call the row, such as the path of its file.
        index: Number of the row in the file it was read from, from 0.
        id: What stands in its `id_column`.
    """

    row: int
    target: str
    true: float
    predicted: float
    name: str | None = None
    index: int | None = None
    id: str | None = None

    @property
    def called(self) -> str:
        """What tells a person which row it is: its path, its id, or its number in their file."""
        return self.name or self.id or f"row {self.row if self.index is None else self.index}"

    @property
    def caption(self) -> str:
        """The mistake in a few words."""
        target = f"{self.target} " if self.target else ""
        return f"{target}{in_words(self.true)} → {in_words(self.predicted)}"


def short(value: float) -> float:
    """Return a number with nine digits: all that float32 has, and no more for people to read."""
    return float(f"{value:.9g}")


def in_words(value: float) -> str:
    """Return a value to be read: four digits of small ones, large ones whole (1,234,567)."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def _digits(probability: float) -> str:
    """Return a probability with three digits, never rounded up to certainty."""
    return f"{probability:.3f}" if probability < 0.9995 else "above 0.999"
