"""Compare the recipes in docs/data/index.md with scikit-learn's models on the same split.

    python benchmarks/own_data.py                        # every set, 5 seeds
    python benchmarks/own_data.py boston friedman1 --seeds 1

Each seed has its own test part and two fits of a CSV, which run in this process: ``dlp fit
--baselines true`` with the recipe in ``configs/own``, and a fit with the book's settings. The data
sets come with packages, are drawn by this script, or are parts of the reference texts. The settings
were chosen on the validation parts of other seeds. Finished fits (in ``runs/own_data``) are not
repeated. The script writes the rows to docs/results.md.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from districts import districts
from sklearn import datasets

from dlp.cli import main
from dlp.configs import config_folder

ROOT = Path("runs/own_data")
FIRST_SEED = 100
RESULTS = Path(__file__).parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- own data: begin -->", "<!-- own data: end -->"

BOOK: dict[str, dict[str, Any]] = yaml.safe_load("""
texts:
  data: {class_path: TextDataModule, init_args: {}}
  model: {class_path: DenseModule, init_args: {}}
  trainer: {max_epochs: 10}
table:
  data: {class_path: TableDataModule, init_args: {missing: median}}
  model: {class_path: DenseModule, init_args: {hidden: [64, 64]}}
  trainer: {max_epochs: 100}
""")


@dataclass(frozen=True)
class OwnData:
    """A data set in the form of a user's file.

    Args:
        title: Name in the table.
        draw: Function that takes a seed and returns the table, with the column ``target``.
        is_value: Whether the target is a value, not a class.
        is_text: Whether the column ``text`` is the input.
    """

    title: str
    draw: Callable[[int], pd.DataFrame]
    is_value: bool = False
    is_text: bool = False

    def config(self, path: Path, seed: int, is_ours: bool) -> dict[str, Any]:
        """Return a complete config, with our recipe or with the book's settings."""
        kind = "texts" if self.is_text else "table"
        recipe = yaml.safe_load((config_folder() / f"own/{kind}.yaml").read_text("utf-8"))
        config = recipe if is_ours else copy.deepcopy(BOOK[kind])
        data, model = config["data"]["init_args"], config["model"]["init_args"]
        data |= {"path": str(path), "split_seed": seed, "test_size": 0.2}
        data["label_column" if self.is_text else "target"] = "target"
        if self.is_text:
            data["read_csv"] = {"quoting": 0}  # texts with several lines are in quotes
        model["head"] = "regression" if self.is_value else "softmax"
        if self.is_value:
            data["target_scaling"] = "standard"
            model |= {"loss": "mae"} if is_ours else {}
        else:
            data["task"] = "classification"
        config["trainer"] |= {"enable_progress_bar": False, "enable_model_summary": False}
        config |= {"seed_everything": seed, "test_after_fit": "best", "threads": 1}
        return config | {"baselines": is_ours}


def reviews(rows: int, seed: int) -> pd.DataFrame:
    """Return a random sample of IMDB reviews."""
    from dlp.files import find_data_dir

    path = find_data_dir() / "imdb/plain_text/train-00000-of-00001.parquet"
    frame = pd.read_parquet(path).rename(columns={"label": "target"})
    return frame.sample(rows, random_state=seed)


def wires(rows: int, seed: int) -> pd.DataFrame:
    """Return some Reuters newswires, without topics that have fewer than 20 of them."""
    from dlp.datamodules import ReutersDataModule

    examples = ReutersDataModule(split_seed=seed).examples("train")
    frame = pd.DataFrame({"text": examples.inputs.raw(), "target": examples.targets}).iloc[:rows]
    frame["target"] = "topic " + frame["target"].astype(str)
    return frame[frame.groupby("target")["target"].transform("size") >= 20]


def boston(seed: int) -> pd.DataFrame:
    """Return Boston's districts."""
    from mlxtend.data import boston_housing_data

    return as_table(boston_housing_data())


def bundled(load: Callable[..., Any], seed: int) -> pd.DataFrame:
    """Return a data set that comes with scikit-learn."""
    return as_table(load(return_X_y=True))


def drawn(make: Callable[..., Any], rows: int, seed: int, **options: Any) -> pd.DataFrame:
    """Return a data set that scikit-learn generates."""
    return as_table(make(n_samples=rows, random_state=seed, **options))


def as_table(arrays: Any) -> pd.DataFrame:
    """Return inputs (N, D) and targets (N,) as a table."""
    inputs, targets = arrays
    names = [f"x{number}" for number in range(inputs.shape[1])]
    return pd.DataFrame(inputs, columns=names).assign(target=targets)


CLUSTERS = {"n_informative": 6, "n_redundant": 4, "n_clusters_per_class": 3, "flip_y": 0.05}
SETS = {
    "reviews_1000": OwnData("1,000 reviews (IMDB)", partial(reviews, 1000), is_text=True),
    "reviews_3000": OwnData("3,000 reviews (IMDB)", partial(reviews, 3000), is_text=True),
    "reviews_10000": OwnData("10,000 reviews (IMDB)", partial(reviews, 10000), is_text=True),
    "wires_3000": OwnData(
        "3,000 newswires (Reuters), topics of 20 or more", partial(wires, 3000), is_text=True
    ),
    "districts": OwnData(
        "20,640 districts, drawn",
        lambda seed: districts(seed=seed).rename(columns={"median_house_value": "target"}),
        is_value=True,
    ),
    "boston": OwnData("Boston, 506 rows", boston, is_value=True),
    "diabetes": OwnData(
        "diabetes, 442 rows", partial(bundled, datasets.load_diabetes), is_value=True
    ),
    "friedman1": OwnData(
        "make_friedman1, 1,500 rows, noise 1",
        partial(drawn, datasets.make_friedman1, 1500, noise=1.0),
        is_value=True,
    ),
    "friedman2": OwnData(
        "make_friedman2, 1,500 rows, noise 50",
        partial(drawn, datasets.make_friedman2, 1500, noise=50.0),
        is_value=True,
    ),
    "friedman3": OwnData(
        "make_friedman3, 1,500 rows, noise 0.1",
        partial(drawn, datasets.make_friedman3, 1500, noise=0.1),
        is_value=True,
    ),
    "iris": OwnData("iris, 150 rows", partial(bundled, datasets.load_iris)),
    "wine": OwnData("wine, 178 rows", partial(bundled, datasets.load_wine)),
    "cancer": OwnData("breast cancer, 569 rows", partial(bundled, datasets.load_breast_cancer)),
    "digits": OwnData("digits, 1,797 rows", partial(bundled, datasets.load_digits)),
    "clusters": OwnData(
        "make_classification, 2,000 rows, 6 of 20 columns informative",
        partial(drawn, datasets.make_classification, 2000, **CLUSTERS),
    ),
    "moons": OwnData(
        "make_moons, 1,500 rows, noise 0.3", partial(drawn, datasets.make_moons, 1500, noise=0.3)
    ),
}


def run(name: str, seed: int, is_ours: bool) -> dict[str, Any]:
    """Return the results of a fit. Run the fit first if they do not exist."""
    kind = "ours" if is_ours else "book"
    folder = ROOT / name / f"{kind}_{seed}"
    results = folder / "results.json"
    if not results.exists():
        table = ROOT / name / f"seed_{seed}.csv"
        if not table.exists():
            table.parent.mkdir(parents=True, exist_ok=True)
            SETS[name].draw(seed).to_csv(table, index=False)
        config = ROOT / name / f"{kind}_{seed}.yaml"
        config.write_text(yaml.safe_dump(SETS[name].config(table, seed, is_ours)))
        main(["fit", "--config", str(config), "--run_dir", str(folder)])
    content: dict[str, Any] = json.loads(results.read_text())
    return content


def row_of(name: str, seeds: int) -> str:
    """Return the table row of a set, with medians over the seeds. The best is bold."""
    own = SETS[name]
    metric = "mae" if own.is_value else "acc"
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    fits = [run(name, seed, True) for seed in numbers]
    seconds = statistics.median(fit["seconds"]["fit"] for fit in fits)
    ours = [fit["test"] for fit in fits]
    book = [run(name, seed, False)["test"] for seed in numbers]
    values = [statistics.median(test[f"test_{metric}"] for test in tests) for tests in (book, ours)]
    for kind in ("linear model", "gradient boosting"):
        named = [v for test in ours for k, v in test["baselines"].items() if k.startswith(kind)]
        values.append(statistics.median(v[metric] for v in named) if named else float("nan"))
    best = (min if own.is_value else max)(value for value in values if value == value)
    cells = [f"**{text(v)}**" if v == best else text(v) for v in values]
    label = "MAE" if own.is_value else "accuracy"
    return f"| {own.title} | {label} | {' | '.join(cells)} | {seconds:.0f} |"


def text(value: float) -> str:
    """Return a value with four digits, or a dash for NaN."""
    if value != value:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def write_rows(rows: dict[str, str]) -> None:
    """Write rows to the table, in the order of the sets. Rows of other sets are kept."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    lines = {line.split("|")[1].strip(): line for line in table.splitlines() if line[:2] == "| "}
    lines |= {SETS[name].title: line for name, line in rows.items()}
    head = ["data", "number", "book's settings", "our recipe", "linear model", "gradient boosting"]
    head.append("seconds to fit")
    table = "\n".join(
        [
            f"| {' | '.join(head)} |",
            "|---" * len(head) + "|",
            *(lines[own.title] for own in SETS.values() if own.title in lines),
        ]
    )
    RESULTS.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def benchmark() -> None:
    """Run the sets from the command line, and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    for name in args.sets or SETS:
        row = row_of(name, args.seeds)
        print(row, flush=True)
        write_rows({name: row})


if __name__ == "__main__":
    benchmark()
