"""Baselines that a model must beat: guesses (chapter 4), and simple models of scikit-learn.

Both learn from the training part and are scored by the metrics of the model's head.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dlp.console import say, scores_text
from dlp.datamodules.base import Examples, SupervisedDataModule
from dlp.modules.heads import Head
from dlp.modules.metrics import make_metrics
from dlp.modules.supervised import SupervisedModule

#: Name of a baseline -> metric without stage -> value.
Scores = dict[str, dict[str, float]]

_MAX_ROWS = 50_000
_IMAGE_SIDE = 32


def guess_scores(model: Any, data: SupervisedDataModule, part: Literal["val", "test"]) -> Scores:
    """Score constant answers on a part by the metrics of a model's head.

    - ``majority_class``: the most frequent class; of labels those that most rows have.
    - ``class_frequencies``: expected ``acc`` of classes drawn by their frequencies.
    - ``mean`` and ``median``: of each target column.

    The result is empty for a model without a `Head`.
    """
    if not isinstance(model, SupervisedModule):
        return {}
    summary, head = data.fit()["target_summary"], model.head
    targets = part_targets(head, data, part)
    if "frequencies" not in summary:
        rows = {name: torch.tensor([summary[name]]) for name in ("mean", "median")}
        return {
            name: score(head, row.expand(len(targets), -1), targets) for name, row in rows.items()
        }
    frequencies = torch.tensor(summary["frequencies"])
    is_single = head.task in ("binary", "multiclass")
    majority = (frequencies == frequencies.max()) if is_single else frequencies > 0.5
    always = score(head, majority.float().expand(len(targets), -1), targets)
    if not is_single:
        return {"majority_class": always}
    guessed = float(frequencies[targets].mean())
    return {"majority_class": always, "class_frequencies": {"acc": guessed}}


def fitted_scores(model: Any, data: SupervisedDataModule, part: Literal["val", "test"]) -> Scores:
    """Fit a linear model and, on columns, gradient boosting; score them on a part.

    Texts become sublinear TF-IDF of words and pairs of words, tables are filled, standardised and
    one-hot, images are averaged down to 32 x 32. All settings are scikit-learn's defaults, but for
    ``C=10`` on texts. Of more than 50,000 rows the first 50,000 are used. The result is empty for a
    model without a `Head`.
    """
    if not isinstance(model, SupervisedModule):
        return {}
    train, head = data.examples("train"), model.head
    y = part_targets(head, data, "train").numpy()[:_MAX_ROWS]
    targets = part_targets(head, data, part)
    scores: Scores = {}
    for name, estimator in _estimators(head, train, model.class_weight, data.class_names).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of iterations that ran out
            estimator.fit(_features(train)[:_MAX_ROWS], y.squeeze())
            predictions = _predict(head, estimator, _features(data.examples(part)))
        say(f"fitted {name}")
        scores[name] = score(head, torch.from_numpy(predictions), targets)
    return scores


def score(head: Head, predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the metrics of a head's `predict` and `metric_targets`."""
    if head.task == "binary":
        predictions = predictions[:, 1]
    metrics = make_metrics(head).cpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchmetrics, about classes never predicted
        values = metrics(predictions.contiguous(), targets)
    return {name: float(value) for name, value in values.items()}


def part_targets(
    head: Head, data: SupervisedDataModule, part: Literal["train", "val", "test"]
) -> Tensor:
    """Return the targets of a part as metrics take them."""
    targets = data.examples(part).targets
    assert targets is not None  # of a labelled part
    encoded = torch.from_numpy(data.targets.encode(targets))
    return head.metric_targets(head.prepare(encoded)).cpu()


def baseline_lines(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line per baseline."""
    return [f"baseline {n.replace('_', ' ')}: {scores_text(each)}" for n, each in scores.items()]


def _features(rows: Examples) -> Any:
    """Return raw texts, a data frame, or a matrix (N, D)."""
    inputs = rows.inputs
    if hasattr(inputs, "raw"):
        return np.array(inputs.raw(), dtype=object)
    if hasattr(inputs, "pixels"):
        height, width = (min(_IMAGE_SIDE, n) for n in inputs[torch.tensor([0])].shape[2:])
        batches = torch.split(torch.arange(len(inputs)), 512)
        small = [F.adaptive_avg_pool2d(inputs[rows], (height, width)) for rows in batches]
        return torch.cat(small).flatten(1).numpy()
    if hasattr(inputs, "iloc"):
        return inputs.astype(dict.fromkeys(inputs.select_dtypes("bool"), float))
    return np.asarray(inputs).reshape(len(inputs), -1)


def _estimators(
    head: Head, train: Examples, class_weight: Any, names: list[str] | None
) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.pipeline import make_pipeline

    is_text = hasattr(train.inputs, "raw")
    if isinstance(class_weight, dict) and names:  # of a label scikit-learn weighs 0 and 1 alone
        weights = {str(name): weight for name, weight in class_weight.items()}
        numbered = {n: weights.get(name, 1.0) for n, name in enumerate(names)}
        class_weight = None if head.task == "multilabel" else numbered
    linear: Any = Ridge()
    boosting: Any = HistGradientBoostingRegressor(random_state=0)
    if head.prediction == "probabilities":
        linear = LogisticRegression(C=10 if is_text else 1, class_weight=class_weight)
        boosting = HistGradientBoostingClassifier(random_state=0, class_weight=class_weight)
    if head.task == "multilabel":
        linear, boosting = OneVsRestClassifier(linear), OneVsRestClassifier(boosting)
    elif head.prediction == "values" and head.num_outputs > 1:
        boosting = MultiOutputRegressor(boosting)
    if is_text:
        words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
        return {"linear model on TF-IDF": make_pipeline(words, linear)}
    if hasattr(train.inputs, "pixels"):
        return {"linear model": linear}
    return {
        "linear model": make_pipeline(_columns(train.inputs, for_trees=False), linear),
        "gradient boosting": make_pipeline(_columns(train.inputs, for_trees=True), boosting),
    }


def _columns(inputs: Any, for_trees: bool) -> Any:
    """Build the preprocessing of columns; trees take missing and unscaled numbers."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    numbers: Any = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories: Any = OneHotEncoder(handle_unknown="ignore")
    if for_trees:
        numbers = "passthrough"
        categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    if not hasattr(inputs, "iloc"):
        return numbers
    is_number = make_column_selector(dtype_include=np.number)
    is_category = make_column_selector(dtype_include=[object, "string", "category"])
    return make_column_transformer((numbers, is_number), (categories, is_category))


def _predict(head: Head, estimator: Any, features: Any) -> NDArray[np.float32]:
    """Return probabilities (N, C) or values (N, T)."""
    if head.prediction == "values":
        values = np.asarray(estimator.predict(features), np.float32)
        return values.reshape(len(values), -1)
    present = estimator.predict_proba(features)
    probabilities = np.zeros((len(present), head.num_outputs), np.float32)
    probabilities[:, estimator.classes_] = present
    return probabilities
