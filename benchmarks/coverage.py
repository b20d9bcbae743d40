"""Count how often the intervals and sets of ``dlp calibrate`` have the truth, on the test part.

    python benchmarks/coverage.py                       # every set, 20 seeds
    python benchmarks/coverage.py diabetes --seeds 2

A seed cuts its own parts; it is one fit of configs/own/table.yaml, calibrated on its validation
part. The test rows are sorted into fifths by the predicted value, or into halves by the probability
of the likeliest class. Finished seeds (in ``runs/coverage``) are not repeated; the tables stand in
docs/how_to/calibration.md.
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
    """Return the coverage of all rows and of each group, and the mean width or set size."""
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
    """Return the row of a set: means over the seeds, and the range of the coverage."""
    scores = pd.DataFrame([measure(predictions(name, seed)) for seed in range(seeds)])
    mean = scores.mean()
    lowest, highest = scores["coverage"].min(), scores["coverage"].max()
    coverage = f"{mean['coverage']:.3f} ({lowest:.3f} to {highest:.3f})"
    kind = "width" if SETS[name].is_value else "classes"
    groups = ", ".join(f"{share:.3f}" for share in mean.drop(["coverage", "size"]))
    return f"| {SETS[name].title} | {coverage} | {groups} | {mean['size']:.4g} {kind} |"


def benchmark() -> None:
    """Measure the sets of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(NAMES))
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    print("| data | coverage | groups | mean size |\n| --- | --- | --- | --- |")
    for name in args.sets or NAMES:
        print(row_of(name, args.seeds), flush=True)


if __name__ == "__main__":
    benchmark()
