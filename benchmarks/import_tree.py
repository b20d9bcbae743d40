"""What imports cost, package by package, before and after some of them wait.

    python benchmarks/import_tree.py [--rounds 5]

Python's own ``-X importtime``, of ``import torch, lightning`` and of a fit of one batch. A package
stands below the one that imported it first, with all that it imports itself; what takes less than
50 ms is left out. Python's notes make imports somewhat slower than they are.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tables import put

from dlp.deferred_imports import DEFERRED

Path = tuple[str, ...]
#: Seconds below which a package is left out.
LEAST = 0.05
#: Modules that wait, and the packages apart from which they are shown.
APART = sorted(set(DEFERRED.values()))
FIT = ["fit", "--config", "quickstart", "--trainer.fast_dev_run", "true"]
#: What is imported -> the code of it plainly, and with imports that wait.
CODES = {
    "import torch, lightning": (
        "import torch, lightning",
        "from dlp.deferred_imports import defer_imports; defer_imports(); import torch, lightning",
    ),
    f"dlp {' '.join(FIT)}": (
        f"from dlp import cli; cli.defer_imports = lambda: None; cli.main({FIT})",
        f"from dlp import cli; cli.main({FIT})",
    ),
}


def package_of(module: str) -> str:
    """Return what a module is shown as."""
    parts = [one for one in APART if module == one or module.startswith(f"{one}.")]
    return parts[0] if parts else module.partition(".")[0]


def packages(lines: Iterable[str]) -> tuple[dict[Path, float], int]:
    """Return the seconds of each package below those that import it, and how many modules came.

    Args:
        lines: Of ``-X importtime``: ``import time: SELF | CUMULATED | NAME``, in microseconds, the
            name indented by two spaces a level, and after what it imports.
    """
    found: dict[Path, float] = defaultdict(float)
    above: list[tuple[int, Path]] = []
    modules = re.findall(r"^import time: +(\d+) \| +\d+ \|( +)(\S+)$", "\n".join(lines), re.M)
    for took, spaces, module in reversed(modules):  # the importing one first
        while above and above[-1][0] >= len(spaces):
            above.pop()
        path = above[-1][1] if above else ()
        package = package_of(module)
        if not path or path[-1] != package:
            path = (*path, package)
        above.append((len(spaces), path))
        for depth in range(len(path) + 1):  # () is everything
            found[path[:depth]] += int(took) / 1e6
    return found, len(modules)


def measured(code: str) -> tuple[dict[Path, float], int]:
    """Return what a process imports."""
    words = [sys.executable, "-X", "importtime", "-c", code]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            words, capture_output=True, text=True, check=True, cwd=folder, env=os.environ
        )
    return packages(done.stderr.splitlines())


def tree(before: Sequence[dict[Path, float]], after: Sequence[dict[Path, float]]) -> list[str]:
    """Return a line for each package with the medians of both, the dearest first."""

    def median(rounds: Sequence[dict[Path, float]], path: Path) -> float:
        return statistics.median(one.get(path, 0.0) for one in rounds)

    known = {path: median(before, path) for one in (*before, *after) for path in one}
    shown = {
        path: (of, median(after, path))
        for path, of in known.items()
        if max(of, median(after, path)) >= LEAST
    }

    def place(path: Path) -> list[tuple[float, str]]:
        parts = [path[: depth + 1] for depth in range(len(path))]
        return [(-max(shown[part]), part[-1]) for part in parts]

    lines = []
    for path in sorted(shown, key=place):
        name = "  " * len(path) + (path[-1] if path else "all")
        cells = [f"{of:6.2f}" if of >= LEAST / 10 else "     -" for of in shown[path]]
        lines.append(f"{name:<44} {' '.join(cells)}")
    return lines


def main() -> None:
    """Measure in turns, and write the trees."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    text = []
    for title, codes in CODES.items():
        rounds = [[measured(code) for code in codes] for _ in range(given.rounds)]
        counts = [str(number) for _, number in rounds[-1]]
        before, after = ([one[side][0] for one in rounds] for side in (0, 1))
        head = f"{title}\n{'':<44} before  after"
        numbers = f"{'  modules':<44} {' '.join(f'{count:>6}' for count in counts)}"
        text.append("\n".join(["```text", head, *tree(before, after), numbers, "```"]))
    rounds_said = f"Seconds; medians of rounds in turns: {given.rounds}."
    put("import tree", "\n\n".join([*text, rounds_said]))


if __name__ == "__main__":
    main()
