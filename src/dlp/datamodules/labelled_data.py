"""Labelled rows, split and learned from: what a subclass says of them, and what anybody may ask."""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor

from dlp.console import say
from dlp.datamodules.examples import Examples, Part
from dlp.datamodules.learned import Encoder, Learned, OfSplit
from dlp.datamodules.loader import Augment, Rows
from dlp.datamodules.reading import InputReading, Reading, alike_classes
from dlp.datamodules.splitting.leakage import Seen, shared_groups, without_duplicates
from dlp.datamodules.splitting.splits import Indices, Parts, Split
from dlp.datamodules.targets import TargetEncoder, TargetScaling
from dlp.errors import InputError
from dlp.target_transforms import TargetTransform

if TYPE_CHECKING:
    import pandas as pd

#: Rows for a person: images (n, 1 or 3, H, W) in [0, 1], the words of texts, or a table.
Readable: TypeAlias = Union[Tensor, list[str], "pd.DataFrame"]


class LabelledData(LightningDataModule, ABC):
    """Rows that are read, split and learned from, each once for a split.

    Args:
        targets: What the targets mean.
        encoder: Makes tensors of rows; each split has a copy of it.
        split: The parts of the labelled rows.
        drop_duplicates: Remove rows that stand in two parts from the earlier one.
    """

    #: How a person may get a test part, said where there is none.
    test_advice = "Give test_path or test_size."
    #: Whether values are trained on standardised, by the training part.
    target_scaling: TargetScaling = "none"
    #: What values are trained on instead of themselves.
    target_transform: TargetTransform = "none"
    #: Learn statistics from the validation rows too: too good numbers, as in the book's 3.6.
    learn_from_all: bool = False

    def __init__(
        self, targets: TargetEncoder, encoder: Encoder, split: Split, drop_duplicates: bool
    ) -> None:
        super().__init__()
        self.split = split
        self.drop_duplicates = drop_duplicates
        self.dry_run = False  # set for fast_dev_run: read a sample, write no cache
        self._untaught = targets, encoder
        self._said: set[str] = set()
        self._begin(rows=True)

    def _begin(self, rows: bool) -> None:
        """Begin with a split of which nothing is known yet, and perhaps read the rows anew."""
        targets, encoder = self._untaught
        if rows:
            self.targets = copy.deepcopy(targets)
            self._labelled: Examples | None = None
            self._test: Examples | None = None
        self.encoder = copy.deepcopy(encoder)
        self._now = OfSplit()

    # What a subclass says ----------------------------------------------------------------------

    @abstractmethod
    def load_train(self) -> Examples:
        """Return the labelled rows that are not a test part of their own, in the set's order."""

    def load_test(self) -> Examples | None:
        """Return the set's own test part; None where it has none."""
        return None

    def load_predict(self) -> Examples | None:
        """Return the unlabelled rows to predict; None to predict the test part."""
        return None

    def select(self, rows: Any, index: Indices) -> Any:
        """Return the rows numbered `index`."""
        return rows[index]

    def learn_inputs(self, rows: Any, targets: NDArray[Any]) -> dict[str, Any]:
        """Let the encoder learn from the training part; return what is kept of it, plain values."""
        self.encoder.fit(rows, targets)
        return self.encoder.state()

    def batch_shape(self) -> tuple[int, ...]:
        """Return the shape of one dense input row, once fitted."""
        assert self._labelled is not None
        first = self.encode(self.select(self._labelled.rows, np.arange(1)))
        return tuple(first[torch.arange(1)].shape[1:])

    def augmenter(self, num_rows: int) -> Augment | None:
        """Return what changes training inputs, another way in every epoch; None for nothing."""
        return None

    def readable(self, rows: Any) -> Readable:
        """Return a few rows as a person reads them: by default texts, images or a table."""
        import pandas as pd

        if (texts := self.texts(rows)) is not None:
            return texts
        if isinstance(rows, pd.DataFrame):
            return rows
        inputs: Tensor = self.encode(rows)[torch.arange(len(rows))]
        if inputs.ndim == 4 and inputs.shape[1] in (1, 3):
            return inputs
        return pd.DataFrame(inputs.reshape(len(inputs), -1).numpy())

    def texts(self, rows: Any) -> list[str] | None:
        """Return the text of each row; None for what is no text."""
        return None

    def read_input(self) -> InputReading:
        """Return what the input was taken for, for `reading`; rows are read and fitted by then."""
        return InputReading(type(self).__name__)

    def plain_columns(
        self, rows: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None] | None:
        """Return rows as columns of numbers, for models that need no encoding (trees).

        Args:
            rows: The rows as they were read.

        Returns:
            float64 (N, D), NaN where a number is missing, and which columns hold codes of
            categories, (D,), None where none does. None for images and the like (default: the
            encoded inputs, where they are a matrix).
        """
        inputs = self.encode(rows)
        if not isinstance(inputs, Tensor) or inputs.ndim != 2:
            return None
        return inputs.double().numpy(), None

    # What anybody may ask: the first fact asked for fits ---------------------------------------

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input row: (D,), (num_words,) or (C, H, W)."""
        return self.fit().input_shape

    @property
    def num_outputs(self) -> int:
        """The number of classes, labels or target columns."""
        self.fit()
        return self.targets.num_outputs

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes or labels; None for values."""
        self.fit()
        return self.targets.class_names

    @property
    def target_names(self) -> list[str] | None:
        """The names of the target columns, where they have names."""
        return self.targets.names

    @property
    def target_mean(self) -> list[float] | None:
        """The mean of each target in the training part; None where targets are not scaled."""
        return self.fit().target_mean

    @property
    def target_std(self) -> list[float] | None:
        """The standard deviation of each target; None where targets are not scaled."""
        return self.fit().target_std

    @property
    def target_summary(self) -> dict[str, list[float]] | None:
        """What the targets of the training part are like, for common-sense baselines.

        ``frequencies`` of each of C classes or labels; or ``mean`` and ``median`` of each value in
        its own unit. None for the checkpoint of an older run.
        """
        return self.fit().target_summary

    @property
    def num_rows(self) -> int:
        """The number of labelled rows outside the test part: those that folds are made of."""
        parts, labelled = self.labelled_rows()
        return labelled.count - len(parts.test)

    @property
    def num_splits(self) -> int:
        """The number of folds of the current split: of its splitter, or K; 1 for a hold-out."""
        labelled = self._rows()
        return self.split.num_splits(labelled.count, **self._keys(labelled))

    @property
    def prepare_seconds(self) -> float:
        """How long reading, splitting, learning and encoding took, for the current split."""
        return self._now.prepare_seconds

    @property
    def is_trial(self) -> bool:
        """Whether a sample will do: the trainer's ``fast_dev_run``; without trainer, `dry_run`."""
        return bool(getattr(self.trainer, "fast_dev_run", self.dry_run))

    @property
    def is_fitted(self) -> bool:
        """Whether something is learned yet, here or by the run of a checkpoint."""
        return self._now.learned is not None

    @property
    def has_test(self) -> bool:
        """Whether there is a test part."""
        if self._test is None:
            self.prepare_data()
            self._test = self.load_test()
        if self._test is None:
            self.labelled_rows()
        return self._test is not None

    def reading(self) -> Reading:
        """Return what the data were taken for: columns, target, parts; nothing is trained.

        ``print(data.reading())`` shows it as a table; `Reading.to_dict` gives plain values.
        """
        self.fit()
        parts, labelled = self.labelled_rows()
        assert labelled.targets is not None
        counts = {"training": len(parts.train), "validation": len(parts.val)}
        if self.has_test:
            counts["test"] = self.examples("test").count
        found, target = self.read_input(), self.targets.read(labelled.targets)
        if (twins := alike_classes(name for name, _ in target.classes)) is not None:
            found = replace(found, notes=(twins, *found.notes))
        sizes = tuple((part, n) for part, n in counts.items() if n or part == "training")
        return Reading(found, target, sizes, labelled.repeated(), self.input_shape)

    def encode(self, rows: Any) -> Rows:
        """Return rows as the network takes them, once fitted: batches are sliced from that."""
        return self.encoder.transform(rows)

    def examples(self, part: Part) -> Examples:
        """Return the rows of a part as they were read.

        Raises:
            InputError: There is no test part.
        """
        if part in ("train", "val"):
            parts, labelled = self.labelled_rows()
            index = parts.train if part == "train" else parts.val
            return labelled.chosen(index, self.select(labelled.rows, index))
        if part == "predict":
            if self._now.to_predict is None:
                self._now.to_predict = self.load_predict()
            if self._now.to_predict is not None:
                return self._now.to_predict
        if not self.has_test or self._test is None:
            raise InputError(f"there is no test part. {self.test_advice}")
        return self._test

    # Reading, splitting, learning --------------------------------------------------------------

    def fit(self) -> Learned:
        """Read the labelled rows, split them and learn from the training part, once.

        Returns:
            What was learned. Where it came from a checkpoint, it is that: new inputs are then
            treated as the training inputs of that run were.
        """
        if self._now.learned is None:
            with self._timed():
                self._now.learned = self._learn()
        return self._now.learned

    def _learn(self) -> Learned:
        parts, labelled = self.labelled_rows()
        assert labelled.targets is not None
        rows = parts.train
        if self.learn_from_all:
            rows = np.sort(np.concatenate([parts.train, parts.val]))
        targets = labelled.targets[rows]
        test = None if self._test is None else self._test.hashes
        self._now.seen = Seen.of(parts, labelled.hashes, test)
        inputs = self.learn_inputs(self.select(labelled.rows, rows), targets)
        for examples in (labelled, self._test):
            if examples is not None and examples.targets is not None:
                self.targets.check_transform(examples.targets, self.target_transform)
        mean = std = None
        if self.target_scaling == "standard":
            mean, std = self.targets.scale(targets, self.target_transform)
        return Learned(
            inputs=inputs,
            targets=self.targets.state(),
            input_shape=self.batch_shape(),
            target_mean=mean,
            target_std=std,
            target_transform=self.target_transform,
            target_summary=self.targets.summary(labelled.targets[parts.train]),
        )

    def resplit(self, split: Split) -> None:
        """Divide the same rows in another way, as if the object were new and had that split.

        The rows that were read stay (unless `test_size` changes, or a checkpoint's state came in
        between); what is learned from the training part is learned anew.

        Raises:
            InputError: The rows are grouped or ordered by time, and cannot be divided so.
        """
        if self._labelled is not None:
            split.check(self._labelled.groups is not None, self._labelled.times is not None)
        if split.test_size is not None:  # it was cut from these rows
            self._test = None
        self._begin(rows=self._now.restored or split.test_size != self.split.test_size)
        self.split = split

    def read_again(self) -> None:
        """Let rows that were read be read anew, where what they are read by has changed."""
        self._labelled = self._test = self._now.parts = None

    def labelled_rows(self) -> tuple[Parts, Examples]:
        """Return the parts of the current split, and the labelled rows they number."""
        labelled = self._rows()
        if self._now.parts is None:
            self._now.parts = self._divided(labelled)
        return self._now.parts, labelled

    def _rows(self) -> Examples:
        """Return the labelled rows, read and understood once."""
        if self._labelled is None:
            self.prepare_data()
            labelled = self.load_train()
            assert labelled.targets is not None
            if not self.is_fitted:
                self.targets.fit(labelled.targets)
            self._labelled = labelled
        return self._labelled

    def _keys(self, labelled: Examples) -> dict[str, NDArray[Any] | None]:
        """Return what rows are divided by: the class, target, group and time of each."""
        assert labelled.targets is not None
        targets = self.targets.encode(labelled.targets)
        keys = {"targets": targets, "groups": labelled.groups, "times": labelled.times}
        return {"labels": self.targets.classes(targets), **keys}

    def _divided(self, labelled: Examples) -> Parts:
        """Return the parts of the labelled rows, and see to the test part."""
        keys = self._keys(labelled)
        split, num_val = self.split, self.split.num_own(labelled.num_val)
        if self.dry_run:
            split = split.of_sample(labelled.count - num_val)
        parts = split.parts(labelled.count, num_val=num_val, **keys)
        if self._test is None:
            self._test = self.load_test()
            if self._test is not None and self.split.test_size is not None:
                raise InputError("the set has a test part of its own: leave test_size out.")
        if self._test is None and len(parts.test):
            self._test = labelled.chosen(parts.test, self.select(labelled.rows, parts.test))
        test = self._test
        of_its_own = None if test is None or len(parts.test) else test.groups
        if shared := shared_groups(labelled.groups, of_its_own):
            self._say_once("groups", shared)
        if test is not None and test.targets is not None and not self.dry_run:
            self.targets.encode(test.targets)  # a class of its own: said before training
        if labelled.hashes is not None:
            found = None if test is None else test.hashes
            drop = self.drop_duplicates
            parts = without_duplicates(parts, labelled.hashes, found, drop, self._say_once)
        if (classes := keys["labels"]) is not None and not self.dry_run:
            self.targets.check_parts(classes, parts, self._say_once)
        return parts

    def _say_once(self, kind: str, message: str) -> None:
        """Say something of its kind for the first split alone: folds are much alike."""
        if kind not in self._said:
            self._said.add(kind)
            say(message)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._now.prepare_seconds += time.perf_counter() - start
