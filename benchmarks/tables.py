"""What the scripts write: numbers as text, and tables between markers in docs/benchmarks.md."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def spread(values: Sequence[float], digits: int) -> str:
    """Return ``median (min to max)``."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def number(value: float) -> str:
    """Return three digits that count; thousands in full."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def best(values: Mapping[str, Sequence[float]], more_is_better: bool = False) -> str | None:
    """Return the name of the best median; None where nothing was measured."""
    medians = {name: statistics.median(of) for name, of in values.items() if of}
    if not medians:
        return None
    return (max if more_is_better else min)(medians, key=lambda name: medians[name])


def ratios(
    others: Mapping[int, float], own: Mapping[int, float], more_is_better: bool = False
) -> list[float]:
    """Return how many times better `own` is, in the rounds that have both.

    First of the medians, then of each round.
    """
    both = [(others[key], own[key]) for key in sorted(others.keys() & own.keys())]
    if not both:
        return []
    theirs_all, mine_all = zip(*both, strict=True)
    pairs = [(statistics.median(theirs_all), statistics.median(mine_all)), *both]
    return [mine / theirs if more_is_better else theirs / mine for theirs, mine in pairs]


def ratio_text(values: Sequence[float]) -> str:
    """Return the ratio of medians with the least and the greatest of a round."""
    if not values:
        return "-"
    first, *rounds = values
    among = f" ({min(rounds):.2f} to {max(rounds):.2f})" if rounds else ""
    return f"{first:.2f}{among}"


def apart(some: Sequence[float], others: Sequence[float]) -> float:
    """Return how far two lists of losses lie apart at most, relative to the mean of the second.

    Raises:
        ValueError: They are not of one length.
    """
    scale = statistics.fmean(map(abs, others)) or 1.0
    return max(abs(a - b) for a, b in zip(some, others, strict=True)) / scale


def in_proportion(
    result: Mapping[str, float | list[float]], epochs: int, folds: int = 1, share: float = 1.0
) -> dict[str, float]:
    """Return the ``epoch``, ``fit`` and ``whole`` seconds of a whole workload from those of a part.

    The first epoch holds what is done once (compiling); every fold compiles anew, as the book's
    code does, which makes a network for each.

    Args:
        result: ``epochs`` measured (at least one), ``fit`` and ``whole`` seconds.
        epochs: Epochs of a whole fit.
        folds: Fits.
        share: Which part of the rows was trained on.
    """
    measured, fit, whole = result["epochs"], result["fit"], result["whole"]
    assert isinstance(measured, list)
    assert isinstance(fit, float)
    assert isinstance(whole, float)
    steady = statistics.median(measured[1:] or measured)
    if (epochs, folds, share) == (len(measured), 1, 1.0):
        return {"epoch": steady, "fit": fit, "whole": whole}
    once = max(0.0, fit - steady * len(measured))
    total = folds * (once + epochs * steady / share)
    return {"epoch": steady / share, "fit": total, "whole": whole - fit + total}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def put(name: str, table: str) -> None:
    """Put a table between the markers of its name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = PAGE.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    if not found:
        raise ValueError(f"{PAGE} has no place for {name}")
    after = rest.partition(end)[2]
    PAGE.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
