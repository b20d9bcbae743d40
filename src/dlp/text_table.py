"""Tables as people read them in a terminal."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], left: int | None = None) -> list[str]:
    """Return a line for each row, its cells below each other, two spaces apart.

    Args:
        rows: The cells, as many in each row.
        left: How many columns are words, which begin below each other; the others are numbers,
            which end so. None: all are words.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left, lines = len(widths) if left is None else left, []
    for row in rows:
        words = [f"{cell:<{width}}" for cell, width in zip(row[:left], widths, strict=False)]
        numbers = [
            f"{cell:>{width}}" for cell, width in zip(row[left:], widths[left:], strict=True)
        ]
        lines.append("  ".join([*words, *numbers]).rstrip())
    return lines
