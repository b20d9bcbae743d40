"""Baselines that learn: simple models of scikit-learn, on the split and inputs of a model."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningModule
from numpy.typing import NDArray

from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.directions import Mode, direction
from dlp.evaluation.baseline_inputs import (
    BaselineInputs,
    Matrix,
    baseline_inputs,
    num_rows,
    sampled_rows,
    targets_of,
)
from dlp.evaluation.baselines import Baselines, best_baseline, prediction_scores
from dlp.modules.base import SupervisedModule
from dlp.modules.class_weights import WeightedLoss
from dlp.modules.heads import Head
from dlp.modules.thresholds import best_threshold
from dlp.number_words import score_in_words

#: Boosting grows a tree a class and step: of more classes it would take minutes, and gigabytes.
MOST_CLASSES = 200

EvaluatedPart = Literal["val", "test"]
Predict = Callable[[Any], NDArray[Any]]


@dataclass(frozen=True)
class FittedBaseline:
    """A simple model that was fitted on the training part, and its numbers.

    Args:
        model: What it is, in words.
        rows: The rows it was fitted on.
        seconds: What that took, the making of its inputs included.
        scores: Part (``val``, ``test``) -> metric without stage (``acc``, ``loss``) -> number.
    """

    model: str
    rows: int
    seconds: float
    scores: dict[str, dict[str, float]]

    def record(self) -> dict[str, Any]:
        """Return everything as plain values, for ``results.json``."""
        facts = {"model": self.model, "rows": self.rows, "seconds": round(self.seconds, 3)}
        return {**facts, **self.scores}


def fitted_baselines(
    model: LightningModule,
    data: SupervisedDataModule,
    parts: Sequence[EvaluatedPart] = ("val", "test"),
) -> dict[str, FittedBaseline]:
    """Fit simple models on the training part and evaluate them as `model` is evaluated.

    - Texts: logistic regression (of values ridge regression) on sublinear TF-IDF of words and
      pairs of words.
    - Tables and arrays: the same on the columns, numbers standardised, categories one-hot, holes
      filled by the median; and gradient boosting on the columns as they are.
    - Images: logistic regression on images averaged down to 32 x 32.

    The models are scikit-learn's with its defaults (of texts: C=10), metrics and loss those of the
    model's head; class weights and a rule for the threshold hold for them too. Of very many rows a
    sample is fitted on, so that it takes seconds.

    Args:
        model: The model to compare with; nothing is returned unless it is a `SupervisedModule`.
        data: Its data.
        parts: The parts to evaluate on; one that is not there is left out.

    Returns:
        ``linear`` and ``boosting``, as far as they suit the inputs.
    """
    if not isinstance(model, SupervisedModule):
        return {}
    head = model.head
    if head.prediction == "probabilities" and head.num_outputs > MOST_CLASSES:
        say(
            f"{head.num_outputs:,} classes: scikit-learn's baselines are fitted for {MOST_CLASSES} "
            "at most"
        )
        return {}
    evaluated = [part for part in parts if num_rows(data, part)]
    targets = targets_of(data, "train")
    with torch.no_grad():
        expected = head.metric_targets(head.prepare(targets)).numpy()
    if not evaluated or (head.prediction == "probabilities" and len(np.unique(expected)) < 2):
        return {}
    found: dict[str, FittedBaseline] = {}
    for source in baseline_inputs(data):
        start = time.perf_counter()
        index = sampled_rows(source, expected, head)
        matrix = source.learn(index)
        predict = _fitted(source, matrix("train", index), expected[index], head)
        seconds = time.perf_counter() - start
        judge = _with_own_threshold(head, data, matrix, predict)
        numbers: dict[str, dict[str, float]] = {
            part: prediction_scores(
                judge, torch.from_numpy(predict(matrix(part))), targets_of(data, part)
            )
            for part in evaluated
        }
        found[source.kind] = FittedBaseline(source.model_name(head), len(index), seconds, numbers)
    return found


def as_baselines(found: Mapping[str, FittedBaseline], part: EvaluatedPart) -> Baselines:
    """Return model -> metric -> number on a part, to stand beside what guessing gives."""
    return {each.model: each.scores[part] for each in found.values() if part in each.scores}


def fitted_lines(
    found: Mapping[str, FittedBaseline],
    scores: Mapping[str, float],
    part: EvaluatedPart,
    directions: Mapping[str, Mode] | None = None,
) -> list[str]:
    """Return lines on the baselines of a part, the last one on which model is the better.

    Args:
        found: From `fitted_baselines`.
        scores: The model's metrics with their stage, such as ``val_acc``.
        part: The part they are of.
        directions: Metric -> direction, as the model knows it.
    """
    lines = []
    for each in found.values():
        if not each.scores.get(part):  # not of this part, or none that the head can express
            continue
        numbers = [
            f"{part}_{name} {score_in_words(value)}" for name, value in each.scores[part].items()
        ]
        took = f"fitted on {each.rows:,} rows in {each.seconds:.1f} s"
        lines.append(f"baseline: {each.model} ({took}): {', '.join(numbers)}")
    verdict = fitted_verdict(as_baselines(found, part), scores, part, directions)
    return [*lines, *([verdict] if verdict else [])]


def fitted_verdict(
    baselines: Baselines,
    scores: Mapping[str, float],
    part: EvaluatedPart,
    directions: Mapping[str, Mode] | None = None,
) -> str:
    """Return which is better by the first metric that can be compared; empty if none can."""
    for name in dict.fromkeys(name for numbers in baselines.values() for name in numbers):
        metric = f"{part}_{name}"
        mode = direction(metric, directions)
        found = best_baseline(baselines, name, mode)
        if found is None or metric not in scores:
            continue
        (best, value), own = found, float(scores[metric])
        ours, theirs = score_in_words(own), score_in_words(value)
        if own == value:
            return f"the baseline is as good as this model: {metric} {ours} ({best})"
        if own < value if mode == "min" else own > value:
            return f"better than the baselines: {metric} {ours} against {theirs} ({best})"
        return f"the baseline is the better model: {best} has {metric} {theirs}, this one {ours}"
    return ""


# The models --------------------------------------------------------------------------------------


def _fitted(source: BaselineInputs, inputs: Any, targets: NDArray[Any], head: Head) -> Predict:
    """Fit on `targets` as metrics have them: classes (N,), labels (N, L) or values (N, T).

    Returns:
        From inputs to probabilities (N, C) or values (N, T), float32.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that ran out, and of constant columns
        if head.prediction == "values":
            return _fitted_values(source, inputs, targets)
        weights = head.loss.weights.cpu().numpy() if isinstance(head.loss, WeightedLoss) else None
        if targets.ndim == 1:
            return _fitted_classes(source, inputs, targets, head.num_outputs, weights)
        labels = [
            _fitted_classes(source, inputs, column, 2, None if weights is None else weights[:, n])
            for n, column in enumerate(targets.T)
        ]
    return lambda rows: np.stack([predict(rows)[:, 1] for predict in labels], axis=1)


def _fitted_values(source: BaselineInputs, inputs: Any, targets: NDArray[Any]) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.multioutput import MultiOutputRegressor

    trees = HistGradientBoostingRegressor()
    model = MultiOutputRegressor(_pipeline(source, Ridge(), trees)).fit(inputs, targets)
    return lambda rows: model.predict(rows).astype(np.float32)


def _fitted_classes(
    source: BaselineInputs,
    inputs: Any,
    targets: NDArray[Any],
    num_classes: int,
    weights: NDArray[Any] | None,
) -> Predict:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    present = np.unique(targets)
    given = None if weights is None else {int(n): float(weights.ravel()[n]) for n in present}
    strength = 10 if source.is_text else 1
    linear = LogisticRegression(C=strength, max_iter=100, class_weight=given)
    trees = HistGradientBoostingClassifier(class_weight=given)
    model = _pipeline(source, linear, trees) if len(present) > 1 else DummyClassifier()
    model.fit(inputs, targets)

    def predict(rows: Any) -> NDArray[Any]:
        chances = np.zeros((rows.shape[0], num_classes), np.float32)
        chances[:, present] = model.predict_proba(rows)
        return chances

    return predict


def _pipeline(source: BaselineInputs, linear: Any, trees: Any) -> Any:
    """Return the model that suits, with what the linear one needs: no holes, scales, one-hot."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if source.kind == "boosting":
        return trees.set_params(categorical_features=source.categorical, random_state=0)
    if source.is_text:
        return linear
    prepared = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    if source.categorical is not None and source.categorical.any():
        one_hot = OneHotEncoder(handle_unknown="ignore")
        prepared = make_column_transformer(
            (prepared, ~source.categorical), (one_hot, source.categorical)
        )
    return make_pipeline(prepared, linear)


def _with_own_threshold(
    head: Head, data: SupervisedDataModule, matrix: Matrix, predict: Predict
) -> Head:
    """Return a head whose threshold suits a simple model, where a rule is to choose it."""
    rule = head.threshold_rule
    if rule is None or not num_rows(data, "val"):
        return head
    head = deepcopy(head)
    chances = predict(matrix("val"))
    chances = chances if head.labels else chances[:, 1]
    with torch.no_grad():
        targets = head.metric_targets(head.prepare(targets_of(data, "val"))).numpy()
    head.threshold = best_threshold(chances.ravel(), targets.ravel() == 1, rule)
    return head
