"""The documented recipes for own data beside scikit-learn's models on the same split.

    python benchmarks/own_data.py                        # every set, 3 seeds
    python benchmarks/own_data.py boston friedman1 --seeds 1

Each seed cuts its own test part and is one ``dlp fit --baselines true`` of a CSV in this process,
by the recipe of docs/own_data.md and by the book's settings (multi-hot texts, standardised
columns, a fixed number of epochs). The sets come with packages, are drawn here, or are parts of
the reference texts below DLP_DATA_DIR; settings were chosen on validation parts. Rows that were
asked for are put into the table of docs/results.md. Fits that are done (``runs/own_data``) are not
repeated.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from generated_tables import districts, from_arrays
from sklearn import datasets

from dlp.cli import main

ROOT = Path("runs/own_data")
#: Settings were chosen on draws and splits of other seeds.
FIRST_SEED = 100
RESULTS = Path(__file__).parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- own data: begin -->", "<!-- own data: end -->"

STOP = {"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss", "patience": 5}}
TEXTS: dict[str, Any] = {
    "data": {
        "class_path": "TextDataModule",
        "init_args": {
            "test_size": 0.2,
            "encoding": "sublinear_tfidf",
            "ngrams": 2,
            "min_df": 2,
            "num_words": 20000,
        },
    },
    "model": {
        "class_path": "DenseModule",
        "init_args": {"head": "softmax", "hidden": [16], "dropout": 0.5},
    },
    "trainer": {"max_epochs": 50, "callbacks": [STOP]},
}
TEXTS_BEFORE: dict[str, Any] = {
    "data": {"class_path": "TextDataModule", "init_args": {"test_size": 0.2}},
    "model": {"class_path": "DenseModule", "init_args": {"head": "softmax"}},
    "trainer": {"max_epochs": 10},
}
TABLE: dict[str, Any] = {
    "data": {
        "class_path": "TableDataModule",
        "init_args": {
            "test_size": 0.2,
            "missing": "median",
            "scaling": "quantile",
            "bins": 64,
            "batch_size": 64,
        },
    },
    "model": {
        "class_path": "DenseModule",
        "init_args": {
            "hidden": [128, 128],
            "optimizer": {
                "class_path": "AdamW",
                "init_args": {"lr": 0.002, "weight_decay": 0.3},
            },
            "scheduler": {"class_path": "CosineAnnealingLR", "init_args": {"T_max": 60}},
        },
    },
    "trainer": {"max_epochs": 60},
}
TABLE_BEFORE: dict[str, Any] = {
    "data": {"class_path": "TableDataModule", "init_args": {"test_size": 0.2, "missing": "median"}},
    "model": {"class_path": "DenseModule", "init_args": {"hidden": [64, 64]}},
    "trainer": {"max_epochs": 100},
}


@dataclass(frozen=True)
class OwnData:
    """A set as a person would bring it.

    Args:
        words: What it is.
        make: From a seed to the table.
        target: The column to predict.
        kind: What the target is.
        texts: Whether the column ``text`` is the input.
    """

    words: str
    make: Callable[[int], pd.DataFrame]
    target: str = "target"
    kind: str = "values"
    texts: bool = False

    def recipe(self, path: Path, seed: int, before: bool) -> dict[str, Any]:
        """Return the documented recipe on this set (or the one before it)."""
        old, new = (TEXTS_BEFORE, TEXTS) if self.texts else (TABLE_BEFORE, TABLE)
        recipe = copy.deepcopy(old if before else new)
        data, model = recipe["data"]["init_args"], recipe["model"]["init_args"]
        data |= {"path": str(path), "split_seed": seed}
        data |= {"label_column": self.target} if self.texts else {"target": self.target}
        if self.kind == "values":
            data["target_scaling"] = "standard"
            model |= {"head": "regression"} | ({} if before else {"loss": "mae"})
        elif not self.texts:
            model["head"] = "softmax"
            data["task"] = "classification"
        quiet = {"enable_progress_bar": False, "enable_model_summary": False}
        recipe["trainer"] |= quiet
        return recipe | {"seed_everything": seed, "test_after_fit": "best", "threads": 1}


def _imdb(rows: int) -> Callable[[int], pd.DataFrame]:
    def make(seed: int) -> pd.DataFrame:
        from dlp.files import data_dir

        path = data_dir(None) / "imdb/plain_text/train-00000-of-00001.parquet"
        frame = pd.read_parquet(path).rename(columns={"label": "target"})
        return frame.sample(rows, random_state=seed)

    return make


def _reuters(rows: int) -> Callable[[int], pd.DataFrame]:
    def make(seed: int) -> pd.DataFrame:
        from dlp.datamodules import ReutersDataModule

        data = ReutersDataModule(split_seed=seed)
        data.fit()
        examples = data.examples("train")
        assert examples.targets is not None
        frame = pd.DataFrame({"text": data.readable(examples.rows), "target": examples.targets})
        frame["target"] = [str(data.class_names[number]) for number in frame["target"]]
        frame = frame.iloc[:rows]
        return frame[frame.groupby("target")["target"].transform("size") >= 20]

    return make


def _bundled(load: Callable[..., Any]) -> Callable[[int], pd.DataFrame]:
    return lambda seed: from_arrays(load(return_X_y=True))


def _boston(seed: int) -> pd.DataFrame:
    from mlxtend.data import boston_housing_data

    return from_arrays(boston_housing_data())


def _drawn(make: Callable[..., Any], rows: int, **options: Any) -> Callable[[int], pd.DataFrame]:
    return lambda seed: from_arrays(make(n_samples=rows, random_state=seed, **options))


SETS = {
    "reviews_1000": OwnData("1,000 reviews (IMDB)", _imdb(1000), kind="classes", texts=True),
    "reviews_3000": OwnData("3,000 reviews (IMDB)", _imdb(3000), kind="classes", texts=True),
    "reviews_10000": OwnData("10,000 reviews (IMDB)", _imdb(10000), kind="classes", texts=True),
    "wires_3000": OwnData(
        "3,000 newswires (Reuters), topics of 20 or more",
        _reuters(3000),
        kind="classes",
        texts=True,
    ),
    "districts": OwnData(
        "20,640 districts, drawn", lambda seed: districts(seed=seed), "median_house_value"
    ),
    "boston": OwnData("Boston, 506 rows", _boston),
    "diabetes": OwnData("diabetes, 442 rows", _bundled(datasets.load_diabetes)),
    "friedman1": OwnData(
        "make_friedman1, 1,500 rows, noise 1", _drawn(datasets.make_friedman1, 1500, noise=1.0)
    ),
    "friedman2": OwnData(
        "make_friedman2, 1,500 rows, noise 50", _drawn(datasets.make_friedman2, 1500, noise=50.0)
    ),
    "friedman3": OwnData(
        "make_friedman3, 1,500 rows, noise 0.1", _drawn(datasets.make_friedman3, 1500, noise=0.1)
    ),
    "iris": OwnData("iris, 150 rows", _bundled(datasets.load_iris), kind="classes"),
    "wine": OwnData("wine, 178 rows", _bundled(datasets.load_wine), kind="classes"),
    "cancer": OwnData(
        "breast cancer, 569 rows", _bundled(datasets.load_breast_cancer), kind="classes"
    ),
    "digits": OwnData("digits, 1,797 rows", _bundled(datasets.load_digits), kind="classes"),
    "clusters": OwnData(
        "make_classification, 2,000 rows, 6 of 20 columns informative",
        _drawn(
            datasets.make_classification,
            2000,
            n_informative=6,
            n_redundant=4,
            n_clusters_per_class=3,
            flip_y=0.05,
        ),
        kind="classes",
    ),
    "moons": OwnData(
        "make_moons, 1,500 rows, noise 0.3",
        _drawn(datasets.make_moons, 1500, noise=0.3),
        kind="classes",
    ),
}


def run(name: str, seed: int, before: bool) -> dict[str, Any]:
    """Return the results of one fit, which is not repeated where they are there."""
    kind = "before" if before else "now"
    folder = ROOT / name / f"{kind}_{seed}"
    results = folder / "results.json"
    if not results.exists() or "test" not in json.loads(results.read_text(encoding="utf-8")):
        home = ROOT / name
        home.mkdir(parents=True, exist_ok=True)
        table = home / f"seed_{seed}.csv"
        if not table.exists():
            SETS[name].make(seed).to_csv(table, index=False)
        config = home / f"{kind}_{seed}.yaml"
        recipe = SETS[name].recipe(table, seed, before) | {"baselines": not before}
        config.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        main(["fit", "--config", str(config), "--run_dir", str(folder)])
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return found


def row(name: str, seeds: int, part: str = "test") -> str:
    """Return the row of a set: medians over the seeds."""
    metric = "mae" if SETS[name].kind == "values" else "acc"
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    before = [run(name, seed, True) for seed in numbers]
    now = [run(name, seed, False) for seed in numbers]
    cells = []
    for results in (before, now):
        own = [each["test" if part == "test" else "best"][f"{part}_{metric}"] for each in results]
        cells.append(statistics.median(own))
    for kind in ("linear", "boosting"):
        each = [results["baselines"].get(kind) for results in now]
        cells.append(statistics.median([one[part][metric] for one in each]) if all(each) else None)
    seconds = statistics.median([results["seconds"]["fit"] for results in now])
    better = min if metric == "mae" else max
    best = better(value for value in cells[1:] if value is not None)
    shown = ["-" if value is None else _number(value, value == best) for value in cells]
    label = "MAE" if metric == "mae" else "accuracy"
    return f"| {SETS[name].words} | {label} | {' | '.join(shown)} | {seconds:.0f} |"


def _number(value: float, best: bool) -> str:
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}" if value >= 1 else f"{value:.3f}"
    return f"**{text}**" if best else text


HEAD = (
    "| data | number | book's settings | our recipe | linear model | gradient boosting | "
    "seconds to fit |\n|---|---|---|---|---|---|---|"
)


def put(rows: dict[str, str]) -> None:
    """Put rows into the table, in the order of the sets; others stay."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    kept = {line.split("|")[1].strip(): line for line in table.splitlines() if line[:2] == "| "}
    kept |= {SETS[name].words: line for name, line in rows.items()}
    lines = [kept[one.words] for one in SETS.values() if one.words in kept]
    table = "\n".join([HEAD, *lines])
    RESULTS.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def benchmark() -> None:
    """Run the sets that were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", choices=["val", "test"], default="test")
    given = parser.parse_args()
    for name in given.sets:
        line = row(name, given.seeds, given.part)
        print(line, flush=True)
        if given.part == "test":
            put({name: line})


if __name__ == "__main__":
    np.seterr(all="ignore")
    benchmark()
