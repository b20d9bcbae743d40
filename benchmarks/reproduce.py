"""Run the book's experiments with several seeds, and rewrite the rows in docs/results.md.

    python benchmarks/reproduce.py                  # all except those that take hours, 5 seeds
    python benchmarks/reproduce.py imdb mnist --seeds 3

Each seed is one command in this process, with its own run folder. Finished seeds are not run again,
and an interrupted one is resumed. All seeds count: a row covers the seeds 0 to N - 1.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from dlp.cli import main

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs" / "results.md"
BEGIN, END = "<!-- rows: begin -->", "<!-- rows: end -->"
HEAD = ["experiment", "number", "published", "ours: median (range)", "seeds", "band", "verdict"]
#: Files with weights, by the placeholder for them in the commands.
WEIGHTS = {
    "mobilenet": "mobilenet_v2.pth",
    "vgg16": "vgg16.pth",
    "vgg16_bgr": "vgg16_bgr.pth",
}
EXPERIMENTS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "experiments.yaml").read_text())


def run_seed(name: str, folder: Path, seed: int, weights: Path) -> None:
    """Run a seed unless it is finished."""
    if is_finished(folder):
        return
    values: dict[str, Any] = {"root": folder.parents[1], "seed": seed}
    values |= {word: weights / file for word, file in WEIGHTS.items()}
    words = [word.format(**values) for word in EXPERIMENTS[name]["command"].split()[1:]]
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if checkpoint.exists():
        main(["fit", "--ckpt_path", str(checkpoint)])
    else:
        main([*words, "--seed_everything", str(seed), "--run_dir", str(folder)])


def is_finished(folder: Path) -> bool:
    """Return True if the run has all of its results."""
    if (folder / "crossval.json").exists():
        return True
    results = folder / "results.json"
    if not results.exists():
        return False
    config = yaml.safe_load((folder / "config.yaml").read_text())
    return not config["test_after_fit"] or "test" in json.loads(results.read_text())


def read_number(folder: Path, key: str) -> float:
    """Return a number from a run by its key in experiments.yaml."""
    kind, _, metric = key.partition(":")
    if metric:
        values = pd.read_csv(folder / "metrics.csv")[metric].dropna()
        return {
            "max": values.max(),
            "last": values.iloc[-1],
            "mean10": values.tail(10).mean(),
            "rise": values.iloc[-1] - values.min(),
        }[kind]
    crossval = folder / "crossval.json"
    content = json.loads((crossval if crossval.exists() else folder / "results.json").read_text())
    for part in key.split("."):
        content = content[part]
    return float(content)


def numbers_of(name: str, key: str, root: Path) -> list[float]:
    """Return a number from each finished seed."""
    folders = sorted((root / name).glob("seed_*"), key=lambda path: int(path.name[5:]))
    return [read_number(folder, key) for folder in folders if is_finished(folder)]


def rows_of(name: str, root: Path) -> list[str]:
    """Return the table rows of an experiment."""
    experiment = EXPERIMENTS[name]
    command = experiment["command"].format(root="runs/reproduce", seed="N", **WEIGHTS)
    head = f"{experiment['section']}<br>`{command}`"
    rows = []
    for number in experiment["numbers"]:
        values = numbers_of(name, number["key"], root)
        low, high = number.get("low"), number.get("high")
        for other, side in ((number.get("below"), "high"), (number.get("above"), "low")):
            if other and (others := numbers_of(other, number["key"], root)):
                limit = statistics.median(others) - number.get("margin", 0) * (
                    1 if side == "high" else -1
                )
                low, high = (low, limit) if side == "high" else (limit, high)
        band = " to ".join(f"{limit:.4g}" for limit in (low, high) if limit is not None)
        if (low is None) != (high is None):
            band = f"at {'most' if low is None else 'least'} {band}"
        ours, verdict = "not run", ""
        if "hours" in experiment:
            ours += f": some {experiment['hours']} hours on two cores"
        if values:
            median = statistics.median(values)
            ours = f"**{median:.4g}**"
            if len(values) > 1:
                ours += f" ({min(values):.4g} to {max(values):.4g})"
            is_inside = (low is None or median >= low) and (high is None or median <= high)
            verdict = "" if not band else "inside" if is_inside else "**outside**"
        published = str(number.get("published", "none"))
        cells = [head, number["label"], published, ours, str(len(values) or ""), band, verdict]
        rows.append(f"| {' | '.join(cells)} |")
        head = ""
    return rows


def write_rows(root: Path) -> None:
    """Write a table for each chapter. Experiments without runs keep their rows."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    standing = by_experiment(table)
    lines = [before.rstrip("\n"), BEGIN]
    chapter = ""
    for name, experiment in EXPERIMENTS.items():
        if experiment["section"][0] != chapter:
            chapter = experiment["section"][0]
            lines += ["", f"### Chapter {chapter}", ""]
            lines += [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
        has_runs = bool(numbers_of(name, experiment["numbers"][0]["key"], root))
        rows = standing.get(experiment["section"])
        lines += rows_of(name, root) if has_runs or rows is None else rows
    RESULTS.write_text("\n".join(lines) + f"\n\n{END}{after}", encoding="utf-8")


def by_experiment(tables: str) -> dict[str, list[str]]:
    """Return the rows by experiment. A row without a name belongs to the experiment above it."""
    rows: dict[str, list[str]] = {}
    section = ""
    for line in tables.splitlines():
        if not line.startswith("| ") or line.startswith(f"| {HEAD[0]} "):
            continue
        section = line.split("|")[1].partition("<br>")[0].strip() or section
        rows.setdefault(section, []).append(line)
    return rows


def reproduce() -> None:
    """Run the experiments from the command line, and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--root", type=Path, default=Path("runs") / "reproduce")
    parser.add_argument("--weights", type=Path, default=Path(), help="folder with the .pth files")
    args = parser.parse_args()
    for name in args.names or [n for n, e in EXPERIMENTS.items() if "hours" not in e]:
        for seed in range(args.seeds):
            run_seed(name, args.root / name / f"seed_{seed}", seed, args.weights)
            write_rows(args.root)


if __name__ == "__main__":
    reproduce()
