"""Rows that a model was wrong about, as people read of them."""

from dataclasses import dataclass, field

from dlp.number_words import chance_in_words, in_words


@dataclass(frozen=True)
class WrongRow:
    """What rows of either kind have in common.

    Args:
        row: Number of the row in its part, from 0.
        name: What people call the row, such as the path of its file.
        index: Number of the row in the file it was read from, from 0.
        id: What stands in its `id_column`.
    """

    row: int
    name: str | None = field(default=None, kw_only=True)
    index: int | None = field(default=None, kw_only=True)
    id: str | None = field(default=None, kw_only=True)

    @property
    def called(self) -> str:
        """What tells a person which row it is: its path, its id, or its number in their file."""
        return self.name or self.id or f"row {self.row if self.index is None else self.index}"


@dataclass(frozen=True)
class WrongClass(WrongRow):
    """A row that was confidently taken for another class; of labels, its worst one.

    Args:
        true: What it is.
        predicted: What it was taken for.
        true_probability: Probability given to what it is.
        predicted_probability: Probability given to what it was taken for.
    """

    true: str
    predicted: str
    true_probability: float
    predicted_probability: float

    @property
    def caption(self) -> str:
        """The mistake in a few words."""
        return f"{self.true} → {self.predicted} {chance_in_words(self.predicted_probability)}"


@dataclass(frozen=True)
class WrongValue(WrongRow):
    """A row whose value was predicted far off; of several targets, the worst one.

    Args:
        target: The target column; empty where it has no name.
        true: Its value.
        predicted: The value predicted.
    """

    target: str
    true: float
    predicted: float

    @property
    def caption(self) -> str:
        """The mistake in a few words."""
        target = f"{self.target} " if self.target else ""
        return f"{target}{in_words(self.true)} → {in_words(self.predicted)}"


def short(value: float) -> float:
    """Return a number with nine digits: all that float32 has, and no more for people to read."""
    return float(f"{value:.9g}")
