"""Check the general claims of the course's notebooks with five seeds.

    python benchmarks/claims.py                  # all notebooks, hours
    python benchmarks/claims.py 05_overfitting   # one
    python benchmarks/claims.py --page           # only the page, from the stored numbers

``benchmarks/course/NAME.py`` measures for the notebook NAME. Its function ``measure(seed)`` returns
numbers by name, and its list ``CLAIMS`` contains a `Claim` for each sentence, with the condition
that these numbers must satisfy. The numbers are written to ``NAME.json`` in the same folder, and
the table to ``docs/course/claims.md``.
"""

import argparse
import json
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / "course"
PAGE = ROOT / "docs" / "course" / "claims.md"
SEEDS = range(5)

#: The numbers measured with one seed, by name.
Numbers = Mapping[str, float]

HEAD = """# What survives five seeds

A notebook shows one run. What it states as general was measured with the seeds 0 to 4 by
`python benchmarks/claims.py`. Numbers are the median of the five, with the lowest and the highest.

| notebook | claim | numbers | holds for |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Claim:
    """A general sentence from a notebook.

    Args:
        text: The sentence, in Markdown.
        numbers: Names of the numbers to show next to it.
        holds: Function that takes the numbers of a seed and returns whether the sentence is true.
    """

    text: str
    numbers: list[str]
    holds: Callable[[Numbers], bool]


def measured(name: str) -> None:
    """Measure for a notebook, and write the numbers after each seed."""
    module: Any = runpy.run_path(str(FOLDER / f"{name}.py"))
    seeds = []
    for seed in SEEDS:
        numbers = module["measure"](seed)
        seeds.append({key: round(float(value), 4) for key, value in numbers.items()})
        print(name, seed, seeds[-1], flush=True)
        (FOLDER / f"{name}.json").write_text(json.dumps(seeds, indent=1) + "\n", "utf-8")


def rows(name: str) -> list[str]:
    """Return a table row for each claim of a notebook, from the stored numbers."""
    module: Any = runpy.run_path(str(FOLDER / f"{name}.py"))
    seeds = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    lines = []
    for claim in module["CLAIMS"]:
        cells = []
        for key in claim.numbers:
            values = [numbers[key] for numbers in seeds]
            low, middle, high = np.quantile(values, [0, 0.5, 1])
            cells.append(f"{key} {middle:.3g} ({low:.3g} to {high:.3g})")
        count = sum(bool(claim.holds(numbers)) for numbers in seeds)
        notebook = f"[{name.partition('_')[0]}](../../notebooks/{name}.ipynb)"
        lines.append(
            f"| {notebook} | {claim.text} | {'<br>'.join(cells)} | {count} of {len(seeds)} |"
        )
    return lines


def main() -> None:
    """Measure for the notebooks from the command line, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--page", action="store_true", help="only write the page")
    args = parser.parse_args()
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    if not args.page:
        for name in args.names or names:
            measured(name)
    lines = [line for name in names if (FOLDER / f"{name}.json").exists() for line in rows(name)]
    PAGE.write_text(HEAD + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
