"""What baselines that learn are fitted on: texts as TF-IDF, columns as they are, small images."""

from abc import ABC, abstractmethod
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


class Source(ABC):
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


class TextSource(Source):
    """TF-IDF of words and pairs of words."""

    def width(self) -> int:
        """See `Source.width`."""
        texts: Texts = self.data.examples("train").rows
        return int(texts.tokens()[1].mean() * 1.5) + 1

    def learn(self, index: NDArray[np.int64]) -> None:
        """See `Source.learn`."""
        texts: Texts = self.data.examples("train").rows[index]
        terms = rank_terms(texts, 2, 2, _TERMS) or rank_terms(texts, 1, 1, _TERMS)
        self._vocabulary = Vocabulary(terms, None)
        self._idf = smooth_idf(count_ids(texts, self._vocabulary))

    def matrix(self, part: Any, index: NDArray[np.int64] | None = None) -> Any:
        """See `Source.matrix`."""
        texts: Texts = self.data.examples(part).rows
        counts = count_ids(texts if index is None else texts[index], self._vocabulary)
        return weigh(counts, "sublinear_tfidf", self._idf)

    def words(self, head: Head) -> str:
        """See `Source.words`."""
        return f"{super().words(head)} on TF-IDF"


class ImageSource(Source):
    """Images as the model gets them, averaged down and flattened."""

    def width(self) -> int:
        """See `Source.width`."""
        return int(self.matrix("train", np.arange(1)).shape[1])

    def matrix(self, part: Any, index: NDArray[np.int64] | None = None) -> Any:
        """See `Source.matrix`."""
        inputs = self.data.inputs(part)
        rows = torch.arange(len(inputs)) if index is None else torch.from_numpy(index)
        parts = [rows[start : start + 512] for start in range(0, len(rows), 512)]
        return np.concatenate([_flat(inputs[some]) for some in parts])


class ColumnSource(Source):
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
        """See `Source.width`."""
        return self._width

    def matrix(self, part: Any, index: NDArray[np.int64] | None = None) -> Any:
        """See `Source.matrix`."""
        rows = self.data.examples(part).rows
        columns = self.data.plain_columns(rows if index is None else self.data.select(rows, index))
        return None if columns is None else columns[0]

    def words(self, head: Head) -> str:
        """See `Source.words`."""
        return "gradient boosting" if self.kind == "boosting" else super().words(head)


def sources(data: SupervisedDataModule) -> list[Source]:
    """Return what simple models can be fitted on."""
    rows = data.examples("train").rows
    if isinstance(rows, Texts):
        return [TextSource(data)]
    first = data.inputs("train")[torch.arange(1)]
    if not isinstance(first, Tensor) or not first.is_floating_point():
        return []
    if data.plain_columns(data.select(rows, np.arange(1))) is None:
        return [ImageSource(data)]
    return [ColumnSource(data, "linear"), ColumnSource(data, "boosting")]


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


def sampled_rows(source: Source, targets: NDArray[Any], head: Head) -> NDArray[np.int64]:
    """Return the training rows to fit on, in order: all, or as many as take seconds."""
    outputs = head.num_logits if head.prediction == "probabilities" else targets.shape[1]
    most = max(500, _MAX_WORK[source.kind] // (source.width() * outputs))
    count = min(len(targets), _MAX_ROWS, most)
    drawn = np.random.default_rng(0).permutation(len(targets))[:count]
    return np.sort(drawn).astype(np.int64)
