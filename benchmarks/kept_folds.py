"""Compare a model trained on all rows with the mean of the K models from the folds.

python benchmarks/kept_folds.py
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from dlp import cross_validate
from dlp.datamodules import HousingDataModule, SupervisedDataModule, TableDataModule
from dlp.inference import Predictor
from dlp.modules import DenseModule

#: The data, the arguments of the model, and the arguments of the cross-validation.
Problem = tuple[SupervisedDataModule, dict[str, Any], dict[str, Any]]
SEEDS = range(5)


class AllRows:
    """Splitter with one fold that trains on every row. Its validation score is not used."""

    def split(self, x: Any, *_: Any) -> Iterator[tuple[Any, Any]]:
        """Yield all rows for training, and one of them for validation."""
        yield np.arange(len(x)), np.arange(1)


def boston(seed: int) -> Problem:
    """Return the data and settings of the config ``housing_kfold``."""
    data = HousingDataModule(batch_size=1)
    return data, {"head": "regression", "hidden": (64, 64)}, {"max_epochs": 100, "num_folds": 4}


def tumours(seed: int) -> Problem:
    """Return Wisconsin's tumours, with a different test part for each seed."""
    frame = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "class"})
    data = TableDataModule(
        frame, target="class", task="classification", test_size=0.3, split_seed=seed, stratify=True
    )
    return data, {"head": "sigmoid", "hidden": (16, 16)}, {"max_epochs": 20, "num_folds": 5}


def test_scores(data: SupervisedDataModule, paths: Sequence[Path]) -> dict[str, float]:
    """Return the test scores of the mean prediction of these checkpoints."""
    rows = data.examples("test")
    frames = [Predictor.load(path).predict(rows.inputs.raw()) for path in paths]
    mean = np.mean([frame.select_dtypes("number").to_numpy() for frame in frames], axis=0)
    targets = data.targets.encode(rows.targets)
    if data.targets.class_names is None:
        return {"mae": abs(mean[:, 0] - targets).mean()}
    likelihood = mean[np.arange(len(targets)), targets]
    return {"acc": (mean.argmax(1) == targets).mean(), "loss": -np.log(likelihood).mean()}


def compare(problem: Callable[[int], Problem], seed: int) -> Any:
    """Return the scores of one fit, of single models from the folds, and of their mean."""
    data, model, options = problem(seed)

    def make_model(data: SupervisedDataModule) -> DenseModule:
        return DenseModule(data.input_shape, data.num_outputs, **model)

    scores = {}
    for splitter in (AllRows(), None):
        with tempfile.TemporaryDirectory() as folder:
            keep = Path(folder)
            cross_validate(data, make_model, splitter=splitter, seed=seed, keep=keep, **options)
            paths = sorted(keep.iterdir())
            name = "one fit on all rows" if splitter else "mean of the folds' models"
            scores[name] = test_scores(data, paths)
            alone = pd.DataFrame([test_scores(data, [path]) for path in paths])
    return pd.DataFrame({**scores, "a fold's model alone": alone.mean()}).stack()


def main() -> None:
    """Print the mean and standard deviation over the seeds."""
    for problem in (boston, tumours):
        scores = pd.DataFrame([compare(problem, seed) for seed in SEEDS])
        print(problem.__name__, scores.agg(["mean", "std"]).T.to_string(), sep="\n")


if __name__ == "__main__":
    main()
