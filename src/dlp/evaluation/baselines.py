"""Baselines that a model must beat: guesses (chapter 4), and simple models of scikit-learn.

Both learn from the training part and are scored by the metrics of the model's head.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dlp.console import say, scores_text
from dlp.datamodules.base import Part, SupervisedDataModule
from dlp.datamodules.rows import Array, Estimator
from dlp.modules.heads import Head
from dlp.modules.losses import class_weights
from dlp.modules.metrics import make_metrics, set_threshold
from dlp.modules.supervised import SupervisedModule
from dlp.reader.answer import decide

#: Name of a baseline -> metric without stage -> value.
Scores = dict[str, dict[str, float]]

#: Words after the name of a model whose scores are at 0.5 although its threshold is another one.
AT_HALF = ", threshold 0.5"
_MAX_ROWS = 50_000


def guess_scores(model: object, data: SupervisedDataModule, part: Part) -> Scores:
    """Score constant answers on a part by the metrics of a model's head.

    - ``majority_class``: the most frequent class; of labels those that most rows have.
    - ``class_frequencies``: expected ``acc`` of classes drawn by their frequencies.
    - ``mean`` and ``median``: of each target column.

    The result is empty for a model without a `Head`.
    """
    if not isinstance(model, SupervisedModule):
        return {}
    head = model.head
    statistics = data.fit().target_statistics
    targets = part_targets(head, data, part)
    frequencies = statistics.frequencies
    is_single = head.task in ("binary", "multiclass")
    if is_single and frequencies is None:  # to the data, classes 0.0 and 1.0 are values
        classes = one_hot(part_targets(head, data, "train"), head.num_outputs)
        frequencies = classes.float().mean(0).tolist()
    if frequencies is None:
        scores = {}
        constants = {"mean": statistics.column_means, "median": statistics.column_medians}
        for name, constant in constants.items():
            values = torch.tensor(constant).expand(len(targets), -1)
            scores[name] = score(head, values, targets)
        return scores
    shares = torch.tensor(frequencies)
    majority = shares > 0.5
    if is_single:
        majority = shares == shares.max()
    answers = majority.float().expand(len(targets), -1)
    scores = {"majority_class": score(head, answers, targets)}
    if is_single:
        scores["class_frequencies"] = {"acc": float(shares[targets].mean())}
    return scores


def fitted_scores(
    model: SupervisedModule,
    data: SupervisedDataModule,
    part: Part,
    outputs: Mapping[str, Array] | None = None,
) -> Scores:
    """Fit the baselines of the rows, `Rows.baselines`, and score them on a part.

    Texts become sublinear TF-IDF of words and pairs of words, tables are filled, standardised and
    one-hot, images are averaged down to 32 x 32. All settings are scikit-learn's defaults, but for
    ``C=10`` on texts. Of more than 50,000 rows the first 50,000 are used.

    Args:
        model: Model to compare with.
        data: Data of the part.
        part: Name of the part.
        outputs: ``index``, indices in the part, with their ``targets`` and the model's
            ``probabilities`` or ``values``; baselines are compared on them by `lead` too, if the
            first metric is ``acc`` or ``mae``.

    Returns:
        Scores at the threshold of the model's answer. If that is not 0.5, there are also scores at
        0.5, and only these have a lead: a threshold that finds more of a rare class costs
        accuracy, which then does not say which model is better.
    """
    head = model.head
    train = data.baseline_rows("train")
    y = part_targets(head, data, "train").numpy()[:_MAX_ROWS].squeeze()
    targets = part_targets(head, data, part)
    features = train.features()[:_MAX_ROWS]
    rows = data.baseline_rows(part)
    class_weight = _class_weight(model, data.class_names)
    scores = {}
    for name, estimator in train.baselines(*_estimators(head, class_weight)).items():
        with warnings.catch_warnings(action="ignore"):  # of iterations that ran out
            try:
                estimator.fit(features, y)
            except ValueError as error:  # such as texts that share no word
                say(f"baseline {name} is left out, since it cannot be fitted: {error}")
                continue
            predictions = _predict(head, estimator, rows.features())
        for words, threshold in thresholds(model).items():
            values = score(head, torch.from_numpy(predictions), targets, threshold)
            if outputs and head.metrics[0] in ("acc", "mae") and threshold == 0.5:
                others = predictions[outputs["index"]]
                values |= lead(head, outputs[head.prediction], others, outputs["targets"])
            scores[f"{name}{words}"] = values
    return scores


def thresholds(model: SupervisedModule) -> dict[str, float]:
    """Return the threshold of a model, and 0.5 if that is another one.

    The keys are the words that follow the name of a model.
    """
    threshold = model.answer.threshold
    if threshold == 0.5:
        return {"": threshold}
    return {"": threshold, AT_HALF: 0.5}


def scores_at_half(model: object, outputs: Mapping[str, Array] | None) -> dict[str, float]:
    """Return the metrics of a model at the threshold 0.5 if its own is another one, else nothing.

    Args:
        model: Model that was evaluated.
        outputs: Its ``probabilities`` and ``targets``.
    """
    if not isinstance(model, SupervisedModule) or not outputs:
        return {}
    if AT_HALF not in thresholds(model):
        return {}
    predictions = torch.from_numpy(outputs[model.head.prediction])
    return score(model.head, predictions, torch.from_numpy(outputs["targets"]))


def lead(head: Head, own: Array, others: Array, targets: Array) -> dict[str, float]:
    """Compare the predictions of a model with those of another, row by row, at the threshold 0.5.

    Returns:
        ``lead``, by how much the mean error of the other is smaller (the share of wrong answers,
        or the mean absolute error), and ``p_value`` of the one-sided sign test: how often as many
        of the rows that differ would be better by chance.
    """
    from scipy.stats import binomtest  # it takes a second to import

    def errors(predictions: Array) -> Array:
        if head.task is None:
            return np.asarray(abs(predictions - targets))
        is_wrong: Array = decide(predictions, task=head.task) != targets
        return is_wrong

    gains = pd.DataFrame(1.0 * errors(own) - errors(others), dtype=float).mean(axis=1)
    num_better = int((gains > 0).sum())
    num_different = int((gains != 0).sum())
    p_value = 1.0
    if num_different:
        p_value = binomtest(num_better, num_different, alternative="greater").pvalue
    return {"lead": gains.mean(), "p_value": float(p_value)}


def score(
    head: Head, predictions: Tensor, targets: Tensor, threshold: float = 0.5
) -> dict[str, float]:
    """Return the metrics of a head's `predict` and `metric_targets` at a threshold."""
    if head.task == "binary":
        predictions = predictions[:, 1]
    metrics = make_metrics(head)
    set_threshold(metrics, head.metrics, threshold)
    with warnings.catch_warnings(action="ignore"):  # of torchmetrics, about absent classes
        values = metrics(predictions.contiguous(), targets)
    return {name: float(value) for name, value in values.items()}


def part_targets(head: Head, data: SupervisedDataModule, part: Part) -> Tensor:
    """Return the targets of a part as metrics take them."""
    encoded = torch.from_numpy(data.targets.encode(data.examples(part).labels))
    return head.metric_targets(encoded)


def baseline_lines(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line per baseline, and what to do about one whose lead is not chance."""
    lines = []
    for name, values in scores.items():
        lines.append(f"baseline {name.replace('_', ' ')}: {scores_text(values)}")
        if values.get("lead", 0) > 0 and values["p_value"] < 0.05:
            lines.append(
                f"{name} is better by {values['lead']:.3g} (beyond chance, p = "
                f"{values['p_value']:.2g}): use scikit-learn's"
            )
    return lines


def _class_weight(model: SupervisedModule, names: list[str] | None) -> object:
    """Return the class weights of a model by the number of the class."""
    weights = model.class_weight
    if not isinstance(weights, dict) or not names:
        return weights
    if model.head.task == "multilabel":  # scikit-learn weighs 0 and 1 of each label
        return None
    by_class = class_weights(weights, names, (), "multiclass")
    return dict(enumerate(by_class.tolist()))


def _estimators(head: Head, class_weight: object) -> tuple[Estimator, Estimator]:
    """Return the functions that build a linear model and gradient boosting for a head."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import MultiOutputRegressor

    def for_head(classifier: object, regressor: object) -> object:
        if head.task == "multilabel":
            return OneVsRestClassifier(classifier)
        if head.task is not None:
            return classifier
        if head.num_outputs > 1:
            return MultiOutputRegressor(regressor)
        return regressor

    def linear(C: float = 1.0) -> object:  # noqa: N803  # its name in scikit-learn
        return for_head(LogisticRegression(C=C, class_weight=class_weight), Ridge())

    def boosting() -> object:
        classifier = HistGradientBoostingClassifier(random_state=0, class_weight=class_weight)
        return for_head(classifier, HistGradientBoostingRegressor(random_state=0))

    return linear, boosting


def _predict(head: Head, estimator: Any, features: Any) -> Array:
    """Return probabilities (N, C) or values (N, T)."""
    if head.prediction == "values":
        values = np.asarray(estimator.predict(features), np.float32)
        return values.reshape(len(values), -1)
    present = estimator.predict_proba(features)
    probabilities = np.zeros((len(present), head.num_outputs), np.float32)
    probabilities[:, estimator.classes_] = present
    return probabilities
