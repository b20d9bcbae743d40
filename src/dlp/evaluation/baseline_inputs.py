"""What baselines that learn are fitted on: texts as TF-IDF, columns as they are, small images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.encodings import count_ids, smooth_idf, weigh
from dlp.datamodules.text.ngrams import rank_terms
from dlp.datamodules.text.vocabulary import Vocabulary
from dlp.errors import InputError
from dlp.modules.heads import Head

#: The most rows to fit on, and the most entries of the inputs times outputs: some ten seconds on
#: one core. Of more rows a sample is taken.
_MAX_ROWS = 50_000
_MAX_WORK = {"linear": 30_000_000, "boosting": 5_000_000}
#: Terms of texts; images are averaged down to so many pixels a side.
_TERMS, _SIDE = 20_000, 32
#: Categories that scikit-learn's histogram trees tell apart in one column.
_TREE_CATEGORIES = 255


#: From a part, and perhaps the numbers of some of its rows, to inputs (N, D).
Matrix = Callable[..., Any]


@dataclass(frozen=True)
class BaselineInputs:
    """What a simple model is fitted on, and which kind of model suits it.

    Args:
        kind: The kind of model.
        width: About how many entries of a row are not zero.
        learn: From the numbers of the training rows to fit on to the inputs.
        is_text: Whether these are TF-IDF, which need no scaling.
        categorical: Which columns hold codes of categories; None where none does.
    """

    kind: Literal["linear", "boosting"]
    width: int
    learn: Callable[[NDArray[np.int64]], Matrix]
    is_text: bool = False
    categorical: NDArray[np.bool_] | None = None

    def model_name(self, head: Head) -> str:
        """Return what the model is called."""
        if self.kind == "boosting":
            return "gradient boosting"
        kind = "ridge" if head.prediction == "values" else "logistic"
        return f"{kind} regression{' on TF-IDF' * self.is_text}"


def baseline_inputs(data: SupervisedDataModule) -> list[BaselineInputs]:
    """Return what simple models can be fitted on."""
    rows = data.examples("train").rows
    if isinstance(rows, Texts):
        return [_of_texts(data, rows)]
    first = data.inputs("train")[torch.arange(1)]
    if not isinstance(first, Tensor) or not first.is_floating_point():
        return []
    if data.plain_columns(data.select(rows, np.arange(1))) is None:
        return [_of_images(data)]
    return _of_columns(data, rows)


def _of_texts(data: SupervisedDataModule, training: Texts) -> BaselineInputs:
    """Return TF-IDF of words and pairs of words."""

    def learn(index: NDArray[np.int64]) -> Matrix:
        chosen = training[index]
        terms = rank_terms(chosen, 2, 2, _TERMS) or rank_terms(chosen, 1, 1, _TERMS)
        vocabulary = Vocabulary(terms, None)
        idf = smooth_idf(count_ids(chosen, vocabulary))

        def matrix(part: Any, index: NDArray[np.int64] | None = None) -> Any:
            texts: Texts = data.examples(part).rows
            counts = count_ids(texts if index is None else texts[index], vocabulary)
            return weigh(counts, "sublinear_tfidf", idf)

        return matrix

    width = int(training.lengths.mean() * 1.5) + 1
    return BaselineInputs("linear", width, learn, is_text=True)


def _of_images(data: SupervisedDataModule) -> BaselineInputs:
    """Return images as the model gets them, averaged down and flattened."""

    def matrix(part: Any, index: NDArray[np.int64] | None = None) -> Any:
        inputs = data.inputs(part)
        rows = torch.arange(len(inputs)) if index is None else torch.from_numpy(index)
        return np.concatenate([_flat(inputs[some]) for some in torch.split(rows, 512)])

    width = int(matrix("train", np.arange(1)).shape[1])
    return BaselineInputs("linear", width, lambda _: matrix)


def _of_columns(data: SupervisedDataModule, training: Any) -> list[BaselineInputs]:
    """Return the columns of a table as they are: holes are holes, and categories are codes."""

    def matrix(part: Any, index: NDArray[np.int64] | None = None) -> Any:
        rows = data.examples(part).rows
        columns = data.plain_columns(rows if index is None else data.select(rows, index))
        return None if columns is None else columns[0]

    columns = data.plain_columns(training)
    assert columns is not None
    values, categorical = columns
    width = one_hot = int(values.shape[1])
    for_trees = None
    if categorical is not None:
        counts = 1 + np.nanmax(np.where(categorical, values, 0), axis=0, initial=0)
        one_hot += int(counts[categorical].sum())
        for_trees = categorical & (counts <= _TREE_CATEGORIES)
    return [
        BaselineInputs("linear", one_hot, lambda _: matrix, categorical=categorical),
        BaselineInputs("boosting", width, lambda _: matrix, categorical=for_trees),
    ]


def _flat(inputs: Tensor) -> NDArray[np.float32]:
    if inputs.ndim == 4 and max(inputs.shape[2:]) > _SIDE:
        height, width = inputs.shape[2:]
        inputs = F.adaptive_avg_pool2d(inputs, (min(height, _SIDE), min(width, _SIDE)))
    flat: NDArray[np.float32] = inputs.flatten(1).numpy()
    return flat


def num_rows(data: SupervisedDataModule, part: Literal["val", "test"]) -> int:
    """Return how many labelled rows a part has."""
    try:
        examples = data.examples(part)
    except InputError:  # there is no test part
        return 0
    return 0 if examples.targets is None else len(examples.targets)


def targets_of(data: SupervisedDataModule, part: Any) -> Tensor:
    """Return the targets of a part as batches hold them."""
    targets = data.examples(part).targets
    assert targets is not None
    return torch.from_numpy(data.targets.encode(targets))


def sampled_rows(source: BaselineInputs, targets: NDArray[Any], head: Head) -> NDArray[np.int64]:
    """Return the training rows to fit on, in order: all, or as many as take seconds."""
    outputs = head.num_logits if head.prediction == "probabilities" else targets.shape[1]
    most = max(500, _MAX_WORK[source.kind] // (source.width * outputs))
    count = min(len(targets), _MAX_ROWS, most)
    drawn = np.random.default_rng(0).permutation(len(targets))[:count]
    return np.sort(drawn).astype(np.int64)
