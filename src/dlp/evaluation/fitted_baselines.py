"""Baselines that learn: simple models of scikit-learn, on the split and inputs of a model."""

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from lightning import LightningModule
from numpy.typing import NDArray
from torch import Tensor

from dlp.datamodules.bags import count_ids, smooth_idf, weigh
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.corpus import Texts
from dlp.datamodules.ngrams import rank_terms
from dlp.datamodules.vocabulary import Vocabulary
from dlp.directions import Mode, direction
from dlp.errors import InputError
from dlp.evaluation.baselines import Baselines, prediction_scores
from dlp.modules.base import SupervisedModule
from dlp.modules.heads import Head

EvaluatedPart = Literal["val", "test"]
Predict = Callable[[Any], NDArray[Any]]

#: The most rows to fit on, and the most entries of the inputs times outputs: some ten seconds on
#: one core. Of more rows a sample is taken.
_MAX_ROWS = 50_000
_MAX_WORK = {"linear": 30_000_000, "boosting": 5_000_000}
#: Terms of texts; pictures are averaged down to so many pixels a side.
_TERMS, _SIDE = 20_000, 32
#: Categories that scikit-learn's histogram trees tell apart in one column.
_TREE_CATEGORIES = 255


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
    - Pictures: logistic regression on pictures averaged down to 32 x 32.

    The models are scikit-learn's with its defaults (of texts: C=10), metrics and loss those of the
    model's head. Of very many rows a sample is fitted on, so that it takes seconds.

    Args:
        model: The model to compare with; to one that is none of the project's there is nothing.
        data: Its data.
        parts: The parts to evaluate on; one that is not there is left out.

    Returns:
        ``linear`` and ``boosting``, as far as they suit the inputs.
    """
    if not isinstance(model, SupervisedModule):
        return {}
    head = model.head
    evaluated = [part for part in parts if _num_rows(data, part)]
    targets = _targets(data, "train")
    with torch.no_grad():
        expected = head.metric_targets(head.prepare(targets)).numpy()
    if not evaluated or (head.prediction == "probabilities" and len(np.unique(expected)) < 2):
        return {}
    found: dict[str, FittedBaseline] = {}
    for source in _sources(data):
        start = time.perf_counter()
        index = _sample(source, expected, head)
        source.learn(index)
        predict = _fitted(source, source.matrix("train", index), expected[index], head)
        seconds = time.perf_counter() - start
        numbers: dict[str, dict[str, float]] = {
            part: prediction_scores(
                head, torch.from_numpy(predict(source.matrix(part))), _targets(data, part)
            )
            for part in evaluated
        }
        found[source.kind] = FittedBaseline(source.words(head), len(index), seconds, numbers)
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
        if part not in each.scores:
            continue
        numbers = [f"{part}_{name} {value:.4f}" for name, value in each.scores[part].items()]
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
        known = {model: numbers[name] for model, numbers in baselines.items() if name in numbers}
        mode = direction(metric, directions)
        if mode is None or metric not in scores:
            continue
        choose = min if mode == "min" else max
        best = choose(known, key=known.__getitem__)
        own, value = float(scores[metric]), known[best]
        if own == value:
            return f"the baseline is as good as this model: {metric} {own:.4f} ({best})"
        if choose(own, value) == own:
            return f"better than the baselines: {metric} {own:.4f} against {value:.4f} ({best})"
        return (
            f"the baseline is the better model: {best} has {metric} {value:.4f}, this one {own:.4f}"
        )
    return ""


# The inputs --------------------------------------------------------------------------------------


class _Source(ABC):
    """The inputs that a simple model is fitted on."""

    kind: Literal["linear", "boosting"] = "linear"
    #: Which columns hold codes of categories; None where none does.
    categorical: NDArray[np.bool_] | None = None

    def __init__(self, data: SupervisedDataModule) -> None:
        self.data = data

    @abstractmethod
    def width(self) -> int:
        """Return about how many entries of a row are not zero."""

    def learn(self, index: NDArray[np.int64]) -> None:  # noqa: B027 - most learn nothing
        """Learn what `matrix` needs from some training rows."""

    @abstractmethod
    def matrix(self, part: Any, index: NDArray[np.int64] | None = None) -> Any:
        """Return the inputs of a part, or of some of its rows, (N, D)."""

    def words(self, head: Head) -> str:
        """Return what the model is called."""
        return "ridge regression" if head.prediction == "values" else "logistic regression"


class _TextSource(_Source):
    """TF-IDF of words and pairs of words."""

    def width(self) -> int:
        texts: Texts = self.data.examples("train").rows
        return int(texts.tokens()[1].mean() * 1.5) + 1

    def learn(self, index: NDArray[np.int64]) -> None:
        texts: Texts = self.data.examples("train").rows[index]
        terms = rank_terms(texts, 2, 2, _TERMS) or rank_terms(texts, 1, 1, _TERMS)
        self._vocabulary = Vocabulary(terms, None)
        self._idf = smooth_idf(count_ids(texts, self._vocabulary))

    def matrix(self, part: Any, index: NDArray[np.int64] | None = None) -> Any:
        texts: Texts = self.data.examples(part).rows
        counts = count_ids(texts if index is None else texts[index], self._vocabulary)
        return weigh(counts, "sublinear_tfidf", self._idf)

    def words(self, head: Head) -> str:
        return f"{super().words(head)} on TF-IDF"


class _PictureSource(_Source):
    """Pictures as the model gets them, averaged down and flattened."""

    def width(self) -> int:
        return int(self.matrix("train", np.arange(1)).shape[1])

    def matrix(self, part: Any, index: NDArray[np.int64] | None = None) -> Any:
        inputs = self.data.inputs(part)
        rows = torch.arange(len(inputs)) if index is None else torch.from_numpy(index)
        parts = [rows[start : start + 512] for start in range(0, len(rows), 512)]
        return np.concatenate([_flat(inputs[some]) for some in parts])


class _ColumnSource(_Source):
    """The columns of a table as they are: holes are holes, and categories are codes."""

    def __init__(self, data: SupervisedDataModule, kind: Literal["linear", "boosting"]) -> None:
        super().__init__(data)
        self.kind = kind
        columns = data.plain_columns(data.examples("train").rows)
        assert columns is not None
        matrix, self.categorical = columns
        self._width = int(matrix.shape[1])
        if self.categorical is not None:
            counts = 1 + np.nanmax(np.where(self.categorical, matrix, 0), axis=0, initial=0)
            self._width += int(counts[self.categorical].sum()) if kind == "linear" else 0
            if kind == "boosting":
                self.categorical = self.categorical & (counts <= _TREE_CATEGORIES)

    def width(self) -> int:
        return self._width

    def matrix(self, part: Any, index: NDArray[np.int64] | None = None) -> Any:
        rows = self.data.examples(part).rows
        columns = self.data.plain_columns(rows if index is None else self.data.select(rows, index))
        return None if columns is None else columns[0]

    def words(self, head: Head) -> str:
        return "gradient boosting" if self.kind == "boosting" else super().words(head)


def _sources(data: SupervisedDataModule) -> list[_Source]:
    """Return what simple models can be fitted on."""
    rows = data.examples("train").rows
    if isinstance(rows, Texts):
        return [_TextSource(data)]
    first = data.inputs("train")[torch.arange(1)]
    if not isinstance(first, Tensor) or not first.is_floating_point():
        return []
    if data.plain_columns(data.select(rows, np.arange(1))) is None:
        return [_PictureSource(data)]
    return [_ColumnSource(data, "linear"), _ColumnSource(data, "boosting")]


def _flat(inputs: Tensor) -> NDArray[np.float32]:
    if inputs.ndim == 4 and max(inputs.shape[2:]) > _SIDE:
        height, width = inputs.shape[2:]
        inputs = F.adaptive_avg_pool2d(inputs, (min(height, _SIDE), min(width, _SIDE)))
    flat: NDArray[np.float32] = inputs.flatten(1).numpy()
    return flat


def _num_rows(data: SupervisedDataModule, part: EvaluatedPart) -> int:
    try:
        examples = data.examples(part)
    except InputError:  # there is no test part
        return 0
    return 0 if examples.targets is None else len(examples.targets)


def _targets(data: SupervisedDataModule, part: Any) -> Tensor:
    targets = data.examples(part).targets
    assert targets is not None
    return torch.from_numpy(data.targets.encode(targets))


def _sample(source: _Source, targets: NDArray[Any], head: Head) -> NDArray[np.int64]:
    """Return the training rows to fit on, in order: all, or as many as take seconds."""
    outputs = head.num_logits if head.prediction == "probabilities" else targets.shape[1]
    most = max(500, _MAX_WORK[source.kind] // (source.width() * outputs))
    count = min(len(targets), _MAX_ROWS, most)
    drawn = np.random.default_rng(0).permutation(len(targets))[:count]
    return np.sort(drawn).astype(np.int64)


# The models --------------------------------------------------------------------------------------


def _fitted(source: _Source, inputs: Any, targets: NDArray[Any], head: Head) -> Predict:
    """Fit on `targets` as metrics have them: classes (N,), labels (N, L) or values (N, T).

    Returns:
        From inputs to probabilities (N, C) or values (N, T), float32.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that ran out, and of constant columns
        if head.prediction == "values":
            return _fitted_values(source, inputs, targets, head)
        if targets.ndim == 1:
            return _fitted_classes(source, inputs, targets, head.num_outputs)
        labels = [_fitted_classes(source, inputs, column, 2) for column in targets.T]
    return lambda rows: np.stack([predict(rows)[:, 1] for predict in labels], axis=1)


def _fitted_classes(
    source: _Source, inputs: Any, targets: NDArray[Any], num_classes: int
) -> Predict:
    present = np.unique(targets)
    model = None if len(present) == 1 else _classifier(source).fit(inputs, targets)

    def predict(rows: Any) -> NDArray[Any]:
        chances = np.zeros((rows.shape[0], num_classes), np.float32)
        chances[:, present] = 1 if model is None else model.predict_proba(rows)
        return chances

    return predict


def _fitted_values(source: _Source, inputs: Any, targets: NDArray[Any], head: Head) -> Predict:
    models = [_regressor(source).fit(inputs, column) for column in targets.T]

    def predict(rows: Any) -> NDArray[Any]:
        return np.stack([model.predict(rows) for model in models], axis=1).astype(np.float32)

    return predict


def _classifier(source: _Source) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if source.kind == "boosting":
        return HistGradientBoostingClassifier(
            categorical_features=source.categorical, random_state=0
        )
    if isinstance(source, _TextSource):
        return LogisticRegression(C=10, max_iter=100)
    return make_pipeline(_prepared(source), LogisticRegression(max_iter=100))


def _regressor(source: _Source) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    if source.kind == "boosting":
        return HistGradientBoostingRegressor(
            categorical_features=source.categorical, random_state=0
        )
    return Ridge() if isinstance(source, _TextSource) else make_pipeline(_prepared(source), Ridge())


def _prepared(source: _Source) -> Any:
    """Return what a linear model needs: no holes, standardised numbers, categories as one-hot."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    filled = SimpleImputer(strategy="median", keep_empty_features=True)
    numbers = make_pipeline(filled, StandardScaler())
    if source.categorical is None or not source.categorical.any():
        return numbers
    return make_column_transformer(
        (numbers, ~source.categorical),
        (OneHotEncoder(handle_unknown="ignore"), source.categorical),
    )
