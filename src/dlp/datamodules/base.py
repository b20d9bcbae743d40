"""The DataModule: what Lightning calls, whole batches, and a checkpoint that can be restored."""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypedDict, Unpack, cast, get_args, get_type_hints

import torch
from torch import Tensor, nn

from dlp.checkpoint_content import data_states, is_plain, missing_arguments, plain, read_checkpoint
from dlp.datamodules.examples import Examples as Examples
from dlp.datamodules.examples import Part as Part
from dlp.datamodules.labelled_data import LabelledData
from dlp.datamodules.learned import Encoder, Learned
from dlp.datamodules.loader import BatchLoader, BatchOrder, Rows
from dlp.datamodules.splitting.leakage import Seen
from dlp.datamodules.splitting.splits import Split
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError, suggestion

#: What an earlier version called -> what is called in its place.
_NO_LONGER_CALLED = {
    "fit_inputs": "learn_inputs(rows, targets), or fit of an Encoder,",
    "inputs_state": "learn_inputs, which returns the state, or state of an Encoder,",
    "load_inputs_state": "load_state of an Encoder",
}


class SharedArguments(TypedDict, total=False):
    """What every DataModule takes, by keyword; `SupervisedDataModule` says what each one means.

    A DataModule takes them as ``**shared: Unpack[SharedArguments]`` and hands them on to its base.
    Where a default is another one than the base's, its class says so in `defaults`.
    """

    batch_size: int
    eval_batch_size: int
    val_size: int | float | None
    train_size: int | float | None
    split_seed: int | None
    stratify: bool | None
    num_folds: int | None
    fold: int
    repeat: int
    drop_duplicates: bool


class SupervisedDataModule(LabelledData):
    """Base of the project's DataModules.

    A subclass says how rows are read (`load_train`, `load_test`, `load_predict`) and gives the
    `encoder` that makes tensors of them. Everything else stands here and in `LabelledData`:
    `input_shape`, `num_outputs` and `class_names` can be read as soon as the object is built, since
    they call `fit`; statistics come from the training part of the current split alone and go into
    the checkpoint; batches are ``(inputs, targets)``, sliced whole. The arguments are kept as far
    as they are plain values.

    Args:
        targets: What the targets mean.
        encoder: Makes tensors of rows; each split has a copy of it, which learns from the training
            part. None takes rows as float32.
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

    #: Changes the training images: see `BaseImageDataModule`.
    augmentation: nn.Module | None = None
    #: Whether these are a person's own data: a fit then begins with what they were taken for.
    own_data: bool = True
    #: Arguments that are the data themselves: too large for a checkpoint.
    data_arguments: ClassVar[frozenset[str]] = frozenset()
    arguments: dict[str, Any]
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
        """Complete the defaults, and name the shared arguments in the signature.

        Raises:
            InputError: The class has a method that an earlier version called.
        """
        super().__init_subclass__()
        for name, instead in _NO_LONGER_CALLED.items():
            if hasattr(cls, name):
                raise InputError(
                    f"{cls.__name__}.{name} is no longer called: {instead} is in its place."
                )
        inherited = cast(SupervisedDataModule, super(cls, cls)).defaults
        cls.defaults = {**inherited, **cls.defaults}
        if "__init__" in vars(cls):
            _spell_out(cls.__init__, cls.defaults)
        elif cls.defaults != inherited:
            raise TypeError(f"{cls.__name__} has defaults of its own: give it an __init__ too.")

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # those of each subclass
        """Note the arguments, whatever the subclass: it need not do so itself."""
        made = super().__new__(cls)
        try:
            given = inspect.signature(cls.__init__).bind_partial(made, *args, **kwargs)
        except TypeError:  # __init__ says it better
            return made
        made.arguments = {
            name: plain(value)
            for name, value in list(given.arguments.items())[1:]
            if name not in cls.data_arguments and is_plain(plain(value))
        }
        return made

    def __init__(
        self,
        *,
        targets: TargetEncoder,
        encoder: Encoder | None = None,
        test_size: int | float | None = None,
        split: Split | None = None,
        **shared: Unpack[SharedArguments],
    ) -> None:
        given: SharedArguments = {**self.defaults, **shared}
        if strange := [name for name in given if name not in self.defaults]:  # Python takes any
            raise TypeError(
                f"{type(self).__name__} has no argument {strange[0]!r}."
                f"{suggestion(strange[0], self.defaults)}"
            )
        for name in ("batch_size", "eval_batch_size"):
            if (size := given[name]) < 1:
                raise InputError(f"{name} must be at least 1, got {size}.")
        split = split or Split(
            given["val_size"],
            test_size,
            given["train_size"],
            given["split_seed"],
            bool(given["stratify"]),
            given["num_folds"],
            given["fold"],
            given["repeat"],
        )
        super().__init__(targets, encoder or Encoder(), split, given["drop_duplicates"])
        self.batch_size = given["batch_size"]
        self.eval_batch_size = given["eval_batch_size"]
        self._limit_val: int | float | None = None

    @classmethod
    def load_from_checkpoint(  # type: ignore[override] # a descriptor in Lightning
        cls,
        checkpoint_path: str | os.PathLike[str],
        **arguments: Any,  # those of each subclass
    ) -> Self:
        """Return a DataModule that knows what the run of a checkpoint has learned from its data.

        The training data need not be there: new inputs become what those of the run became.

        Args:
            checkpoint_path: A checkpoint of a fit with this DataModule.
            **arguments: Arguments that are to be others than in the run, such as ``predict_path``;
                and those that a checkpoint cannot hold, such as arrays and classes of your own.

        Raises:
            InputError: There is no such checkpoint, it is of another DataModule, or an argument
                is missing.
        """
        states = data_states(read_checkpoint(checkpoint_path))
        state = states.get(cls.__qualname__)
        if state is None:
            known = next(iter(states), "")
            advice = f"use {known}.load_from_checkpoint" if known else "it was fitted without one"
            raise InputError(f"{checkpoint_path} is no checkpoint of {cls.__name__}: {advice}.")
        given = {**state.get("arguments", {}), **arguments}
        if missing := missing_arguments(cls.__init__, given):
            raise InputError(
                f"{cls.__name__}.load_from_checkpoint needs {', '.join(missing)}: the checkpoint "
                f"does not hold it. Give it: load_from_checkpoint(path, {missing[0]}=...)."
            )
        data = cls(**given)
        data.load_state_dict(state)
        return data

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
        """Give it back where a fit is broken off, too."""
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
        self.encoder.load_state(learned.inputs)

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


def _spell_out(function: Callable[..., Any], defaults: Mapping[str, Any]) -> None:
    """Let the signature of a function name each key of its ``**shared: Unpack[...]``.

    A type checker knows these keys; ``inspect.signature``, ``help()`` and the command line know
    them and their defaults by this alone.

    Args:
        function: It is changed: it gets a ``__signature__``, as decorators give one.
        defaults: Key -> default; a key without one is required.
    """
    signature = inspect.signature(function)
    *own, last = signature.parameters.values() or (None,)
    if last is None or last.kind is not last.VAR_KEYWORD:
        return
    unpacked = last.annotation
    if isinstance(unpacked, str):  # from __future__ import annotations
        unpacked = eval(unpacked, function.__globals__)
    if not get_args(unpacked):  # **kwargs of another kind
        return
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(name, inspect.Parameter.empty),
            annotation=annotation,
        )
        for name, annotation in get_type_hints(get_args(unpacked)[0]).items()
    ]
    function.__signature__ = signature.replace(  # type: ignore[attr-defined] # see PEP 362
        parameters=[*own, *shared]
    )


_spell_out(SupervisedDataModule.__init__, SupervisedDataModule.defaults)  # subclasses do it above
