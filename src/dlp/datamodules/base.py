"""What all DataModules share: one split, one fit on the training part, whole batches."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor, nn

from dlp.datamodules.augmentation import Augmenter
from dlp.datamodules.batches import BatchLoader, BatchOrder, Rows
from dlp.datamodules.duplicates import Seen, without_duplicates
from dlp.datamodules.splits import Indices, Parts, Split
from dlp.datamodules.targets import TargetEncoder, TargetScaling
from dlp.errors import InputError

Part = Literal["train", "val", "test", "predict"]


@dataclass(frozen=True)
class Examples:
    """Rows as they were read, before anything is learned from them.

    Args:
        rows: The inputs, in whatever form the DataModule's `encode` takes.
        targets: What stands in the target column(s), (N,) or (N, T); None if unlabelled.
        digests: One number a row, equal for equal inputs, uint64 (N,): finds duplicates.
        names: What people call each row, (N,): the path of its file.
        num_val: The last so many rows are a validation part of the set's own.
    """

    rows: Any
    targets: NDArray[Any] | None = None
    digests: NDArray[np.uint64] | None = None
    names: Sequence[str] | None = None
    num_val: int = 0


class SupervisedDataModule(LightningDataModule, ABC):
    """Base of the project's DataModules.

    A subclass says how rows are read (`load_train`, `load_test`, `load_predict`), what is learned
    from the training part (`fit_inputs`) and how rows become tensors (`encode`). Everything else
    stands here: `input_shape`, `num_outputs` and `class_names` can be read as soon as the object is
    built; statistics come from the training part of the current split alone and go into the
    checkpoint; batches are ``(inputs, targets)``, sliced whole.

    Args:
        batch_size: Rows a training batch.
        eval_batch_size: Rows a batch of validation, test and prediction.
        split: The parts of the labelled rows.
        targets: What the targets mean.
        drop_duplicates: Remove from the training part the rows that also stand in the validation
            or test part, and from the validation part those in the test part.
    """

    #: How a person may get a test part, said where there is none.
    test_advice = "Give test_path or test_size."
    #: Changes the training pictures: see `Augmenter`.
    augmentation: nn.Module | None = None
    #: Whether values are trained on standardised, by the training part.
    target_scaling: TargetScaling = "none"
    #: What people call each row that is predicted, once its batches were asked for.
    predict_names: Sequence[str] | None = None

    def __init__(
        self,
        *,
        batch_size: int,
        eval_batch_size: int,
        split: Split,
        targets: TargetEncoder,
        drop_duplicates: bool,
    ) -> None:
        super().__init__()
        for name, size in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}.")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.split = split
        self.targets = targets
        self.drop_duplicates = drop_duplicates
        self.dry_run = False  # set for fast_dev_run: read a sample, write no cache
        self.prepare_seconds = 0.0
        self._target_mean: list[float] | None = None
        self._target_std: list[float] | None = None
        self._seed: int | None = None
        self._shape: tuple[int, ...] | None = None
        self._state: dict[str, Any] | None = None
        self._labelled: Examples | None = None
        self._test: Examples | None = None
        self._parts: Parts | None = None
        self._seen = Seen()
        self._stored: dict[Part, tuple[Rows, Tensor | None]] = {}

    # What a subclass provides ------------------------------------------------------------------

    @abstractmethod
    def load_train(self) -> Examples:
        """Return the labelled rows that are not a test part of their own, in the set's order."""

    def load_test(self) -> Examples | None:
        """Return the set's own test part; None where it has none."""
        return None

    def load_predict(self) -> Examples | None:
        """Return the unlabelled rows to predict; None to predict the test part."""
        return None

    def fit_inputs(self, rows: Any, targets: NDArray[Any]) -> None:
        """Learn what `encode` needs from the rows of the training part (default: nothing)."""

    @abstractmethod
    def encode(self, rows: Any) -> Rows:
        """Return the stored form of `rows`, from which batches are sliced."""

    def select(self, rows: Any, index: Indices) -> Any:
        """Return the rows numbered `index`."""
        return rows[index]

    def inputs_state(self) -> dict[str, Any]:
        """Return what `fit_inputs` learned, as plain values."""
        return {}

    def load_inputs_state(self, state: dict[str, Any]) -> None:
        """Take over what `inputs_state` returned."""

    @abstractmethod
    def batch_shape(self) -> tuple[int, ...]:
        """Return the shape of one dense input row, once fitted."""

    # What anybody may read ---------------------------------------------------------------------

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input row: (D,), (num_words,) or (C, H, W)."""
        self.fit()
        assert self._shape is not None
        return self._shape

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
        self.fit()
        return self._target_mean

    @property
    def target_std(self) -> list[float] | None:
        """The standard deviation of each target; None where targets are not scaled."""
        self.fit()
        return self._target_std

    @property
    def is_trial(self) -> bool:
        """Whether a sample will do: the trainer's ``fast_dev_run``; without trainer, `dry_run`."""
        return bool(getattr(self.trainer, "fast_dev_run", self.dry_run))

    # Fitting -----------------------------------------------------------------------------------

    def fit(self) -> None:
        """Read the labelled rows, split them and learn from the training part, once.

        Does nothing where the state came from a checkpoint: new inputs are then treated as the
        training inputs of that run were.
        """
        if self._state is not None:
            return
        with self._timed():
            parts, labelled = self._split_rows()
            assert labelled.targets is not None
            targets = labelled.targets[parts.train]
            test = None if self._test is None else self._test.digests
            self._seen = Seen.of(parts, labelled.digests, test)
            self.fit_inputs(self.select(labelled.rows, parts.train), targets)
            if self.target_scaling == "standard":
                self._target_mean, self._target_std = self.targets.scale(targets)
            self._shape = self.batch_shape()
            self._state = {
                "inputs": self.inputs_state(),
                "targets": self.targets.state(),
                "target_mean": self._target_mean,
                "target_std": self._target_std,
                "input_shape": list(self._shape),
            }

    def _split_rows(self) -> tuple[Parts, Examples]:
        """Return the parts of the current split, and the labelled rows they number."""
        if self._parts is None or self._labelled is None:
            self.prepare_data()
            labelled = self.load_train()
            assert labelled.targets is not None
            if self._state is None:
                self.targets.fit(labelled.targets)
            labels = None
            if self.targets.is_classification:
                encoded = self.targets.encode(labelled.targets)
                labels = encoded.argmax(axis=1) if encoded.ndim == 2 else encoded
            rows = len(labelled.targets)
            own = labelled.num_val if self.split.num_folds is None else 0
            split = replace(self.split, val_size=None) if own else self.split
            split = split.of_sample(rows - own) if self.dry_run else split
            parts = split.parts(rows - own, None if labels is None else labels[: rows - own])
            parts = replace(parts, val=np.arange(rows - own, rows)) if own else parts
            self._test = self.load_test()
            if self._test is None and len(parts.test):
                self._test = self._chosen(labelled, parts.test)
            test = self._test
            if test is not None and test.targets is not None and not self.dry_run:
                self.targets.encode(test.targets)  # a class of its own: said before training
            if labelled.digests is not None:
                found = None if test is None else test.digests
                parts = without_duplicates(parts, labelled.digests, found, self.drop_duplicates)
            if labels is not None and not self.dry_run:
                self.targets.check_parts(labels, parts)
            self._labelled, self._parts = labelled, parts
        return self._parts, self._labelled

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.prepare_seconds += time.perf_counter() - start

    def __str__(self) -> str:
        """Return the name of the class; Lightning's own text would load every part."""
        return f"{type(self).__name__}({self.split})"

    # What Lightning calls ----------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Fit, where this is a fit; other stages wait for the state that a checkpoint may bring."""
        if self.dry_run and not self.is_trial:  # what a trial run learned from a sample
            self._state = self._labelled = self._test = self._parts = None
            self._stored.clear()
        self.dry_run = self.is_trial
        if stage == "fit":
            self.fit()
            parts, labelled = self._split_rows()
            if labelled.digests is not None and not self.dry_run:
                self._seen.check_resumed(parts, labelled.digests)
            if not len(parts.val):
                # As if this class had no validation: an empty loader makes Lightning warn.
                self.val_dataloader = MethodType(LightningDataModule.val_dataloader, self)  # type: ignore[method-assign] # Lightning looks whether the method is overridden

    def state_dict(self) -> dict[str, Any]:
        """Return what was learned from the training part, for the checkpoint."""
        self.fit()
        assert self._state is not None
        return {**self._state, "seen": self._seen.state(), "seed": self._order_seed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        state_dict = dict(state_dict)
        self._seed = state_dict.pop("seed")
        self._seen = Seen.of_state(state_dict.pop("seen", None))
        if state_dict == self._state:
            return
        self._stored.clear()
        self._state = state_dict
        self._shape = tuple(state_dict["input_shape"])
        self._target_mean = state_dict["target_mean"]
        self._target_std = state_dict["target_std"]
        self.targets.load_state(state_dict["targets"])
        self.load_inputs_state(state_dict["inputs"])

    def train_dataloader(self) -> BatchLoader:
        """Return the shuffled batches of the training part."""
        return self._loader("train")

    def val_dataloader(self) -> BatchLoader:
        """Return the validation part.

        Raises:
            InputError: There is none.
        """
        parts, _ = self._split_rows()
        if not len(parts.val):
            raise InputError("there is no validation part. Give val_size.")
        return self._loader("val")

    def test_dataloader(self) -> BatchLoader:
        """Return the test part; say so if the checkpoint's run has seen rows of it."""
        loader, digests = self._loader("test"), self.examples("test").digests
        if digests is not None and not self.dry_run:
            self._seen.check_test(digests)
        return loader

    def predict_dataloader(self) -> BatchLoader:
        """Return the rows to predict: the unlabelled input if given, else the test part."""
        return self._loader("predict")

    def examples(self, part: Part) -> Examples:
        """Return the rows of a part as they were read.

        Raises:
            InputError: There is no test part.
        """
        if part in ("train", "val"):
            parts, labelled = self._split_rows()
            index = parts.train if part == "train" else parts.val
            return self._chosen(labelled, index)
        if part == "predict" and (given := self.load_predict()) is not None:
            return given
        if self._test is None:
            self.prepare_data()
            self._test = self.load_test()
        if self._test is None:
            self._split_rows()
        if self._test is None:
            raise InputError(f"there is no test part. {self.test_advice}")
        return self._test

    def _chosen(self, examples: Examples, index: Indices) -> Examples:
        """Return the labelled examples numbered `index`."""
        assert examples.targets is not None
        return Examples(
            self.select(examples.rows, index),
            examples.targets[index],
            None if examples.digests is None else examples.digests[index],
            None if examples.names is None else [examples.names[number] for number in index],
        )

    def inputs(self, part: Part) -> Rows:
        """Return the inputs of a part, as its batches are sliced from them."""
        return self._stored_part(part)[0]

    def replace_inputs(self, part: Part, inputs: Rows) -> None:
        """Let batches be sliced from `inputs`, row for row, instead of what `inputs()` gives."""
        self._stored[part] = inputs, self._stored_part(part)[1]

    def _stored_part(self, part: Part) -> tuple[Rows, Tensor | None]:
        self.fit()
        if part not in self._stored:
            with self._timed():
                examples = self.examples(part)
                if part == "predict":
                    self.predict_names = examples.names
                targets = None
                if examples.targets is not None:
                    targets = torch.from_numpy(self.targets.encode(examples.targets))
                self._stored[part] = (self.encode(examples.rows), targets)
        return self._stored[part]

    def _loader(self, part: Part) -> BatchLoader:
        inputs, targets = self._stored_part(part)
        size = self.batch_size if part == "train" else self.eval_batch_size
        seed, replicas, rank = self._process()
        order = BatchOrder(len(inputs), size, part == "train", seed, replicas, rank)
        augment = None
        if part == "train" and self.augmentation is not None:
            augment = Augmenter(self.augmentation, len(inputs))
        return BatchLoader(inputs, targets, order, augment)

    def _process(self) -> tuple[int, int, int]:
        """Return the seed of the order, the number of processes and the number of this one."""
        seed = self._order_seed()
        if self.trainer is None or self.trainer.world_size == 1:
            return seed, 1, 0
        self._seed = self.trainer.strategy.broadcast(seed)
        return self._seed, self.trainer.world_size, self.trainer.global_rank

    def _order_seed(self) -> int:
        """Return the seed of the order of every epoch, settled at the first call."""
        if self._seed is None:
            self._seed = torch.initial_seed() % 2**63
        return self._seed
