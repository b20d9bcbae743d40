"""What all DataModules share: one split, one fit on the training part, whole batches."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, ClassVar, Unpack, cast

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor, nn

from dlp.console import say
from dlp.datamodules.examples import Examples as Examples
from dlp.datamodules.examples import Part as Part
from dlp.datamodules.facts import DataFacts
from dlp.datamodules.images.augmentation import Augmenter
from dlp.datamodules.loader import BatchLoader, BatchOrder, Rows
from dlp.datamodules.reading import Reading, read_data
from dlp.datamodules.restoring import RestorableDataModule
from dlp.datamodules.shared_arguments import SharedArguments, spell_out
from dlp.datamodules.splitting.division import (
    class_of_each,
    divide,
    num_splits,
    report_shared_groups,
)
from dlp.datamodules.splitting.leakage import Seen, without_duplicates
from dlp.datamodules.splitting.splits import Parts, Split
from dlp.datamodules.targets import TargetEncoder, TargetScaling
from dlp.errors import InputError, suggestion
from dlp.target_transforms import TargetTransform


class SupervisedDataModule(DataFacts, RestorableDataModule):
    """Base of the project's DataModules.

    A subclass says how rows are read (`load_train`, `load_test`, `load_predict`), what is learned
    from the training part (`fit_inputs`) and how rows become tensors (`encode`). Everything else
    stands here: `input_shape`, `num_outputs` and `class_names` can be read as soon as the object is
    built; statistics come from the training part of the current split alone and go into the
    checkpoint; batches are ``(inputs, targets)``, sliced whole.

    Args:
        targets: What the targets mean.
        test_size: Rows to test on, where the set has no test part of its own: a count or a
            fraction.
        split: The parts of the labelled rows, instead of `test_size` and the arguments from
            `val_size` to `repeat`.
        batch_size: Rows a training batch.
        eval_batch_size: Rows a batch of validation, test and prediction.
        val_size: Rows to validate on, where the set has no validation part of its own: a count, a
            fraction, or null to train on everything.
        train_size: Use only so many training rows.
        split_seed: Shuffle before any cut; null keeps the order given, in which the first rows
            validate.
        stratify: Give every class its share in each part.
        num_folds: K of K-fold validation.
        fold: The fold that validates, from 0.
        repeat: The repetition of a repeated K-fold, from 0.
        drop_duplicates: Remove rows that stand in two parts from the earlier one.
    """

    #: How a person may get a test part, said where there is none.
    test_advice = "Give test_path or test_size."
    #: Changes the training images: see `Augmenter`.
    augmentation: nn.Module | None = None
    #: Whether values are trained on standardised, by the training part.
    target_scaling: TargetScaling = "none"
    #: What values are trained on in place of themselves.
    target_transform: TargetTransform = "none"
    #: Learn statistics from the validation rows too: too good numbers, as in the book's 3.6.
    learn_from_all: bool = False
    #: Whether these are a person's own data: a fit then begins with what they were taken for.
    own_data: bool = True

    #: The defaults of the shared arguments: of this class, and of a subclass those it changes.
    defaults: ClassVar[SharedArguments] = {
        "batch_size": 32,
        "eval_batch_size": 1024,
        "val_size": 0.2,
        "train_size": None,
        "split_seed": 0,
        "stratify": False,
        "num_folds": None,
        "fold": 0,
        "repeat": 0,
        "drop_duplicates": False,
    }

    def __init_subclass__(cls) -> None:
        """Complete the defaults, and name the shared arguments in the signature."""
        super().__init_subclass__()
        inherited = cast(SupervisedDataModule, super(cls, cls)).defaults
        cls.defaults = {**inherited, **cls.defaults}
        if "__init__" in vars(cls):
            spell_out(cls.__init__, cls.defaults)
        elif cls.defaults != inherited:
            raise TypeError(f"{cls.__name__} has defaults of its own: give it an __init__ too.")

    def __init__(
        self,
        *,
        targets: TargetEncoder,
        test_size: int | float | None = None,
        split: Split | None = None,
        **shared: Unpack[SharedArguments],
    ) -> None:
        super().__init__()
        given: SharedArguments = {**self.defaults, **shared}
        if strange := [name for name in given if name not in self.defaults]:
            near = suggestion(strange[0], self.defaults)
            raise TypeError(f"{type(self).__name__} has no argument {strange[0]!r}.{near}")
        for name in ("batch_size", "eval_batch_size"):
            if (size := given[name]) < 1:
                raise InputError(f"{name} must be at least 1, got {size}.")
        self.batch_size = given["batch_size"]
        self.eval_batch_size = given["eval_batch_size"]
        self.split = split or Split(
            given["val_size"],
            test_size,
            given["train_size"],
            given["split_seed"],
            bool(given["stratify"]),
            given["num_folds"],
            given["fold"],
            given["repeat"],
        )
        self.drop_duplicates = given["drop_duplicates"]
        self.dry_run = False  # set for fast_dev_run: read a sample, write no cache
        self._given_targets = targets
        self._said: set[str] = set()
        self._forget(rows=True)

    def _forget(self, rows: bool) -> None:
        """Forget what was learned by the current split, and perhaps the rows that were read."""
        if rows:
            self.targets = copy.deepcopy(self._given_targets)
            self._labelled: Examples | None = None
            self._test: Examples | None = None
        self._to_predict: Examples | None = None
        self._target_mean = self._target_std = None
        self._seed: int | None = None
        self._shape = None
        self._state = None
        self._restored = False  # from a checkpoint, perhaps of other data
        self._parts: Parts | None = None
        self._seen = Seen()
        self._stored: dict[Part, tuple[Rows, Tensor | None]] = {}
        self.prepare_seconds = 0.0
        self.__dict__.pop("val_dataloader", None)  # see setup

    # What anybody may read ---------------------------------------------------------------------

    @property
    def num_rows(self) -> int:
        """The number of labelled rows outside the test part: those that folds are made of."""
        parts, labelled = self._split_rows()
        assert labelled.targets is not None
        return len(labelled.targets) - len(parts.test)

    @property
    def num_splits(self) -> int:
        """The number of folds of the current split: of its splitter, or K; 1 for a hold-out."""
        return num_splits(self.split, self._rows(), self.targets)

    @property
    def is_trial(self) -> bool:
        """Whether a sample will do: the trainer's ``fast_dev_run``; without trainer, `dry_run`."""
        return bool(getattr(self.trainer, "fast_dev_run", self.dry_run))

    def reading(self) -> Reading:
        """Return what the data were taken for: columns, target, parts; nothing is trained.

        ``print(data.reading())`` shows it as a table; `Reading.to_dict` gives plain values.
        """
        self.fit()
        return read_data(self)

    def labelled_rows(self) -> tuple[Parts, Examples]:
        """Return the parts of the current split, and the labelled rows they number."""
        return self._split_rows()

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
            learned = parts.train
            if self.learn_from_all:
                learned = np.sort(np.concatenate([parts.train, parts.val]))
            targets = labelled.targets[learned]
            test = None if self._test is None else self._test.digests
            self._seen = Seen.of(parts, labelled.digests, test)
            self.fit_inputs(self.select(labelled.rows, learned), targets)
            for examples in (labelled, self._test):
                if examples is not None and examples.targets is not None:
                    self.targets.check_transform(examples.targets, self.target_transform)
            if self.target_scaling == "standard":
                found = self.targets.scale(targets, self.target_transform)
                self._target_mean, self._target_std = found
            self._shape = self.batch_shape()
            self._state = {
                "inputs": self.inputs_state(),
                "targets": self.targets.state(),
                "target_mean": self._target_mean,
                "target_std": self._target_std,
                "target_transform": self.target_transform,
                "target_summary": self.targets.summary(labelled.targets[parts.train]),
                "input_shape": list(self._shape),
            }

    def resplit(self, split: Split) -> None:
        """Divide the same rows in another way, as if the object were new and had that split.

        The rows that were read stay (unless `test_size` changes, or a checkpoint's state came in
        between); all that was learned from the training part before is forgotten.

        Raises:
            InputError: The rows are grouped or ordered by time, and cannot be divided so.
        """
        if self._labelled is not None:
            split.check(self._labelled.groups is not None, self._labelled.times is not None)
        if split.test_size is not None:  # it was cut from these rows
            self._test = None
        self._forget(rows=self._restored or split.test_size != self.split.test_size)
        self.forget_inputs()
        self.split = split

    def _rows(self) -> Examples:
        """Return the labelled rows, read and understood once."""
        if self._labelled is None:
            self.prepare_data()
            labelled = self.load_train()
            assert labelled.targets is not None
            if self._state is None:
                self.targets.fit(labelled.targets)
            self._labelled = labelled
        return self._labelled

    def _split_rows(self) -> tuple[Parts, Examples]:
        """Return the parts of the current split, and the labelled rows they number."""
        labelled = self._rows()
        if self._parts is None:
            self._parts = self._divided(labelled)
        return self._parts, labelled

    def _divided(self, labelled: Examples) -> Parts:
        """Return the parts of the labelled rows, and see to the test part."""
        parts = divide(self.split, labelled, self.targets, self.dry_run)
        if self._test is None:
            self._test = self.load_test()
            if self._test is not None and self.split.test_size is not None:
                raise InputError("the set has a test part of its own: leave test_size out.")
        if self._test is None and len(parts.test):
            self._test = labelled.chosen(parts.test, self.select(labelled.rows, parts.test))
        test = self._test
        report_shared_groups(labelled, test, self._say_once)
        if test is not None and test.targets is not None and not self.dry_run:
            self.targets.encode(test.targets)  # a class of its own: said before training
        if labelled.digests is not None:
            found = None if test is None else test.digests
            drop = self.drop_duplicates
            parts = without_duplicates(parts, labelled.digests, found, drop, self._say_once)
        labels, _ = class_of_each(self.targets, labelled.targets)
        if labels is not None and not self.dry_run:
            self.targets.check_parts(labels, parts, self._say_once)
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
        self.prepare_seconds += time.perf_counter() - start

    def __str__(self) -> str:
        """Return the name of the class; Lightning's own text would load every part."""
        return f"{type(self).__name__}({self.split})"

    # What Lightning calls ----------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Fit, where this is a fit; other stages wait for the state that a checkpoint may bring."""
        if self.dry_run and not self.is_trial:  # what a trial run learned from a sample
            self._forget(rows=True)
            self.forget_inputs()
        self.dry_run = self.is_trial
        if stage == "fit":
            self.fit()
            parts, labelled = self._split_rows()
            if self.own_data and self.trainer is not None and not self.dry_run:
                self._say_once("reading", "\n".join(self.reading().summary()))
            if labelled.digests is not None and not self.dry_run:
                self._seen.check_resumed(parts, labelled.digests)
            if not len(parts.val):
                # As if this class had no validation: an empty loader makes Lightning warn.
                self.val_dataloader = MethodType(LightningDataModule.val_dataloader, self)  # type: ignore[method-assign] # Lightning looks whether the method is overridden

    def state_dict(self) -> dict[str, Any]:
        """Return what was learned from the training part, for the checkpoint."""
        self.fit()
        assert self._state is not None
        apart = {"seen": self._seen.state(), "seed": self._order_seed()}
        return {**self._state, **apart, "arguments": self.arguments}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        state_dict = dict(state_dict)
        self._seed = state_dict.pop("seed")
        self._seen = Seen.of_state(state_dict.pop("seen", None))
        state_dict.pop("arguments", None)  # see load_from_checkpoint
        if state_dict == self._state:
            return
        self._stored.clear()
        self._to_predict = None
        self._restored = True
        self._state = state_dict
        self._shape = tuple(state_dict["input_shape"])
        self._target_mean = state_dict["target_mean"]
        self._target_std = state_dict["target_std"]
        self.target_transform = state_dict.get("target_transform", "none")  # older runs have none
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
            return labelled.chosen(index, self.select(labelled.rows, index))
        if part == "predict":
            self._to_predict = self._to_predict or self.load_predict()
            if self._to_predict is not None:
                return self._to_predict
        if not self.has_test or self._test is None:
            raise InputError(f"there is no test part. {self.test_advice}")
        return self._test

    @property
    def has_test(self) -> bool:
        """Whether there is a test part."""
        if self._test is None:
            self.prepare_data()
            self._test = self.load_test()
        if self._test is None:
            self._split_rows()
        return self._test is not None

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
                targets = None
                if examples.targets is not None:
                    targets = torch.from_numpy(self.targets.encode(examples.targets))
                self._stored[part] = (self.encode(examples.rows), targets)
        return self._stored[part]

    def _loader(self, part: Part) -> BatchLoader:
        inputs, targets = self._stored_part(part)
        # As Lightning does with loaders of its own: the same few batches are to be learnt by heart.
        overfits = bool(getattr(self.trainer, "overfit_batches", 0)) and part in ("train", "val")
        size = self.batch_size if part == "train" or overfits else self.eval_batch_size
        seed, replicas, rank = self._process()
        shuffle = part == "train" and not overfits
        order = BatchOrder(len(inputs), size, shuffle, seed, replicas, rank)
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
