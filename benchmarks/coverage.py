"""Count how often the intervals and sets from ``dlp calibrate`` contain the true target.

    python benchmarks/coverage.py                       # every set, 20 seeds
    python benchmarks/coverage.py diabetes --seeds 2

Each seed has its own split into parts and one fit of configs/own/table.yaml, which is calibrated on
the validation part and measured on the test part. The test rows are grouped into fifths by the
predicted value, or into halves by the probability of the likeliest class. Finished seeds (in
``runs/coverage``) are not repeated. The tables are in docs/how_to/calibration.md.
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
    """Return the predictions for the test part. Train and calibrate first if they do not exist."""
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
    """Return the coverage for all rows and for each group, and the mean width or set size."""
    num_groups = 5
    if "set" in frame:
        sets = frame["set"].str.split(";")
        size = sets.str.len()
        covered = pd.Series([str(row.target) in row.set.split(";") for row in frame.itertuples()])
        order = frame.filter(like="prob_").max(axis=1)
        num_groups = 2
    else:
        size = frame["high"] - frame["low"]
        covered = frame["target"].between(frame["low"], frame["high"])
        order = frame["value"]
    groups = pd.qcut(order.rank(method="first"), num_groups, labels=False)
    coverages = covered.groupby(groups).mean().to_dict()
    return {"coverage": covered.mean(), "size": size.mean()} | coverages


def row_of(name: str, seeds: int) -> str:
    """Return the table row of a set, with means over the seeds and the range of the coverage."""
    scores = pd.DataFrame([measure(predictions(name, seed)) for seed in range(seeds)])
    mean = scores.mean()
    lowest, highest = scores["coverage"].min(), scores["coverage"].max()
    coverage = f"{mean['coverage']:.3f} ({lowest:.3f} to {highest:.3f})"
    kind = "width" if SETS[name].is_value else "classes"
    groups = ", ".join(f"{share:.3f}" for share in mean.drop(["coverage", "size"]))
    return f"| {SETS[name].title} | {coverage} | {groups} | {mean['size']:.4g} {kind} |"


def benchmark() -> None:
    """Measure the sets from the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(NAMES))
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    print("| data | coverage | groups | mean size |\n| --- | --- | --- | --- |")
    for name in args.sets or NAMES:
        print(row_of(name, args.seeds), flush=True)


if __name__ == "__main__":
    benchmark()
