"""Baselines that a model must beat: guesses (chapter 4), and simple models from scikit-learn.

Both learn from the training set and are scored with the metrics of the model's head.
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

#: Value of each metric, without its stage, by the name of the baseline.
Scores = dict[str, dict[str, float]]

#: Words that follow a name if the scores are at the threshold 0.5 and the model has another one.
AT_HALF = ", threshold 0.5"
_MAX_ROWS = 50_000


def guess_scores(model: object, data: SupervisedDataModule, part: Part) -> Scores:
    """Score constant answers on a part with the metrics of a model's head.

    Depending on the task, the guesses are:

    - ``majority_class``: the most frequent class in training, or all labels that more than half of
      the training rows have.
    - ``class_frequencies``: classes drawn at random with their frequencies in training. Its only
      metric is the expected ``acc``.
    - ``mean`` and ``median``: the mean and the median of each target column in training.

    Args:
        model: Model whose head determines the task and the metrics.
        data: DataModule of the model.
        part: Name of the part on which the guesses are scored.

    Returns:
        Metrics by the name of the guess; empty if `model` is not a `SupervisedModule`.
    """
    if not isinstance(model, SupervisedModule):
        return {}
    head = model.head
    statistics = data.fit().target_statistics
    targets = part_targets(head, data, part)
    frequencies = statistics.frequencies
    is_single = head.task in ("binary", "multiclass")
    if is_single and frequencies is None:  # the data takes classes 0.0 and 1.0 for values
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
    """Fit the baselines for this kind of rows (`Rows.baselines`), and score them on a part.

    Texts become sublinear TF-IDF of words and pairs of words. In tables, missing values are filled,
    numbers are standardised, and categories become one-hot. Images are averaged down to 32 x 32
    pixels. All settings are scikit-learn's defaults, except for ``C=10`` on texts. If there are
    more than 50,000 training rows, the first 50,000 are used. A baseline that cannot be fitted is
    left out, and a printed line says so.

    Args:
        model: Model to compare with.
        data: DataModule of the model.
        part: Name of the part on which the baselines are scored.
        outputs: Predictions of the model: ``index``, the indices of the rows in the part, their
            ``targets``, and the model's ``probabilities`` or ``values``. If they are given and the
            first metric is ``acc`` or ``mae``, each baseline is also compared with the model on
            these rows, see `lead`.

    Returns:
        Metrics at the threshold of the model's answer, by the name of the baseline. If the
        threshold is not 0.5, there are also the metrics at 0.5, and only these include the lead. A
        threshold that finds more rows of a rare class lowers the accuracy, so the accuracy at such
        a threshold does not show which model is better.
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
        with warnings.catch_warnings(action="ignore"):  # that a fit did not converge
            try:
                estimator.fit(features, y)
            except ValueError as error:  # for example if the texts have no word in common
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
    """Return the threshold of a model, and also 0.5 if the model has another threshold.

    The keys are the words that follow a name in `Scores`: empty for the threshold of the model, and
    `AT_HALF` for 0.5.
    """
    threshold = model.answer.threshold
    if threshold == 0.5:
        return {"": threshold}
    return {"": threshold, AT_HALF: 0.5}


def scores_at_half(model: object, outputs: Mapping[str, Array] | None) -> dict[str, float]:
    """Return the metrics of a model at the threshold 0.5, if the model has another threshold.

    Args:
        model: Model that was evaluated.
        outputs: The model's ``probabilities``, and the ``targets`` of the same rows.

    Returns:
        Value of each metric. It is empty if the threshold of the model is 0.5, if there are no
        outputs, or if `model` is not a `SupervisedModule`.
    """
    if not isinstance(model, SupervisedModule) or not outputs:
        return {}
    if AT_HALF not in thresholds(model):
        return {}
    predictions = torch.from_numpy(outputs[model.head.prediction])
    return score(model.head, predictions, torch.from_numpy(outputs["targets"]))


def lead(head: Head, own: Array, others: Array, targets: Array) -> dict[str, float]:
    """Compare the predictions of two models row by row, at the threshold 0.5.

    Args:
        head: Head of the models.
        own: Predictions of the first model.
        others: Predictions of the second model for the same rows.
        targets: Targets of these rows.

    Returns:
        ``lead`` is the mean error of the first model minus the mean error of the second: positive
        if the second model is better. The error is the share of wrong answers or the mean absolute
        error. ``p_value`` belongs to the one-sided sign test: the probability that by chance the
        second model would be better on at least as many of the rows on which the errors differ.
    """
    from scipy.stats import binomtest  # takes a second to import

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
    """Return the metrics of predictions at a threshold.

    Args:
        head: Head whose metrics are computed.
        predictions: Predictions as `Head.predict` returns them.
        targets: Targets as `Head.metric_targets` returns them.
        threshold: Threshold of the metrics.
    """
    if head.task == "binary":
        predictions = predictions[:, 1]
    metrics = make_metrics(head)
    set_threshold(metrics, head.metrics, threshold)
    with warnings.catch_warnings(action="ignore"):  # torchmetrics warns of absent classes
        values = metrics(predictions.contiguous(), targets)
    return {name: float(value) for name, value in values.items()}


def part_targets(head: Head, data: SupervisedDataModule, part: Part) -> Tensor:
    """Return the targets of a part in the form that the metrics take."""
    encoded = torch.from_numpy(data.targets.encode(data.examples(part).labels))
    return head.metric_targets(encoded)


def baseline_lines(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line per baseline, and advice if a baseline is significantly better (p < 0.05)."""
    lines = []
    for name, values in scores.items():
        lines.append(f"baseline {name.replace('_', ' ')}: {scores_text(values)}")
        if values.get("lead", 0) > 0 and values["p_value"] < 0.05:
            lines.append(
                f"{name} is better by {values['lead']:.3g} (more than by chance, p = "
                f"{values['p_value']:.2g}): use this model from scikit-learn instead"
            )
    return lines


def _class_weight(model: SupervisedModule, names: list[str] | None) -> object:
    """Return the class weights of a model in the form that scikit-learn takes."""
    weights = model.class_weight
    if not isinstance(weights, dict) or not names:
        return weights
    if model.head.task == "multilabel":  # scikit-learn would weigh the values 0 and 1 of each label
        return None
    by_class = class_weights(weights, names, (), "multiclass")
    return dict(enumerate(by_class.tolist()))


def _estimators(head: Head, class_weight: object) -> tuple[Estimator, Estimator]:
    """Return two functions that build a linear model and gradient boosting for a head."""
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
