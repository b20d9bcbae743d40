"""Fit AutoGluon to the parts that ``init_alone.py`` has written, in a separate environment.

    pip install "autogluon.tabular[lightgbm,xgboost,catboost]"
    python benchmarks/autogluon_way.py --time_limit 60

Every run in ``runs/init_alone`` contains its parts as CSV files. AutoGluon uses them as dlp did: it
trains on the training part, stops and weights its models on the validation part, and is scored on
the test part.
"""

import argparse
import json
from pathlib import Path
from statistics import mean

import pandas as pd
import yaml
from autogluon.tabular import TabularPredictor

ROOT = Path("runs/init_alone")


def scores(run: Path, time_limit: int) -> tuple[float, float]:
    """Return the accuracy or mean absolute error of dlp and of AutoGluon on a run's test part."""
    test = json.loads((run / "results.json").read_text())["test"]
    task, metric, name = None, "accuracy", "acc"
    if "test_mae" in test:
        task, metric, name = "regression", "mean_absolute_error", "mae"
    result = run / "autogluon.json"
    if not result.exists():
        target = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["target"]
        parts = {part: pd.read_csv(run / f"{part}.csv") for part in ("train", "val", "test")}
        predictor = TabularPredictor(target, task, eval_metric=metric, verbosity=0)
        predictor.fit(
            parts["train"],
            tuning_data=parts["val"],
            presets="medium_quality",
            time_limit=time_limit,
        )
        value = abs(predictor.evaluate(parts["test"])[metric])
        result.write_text(json.dumps(value))
    return test[f"test_{name}"], float(json.loads(result.read_text()))


def main() -> None:
    """Print a row for each set, with the means over its runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--time_limit", type=int, default=60, help="seconds per fit")
    args = parser.parse_args()
    print("| data | `init` alone | AutoGluon |\n|---|---|---|")
    for name in args.sets or sorted(path.name for path in ROOT.iterdir()):
        runs = sorted((ROOT / name).glob("seed_*"))[: args.seeds]
        own, others = zip(*(scores(run, args.time_limit) for run in runs), strict=True)
        print(f"| {name} | {mean(own):.5g} | {mean(others):.5g} |", flush=True)


if __name__ == "__main__":
    main()
