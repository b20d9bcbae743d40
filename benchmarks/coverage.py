"""Count how often the intervals and sets of ``dlp calibrate`` have the truth, on the test part.

    python benchmarks/coverage.py                       # every set, 20 seeds
    python benchmarks/coverage.py diabetes --seeds 2

A seed cuts its own parts; it is one fit of configs/own/table.yaml, calibrated on its validation
part. The harder half of the test rows has the values that are predicted farthest from their median,
or the classes that are predicted with the least probability. Finished seeds (in ``runs/coverage``)
are not repeated; the table stands in docs/how_to/calibration.md.
"""

import argparse
from pathlib import Path

import pandas as pd
from own_data import SETS

from dlp.cli import main

ROOT = Path("runs/coverage")
RECIPE = Path(__file__).parents[1] / "configs/own/table.yaml"
NAMES = ("diabetes", "friedman1", "boston", "digits", "clusters")


def predictions(name: str, seed: int) -> pd.DataFrame:
    """Return the predictions of the test part; train and calibrate if there are none."""
    run = ROOT / name / f"seed_{seed}"
    path = run / "predictions.csv"
    if not path.exists():
        table = ROOT / name / f"seed_{seed}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        SETS[name].draw(seed).to_csv(table, index=False)
        args = ["--config", str(RECIPE), "--run_dir", str(run), "--baselines", "false"]
        args += ["--data.path", str(table), "--data.target", "target"]
        args += ["--data.split_seed", str(seed), "--seed_everything", str(seed)]
        args += ["--trainer.enable_progress_bar", "false"]
        args += ["--trainer.enable_model_summary", "false"]
        if SETS[name].is_value:
            args += ["--model.head", "regression", "--model.loss", "mae"]
        main(["fit", *args])
        main(["calibrate", str(run)])
        main(["predict", "--ckpt_path", str(run)])
    return pd.read_csv(path, dtype={"set": str})


def measure(frame: pd.DataFrame) -> dict[str, float]:
    """Return the coverage of all rows and of the harder half, and the mean width or set size."""
    if "set" in frame:
        sets = frame["set"].str.split(";")
        size = sets.str.len()
        covered = pd.Series([str(row.target) in row.set.split(";") for row in frame.itertuples()])
        difficulty = -frame.filter(like="prob_").max(axis=1)
    else:
        size = frame["high"] - frame["low"]
        covered = frame["target"].between(frame["low"], frame["high"])
        difficulty = (frame["value"] - frame["value"].median()).abs()
    is_hard = difficulty.rank(method="first") > len(frame) / 2
    return {"coverage": covered.mean(), "harder": covered[is_hard].mean(), "size": size.mean()}


def row_of(name: str, seeds: int) -> str:
    """Return the row of a set: means over the seeds, and the range of the coverage."""
    scores = pd.DataFrame([measure(predictions(name, seed)) for seed in range(seeds)])
    mean = scores.mean()
    lowest, highest = scores["coverage"].min(), scores["coverage"].max()
    coverage = f"{mean['coverage']:.3f} ({lowest:.3f} to {highest:.3f})"
    kind = "width" if SETS[name].is_value else "classes"
    return f"| {SETS[name].title} | {coverage} | {mean['harder']:.3f} | {mean['size']:.4g} {kind} |"


def benchmark() -> None:
    """Measure the sets of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(NAMES))
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    print("| data | coverage | harder half | mean size |\n| --- | --- | --- | --- |")
    for name in args.sets or NAMES:
        print(row_of(name, args.seeds), flush=True)


if __name__ == "__main__":
    benchmark()
