"""Fit AutoGluon to the parts that ``init_alone.py`` left, in an environment of its own.

    pip install "autogluon.tabular[lightgbm,xgboost,catboost]"
    python benchmarks/autogluon_way.py --time_limit 60

Every run in ``runs/init_alone`` has its parts as CSV files. AutoGluon trains on the training part,
stops and weighs its models by the validation part, and is scored on the test part, each as dlp did.
"""

import argparse
import json
from pathlib import Path
from statistics import mean

import pandas as pd
import yaml
from autogluon.tabular import TabularPredictor

ROOT = Path("runs/init_alone")


def score(run: Path, time_limit: int) -> float:
    """Return accuracy or mean absolute error of a run's test part; fit if there is no result."""
    result = run / "autogluon.json"
    if not result.exists():
        target = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["target"]
        metric = "accuracy"
        if "test_mae" in json.loads((run / "results.json").read_text())["test"]:
            metric = "mean_absolute_error"
        parts = {part: pd.read_csv(run / f"{part}.csv") for part in ("train", "val", "test")}
        predictor = TabularPredictor(target, eval_metric=metric, verbosity=0)
        predictor.fit(
            parts["train"],
            tuning_data=parts["val"],
            presets="medium_quality",
            time_limit=time_limit,
            num_cpus=2,
        )
        value = abs(predictor.evaluate(parts["test"])[metric])
        result.write_text(json.dumps(value))
    return float(json.loads(result.read_text()))


def main() -> None:
    """Print a row per set: means over its runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--time_limit", type=int, default=60, help="seconds per fit")
    args = parser.parse_args()
    names = args.sets or sorted(path.name for path in ROOT.iterdir())
    print("| data | AutoGluon |\n|---|---|")
    for name in names:
        values = [score(run, args.time_limit) for run in sorted((ROOT / name).glob("seed_*"))]
        print(f"| {name} | {mean(values):.5g} |", flush=True)


if __name__ == "__main__":
    main()
