"""Run the book's experiments over several seeds and rewrite the rows of docs/results.md.

    python benchmarks/reproduce.py                  # every experiment, 5 seeds
    python benchmarks/reproduce.py imdb mnist --seeds 3

Each seed is one ``dlp fit`` in this process, in a run folder of its own. Seeds that have their
results are not run again, and one that was interrupted goes on from its last checkpoint: start the
script again after a kill. No seed is left out: the rows hold seeds 0 to N - 1 as they came.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

from experiments import EXPERIMENTS, Experiment

from dlp.cli import main

RESULTS = Path(__file__).parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- rows: begin -->", "<!-- rows: end -->"


def run_seed(experiment: Experiment, folder: Path, seed: int, mobilenet: Path = Path()) -> None:
    """Run one seed in `folder`, unless it is done; go on where it was interrupted."""
    if _is_done(folder):
        return
    places = {"mobilenet": mobilenet, "root": folder.parents[1], "seed": seed}
    words = [word.format(**places) for word in experiment.command.split()]
    run = [experiment.tool, *words, "--seed_everything", str(seed), "--run_dir", str(folder)]
    if experiment.tool == "crossval":  # goes on by itself
        main(run)
        return
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if checkpoint.exists():
        main(["fit", "--ckpt_path", str(checkpoint)])
        return
    if folder.exists():
        shutil.rmtree(folder)
    main(run)


def _is_done(folder: Path) -> bool:
    if (folder / "crossval.json").exists():
        return True
    results = folder / "results.json"
    if not results.exists():
        return False
    tested = "test_after_fit: null" in (folder / "config.yaml").read_text(encoding="utf-8")
    return tested or "test" in json.loads(results.read_text(encoding="utf-8"))


def read(folder: Path, key: str) -> float:
    """Return the number that `key` (see `Measure`) names in a run's folder."""
    kind, _, metric = key.partition(":")
    if metric:
        history = json.loads((folder / "history.json").read_text(encoding="utf-8"))[metric]
        if kind == "mean10":
            return statistics.mean(history[-10:])
        if kind == "rise":
            return float(history[-1] - min(history))
        return float(max(history) if kind == "max" else history[-1])
    whole = folder / "crossval.json"
    file = whole if whole.exists() else folder / "results.json"
    value = json.loads(file.read_text(encoding="utf-8"))
    for part in key.split("."):
        value = value[part]
    return float(value)


def rows(name: str, root: Path) -> list[str]:
    """Return the table rows of one experiment, from the seeds there are."""
    experiment = EXPERIMENTS[name]
    folders = sorted((root / name).glob("seed_*"), key=lambda path: int(path.name[5:]))
    folders = [folder for folder in folders if _is_done(folder)]
    if not folders and not experiment.download:
        return []
    lines = []
    for number, measure in enumerate(experiment.measures):
        if not folders:
            cells = [experiment.section, _shown(experiment), measure.label]
            wait = f"needs the download ({experiment.download} MB)"
            band = _band(measure.low, measure.high)
            cells += [measure.published, wait, "", band, "", ""]
            lines.append("| " + " | ".join(cells) + " |")
            continue
        values = [read(folder, measure.key) for folder in folders]
        median = statistics.median(values)
        low, high = measure.low, measure.high
        if (other := measure.below or measure.above) is not None:
            others = [
                read(folder, measure.key)
                for folder in (root / other).glob("seed_*")
                if _is_done(folder)
            ]
            if others and measure.below:
                high = statistics.median(others) - measure.margin
            elif others:
                low = statistics.median(others) + measure.margin
        digits = 0 if measure.key == "best_epoch" else 4
        shown = f"**{median:.{digits}f}** ({min(values):.{digits}f} to {max(values):.{digits}f})"
        head = ["", "", ""]
        if number == 0:
            head = [experiment.section, _shown(experiment), f"{len(values)}"]
        where = f"`{name}/seed_0` to `seed_{len(values) - 1}`" if number == 0 else ""
        cells = [
            *head[:2],
            measure.label,
            measure.published,
            shown,
            head[2],
            _band(low, high),
            _verdict(median, low, high),
            where,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _shown(experiment: Experiment) -> str:
    """Return a command as a reader would type it."""
    names = {"mobilenet": "mobilenet_v2.pth", "root": "runs/reproduce", "seed": "N"}
    return f"`dlp {experiment.tool} {experiment.command.format(**names)}`"


def _band(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"at most {high:.3f}"
    return f"at least {low:.4g}" if high is None else f"{low:g} to {high:g}"


def _verdict(value: float, low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    inside = (low is None or value >= low) and (high is None or value <= high)
    return "holds" if inside else "**misses**"


def write(root: Path) -> None:
    """Put the rows of every experiment that has results into docs/results.md; others stay."""
    head = (
        "| experiment | command | number | published | ours: median (min to max) | seeds | band | "
        "verdict | runs |\n|---|---|---|---|---|---|---|---|---|"
    )
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    standing, _, after = rest.partition(END)
    old = _by_section(standing)
    table = [head]
    for name, experiment in EXPERIMENTS.items():
        made = (root / name).is_dir()
        kept = [] if made else old.get(experiment.section, [])
        table += kept or rows(name, root)
    RESULTS.write_text(f"{before}{BEGIN}\n{chr(10).join(table)}\n{END}{after}", encoding="utf-8")


def _by_section(table: str) -> dict[str, list[str]]:
    """Return the rows of a table by experiment: those without a first cell go on with the last."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in table.strip().splitlines()[2:]:
        section = line.split("|")[1].strip()
        if section:
            lines = found.setdefault(section, [])
        lines.append(line)
    return found


def reproduce(args: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"default: all of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--root", type=Path, default=Path("runs") / "reproduce")
    parser.add_argument("--mobilenet", type=Path, default=Path("mobilenet_v2.pth"))
    given = parser.parse_args(args)
    by_default = [name for name, experiment in EXPERIMENTS.items() if not experiment.download]
    for name in given.names or by_default:
        if name not in EXPERIMENTS:
            parser.error(f"unknown experiment {name}; there are {', '.join(EXPERIMENTS)}")
        for seed in range(given.seeds):
            run_seed(EXPERIMENTS[name], given.root / name / f"seed_{seed}", seed, given.mobilenet)
            write(given.root)


if __name__ == "__main__":
    reproduce()
