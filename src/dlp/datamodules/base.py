"""What all DataModules share: one split, one fit on the training part, whole batches."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlp.console import say
from dlp.datamodules.examples import Examples as Examples
from dlp.datamodules.examples import Part as Part
from dlp.datamodules.facts import DataFacts
from dlp.datamodules.learned import Encoder, Learned, OfSplit
from dlp.datamodules.loader import BatchLoader, BatchOrder, Rows
from dlp.datamodules.restoring import RestorableDataModule
from dlp.datamodules.shared_arguments import SharedArguments, completed
from dlp.datamodules.splitting.leakage import Seen, shared_groups, without_duplicates
from dlp.datamodules.splitting.splits import Parts, Split
from dlp.datamodules.targets import TargetEncoder, TargetScaling
from dlp.errors import InputError
from dlp.target_transforms import TargetTransform


class SupervisedDataModule(DataFacts, RestorableDataModule):
    """Base of the project's DataModules.

    A subclass says how rows are read (`load_train`, `load_test`, `load_predict`) and gives the
    `encoder` that makes tensors of them. Everything else stands here: `input_shape`, `num_outputs`
    and `class_names` can be read as soon as the object is built, since they call `fit`; statistics
    come from the training part of the current split alone and go into the checkpoint; batches are
    ``(inputs, targets)``, sliced whole.

    Args:
        targets: What the targets mean.
        encoder: Makes tensors of rows; each split has a copy of it, which learns from the training
            part.
        test_size: Rows to test on, where the set has no test part of its own: a count or a
            fraction.
        split: The parts of the labelled rows, instead of `test_size` and the arguments from
            `val_size` to `repeat`. The other arguments: see `RestorableDataModule`.
    """

    #: How a person may get a test part, said where there is none.
    test_advice = "Give test_path or test_size."
    #: Whether values are trained on standardised, by the training part.
    target_scaling: TargetScaling = "none"
    #: What values are trained on in place of themselves.
    target_transform: TargetTransform = "none"
    #: Changes the training images: see `BaseImageDataModule`.
    augmentation: nn.Module | None = None
    #: Learn statistics from the validation rows too: too good numbers, as in the book's 3.6.
    learn_from_all: bool = False
    #: Whether these are a person's own data: a fit then begins with what they were taken for.
    own_data: bool = True

    def __init__(
        self,
        *,
        targets: TargetEncoder,
        encoder: Encoder | None = None,
        test_size: int | float | None = None,
        split: Split | None = None,
        **shared: Unpack[SharedArguments],
    ) -> None:
        super().__init__()
        given = completed(type(self).__name__, shared, self.defaults)
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
        self._untaught = targets, encoder or Encoder()
        self._said: set[str] = set()
        self._limit_val: int | float | None = None
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

    def read_again(self) -> None:
        """Let rows that were read be read anew, where what they are read by has changed."""
        self._labelled = self._test = self._now.parts = None

    def labelled_rows(self) -> tuple[Parts, Examples]:
        """Return the parts of the current split, and the labelled rows they number."""
        labelled = self._rows()
        if self._now.parts is None:
            self._now.parts = self._divided(labelled)
        return self._now.parts, labelled

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
        self.fit_inputs(self.select(labelled.rows, rows), targets)
        for examples in (labelled, self._test):
            if examples is not None and examples.targets is not None:
                self.targets.check_transform(examples.targets, self.target_transform)
        mean = std = None
        if self.target_scaling == "standard":
            mean, std = self.targets.scale(targets, self.target_transform)
        return Learned(
            inputs=self.inputs_state(),
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

    def __str__(self) -> str:
        """Return the name of the class; Lightning's own text would load every part."""
        return f"{type(self).__name__}({self.split})"

    # What Lightning calls ----------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Fit, where this is a fit; other stages wait for the state that a checkpoint may bring."""
        if self.dry_run and not self.is_trial:  # what a trial run learned from a sample
            self._begin(rows=True)
        self.dry_run = self.is_trial
        if stage == "fit":
            self.fit()
            parts, labelled = self.labelled_rows()
            if self.own_data and self.trainer is not None and not self.dry_run:
                self._say_once("reading", "\n".join(self.reading().summary()))
            if labelled.hashes is not None and not self.dry_run:
                self._now.seen.check_resumed(parts, labelled.hashes)
            if self.trainer is not None and not len(parts.val):
                # Lightning's way to have no validation; of an empty loader it would warn.
                self._limit_val = self.trainer.limit_val_batches
                self.trainer.limit_val_batches = 0

    def teardown(self, stage: str) -> None:
        """Give the Trainer back what `setup` changed: it may validate other data."""
        if self.trainer is not None and self._limit_val is not None:
            self.trainer.limit_val_batches, self._limit_val = self._limit_val, None

    def on_exception(self, exception: BaseException) -> None:
        """Do so too where a fit is broken off."""
        self.teardown("fit")

    def state_dict(self) -> dict[str, Any]:
        """Return what was learned from the training part, for the checkpoint."""
        apart = {"seen": self._now.seen.state(), "seed": self._order_seed()}
        return {**self.fit().state(), **apart, "arguments": self.arguments}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        state = dict(state_dict)
        self._now.seed = state.pop("seed")
        self._now.seen = Seen.of_state(state.pop("seen", None))
        state.pop("arguments", None)  # see load_from_checkpoint
        learned = Learned.from_state(state)
        if learned == self._now.learned:
            return
        self._now.stored.clear()
        self._now.to_predict = None
        self._now.restored = True
        self._now.learned = learned
        self.target_transform = learned.target_transform
        self.targets.load_state(learned.targets)
        self.load_inputs_state(learned.inputs)

    def train_dataloader(self) -> BatchLoader:
        """Return the shuffled batches of the training part."""
        return self.loader("train")

    def val_dataloader(self) -> BatchLoader:
        """Return the validation part.

        Raises:
            InputError: There is none.
        """
        return self.loader("val")

    def test_dataloader(self) -> BatchLoader:
        """Return the test part; say so if the checkpoint's run has seen rows of it."""
        loader, hashes = self.loader("test"), self.examples("test").hashes
        if hashes is not None and not self.dry_run:
            self._now.seen.check_test(hashes)
        return loader

    def predict_dataloader(self) -> BatchLoader:
        """Return the rows to predict: the unlabelled input if given, else the test part."""
        return self.loader("predict")

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

    @property
    def has_test(self) -> bool:
        """Whether there is a test part."""
        if self._test is None:
            self.prepare_data()
            self._test = self.load_test()
        if self._test is None:
            self.labelled_rows()
        return self._test is not None

    def inputs(self, part: Part) -> Rows:
        """Return the inputs of a part, as its batches are sliced from them."""
        return self._stored_part(part)[0]

    def replace_inputs(self, part: Part, inputs: Rows) -> None:
        """Let batches be sliced from `inputs`, row for row, instead of what `inputs()` gives."""
        self._now.stored[part] = inputs, self._stored_part(part)[1]

    def _stored_part(self, part: Part) -> tuple[Rows, Tensor | None]:
        self.fit()
        stored = self._now.stored
        if part not in stored:
            with self._timed():
                examples = self.examples(part)
                targets = None
                if examples.targets is not None:
                    targets = torch.from_numpy(self.targets.encode(examples.targets))
                stored[part] = self.encode(examples.rows), targets
        return stored[part]

    def loader(self, part: Part) -> BatchLoader:
        """Return the batches of a part.

        Raises:
            InputError: There is no such part.
        """
        if part == "val" and not len(self.labelled_rows()[0].val):
            raise InputError("there is no validation part. Give val_size.")
        inputs, targets = self._stored_part(part)
        # As Lightning does with loaders of its own: the same few batches are to be learnt by heart.
        overfits = bool(getattr(self.trainer, "overfit_batches", 0)) and part in ("train", "val")
        size = self.batch_size if part == "train" or overfits else self.eval_batch_size
        seed, replicas, rank = self._process()
        shuffle = part == "train" and not overfits
        order = BatchOrder(len(inputs), size, shuffle, seed, replicas, rank)
        augment = self.augmenter(len(inputs)) if part == "train" else None
        return BatchLoader(inputs, targets, order, augment)

    def _process(self) -> tuple[int, int, int]:
        """Return the seed of the order, the number of processes and the number of this one."""
        seed = self._order_seed()
        if self.trainer is None or self.trainer.world_size == 1:
            return seed, 1, 0
        seed = self._now.seed = self.trainer.strategy.broadcast(seed)
        return seed, self.trainer.world_size, self.trainer.global_rank

    def _order_seed(self) -> int:
        """Return the seed of the order of every epoch, settled at the first call."""
        if self._now.seed is None:
            self._now.seed = torch.initial_seed() % 2**63
        return self._now.seed
