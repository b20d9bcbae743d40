"""Parts of a data set under one split, and what is learned from the training part."""

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, combinations
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dlp.console import muted, say
from dlp.datamodules.rows import Encoder, Examples, StoredRows
from dlp.datamodules.splits import Parts, RowKeys, Split, group_numbers, time_values
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError

Part = Literal["train", "val", "test", "predict"]

#: Name of a folder or of a table of the Hub -> part.
PART_NAMES = {"train": "train", "test": "test"}
PART_NAMES |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")


@dataclass(eq=False)
class LabelledSet:
    """Labelled rows of a data set, loaded when they are first asked for.

    Args:
        load: Function that returns ``train`` and, if the set has them, ``val`` and ``test``.
        targets: Encoder of the targets. It is fitted on all rows, whatever the split, unless a
            checkpoint has restored it.
        drop_duplicates: Whether rows that are in two parts are removed from the earlier one.
    """

    load: Callable[[], dict[str, Examples]]
    targets: TargetEncoder
    drop_duplicates: bool

    @cached_property
    def parts(self) -> dict[str, Examples]:
        """Parts as they were loaded, with targets that can be encoded."""
        parts = self.load()
        columns = [part.targets for part in parts.values() if part.targets is not None]
        if not self.targets.num_outputs:
            self.targets.fit(np.concatenate(columns))
        for values in columns:
            self.targets.encode(values)  # an error names the row in its own part
        return parts

    @cached_property
    def keys(self) -> RowKeys:
        """Properties of the training rows by which they are split."""
        train = self.parts["train"]
        assert train.targets is not None
        y = self.targets.encode(train.targets)
        classes = self.targets.classes(y)
        if classes is not None:
            y = classes
        keys = RowKeys(len(train), y)
        if train.groups is not None:
            keys = replace(keys, groups=group_numbers(train.groups))
        if train.times is not None:
            keys = replace(keys, times=time_values(train.times))
        return keys

    def part_rows(self, split: Split) -> Parts:
        """Return the numbers of the training rows that are in each part under a split."""
        if "test" in self.parts and split.test_size:
            raise InputError(
                "the set has its own test part; give test_size: null.", fix={"test_size": None}
            )
        if "val" in self.parts:
            if split.num_folds or split.splitter:
                raise InputError("the set has its own validation part; leave num_folds out.")
            split = replace(split, val_size=None)
        train = self.parts["train"]
        if split.stratify and (rare := self._rare_classes(train, split.num_parts)):
            raise InputError(
                f"stratify needs a row of each class per part; {_listed(rare)} has fewer. Remove "
                "such classes, or add rows of them to the training set."
            )
        return split.parts(self.keys)

    def divide(self, split: Split) -> dict[str, Examples]:
        """Return the parts under a split; print what they have in common."""
        parts = dict(self.parts)
        rows_by_part = self.part_rows(split)._asdict()
        if "val" in parts and split.val_size:
            say("the set has its own validation part; val_size is not used")
        for part, rows in rows_by_part.items():
            if len(rows):
                parts[part] = self.parts["train"].take(rows)
        parts = _without_duplicates(parts, self.drop_duplicates)
        self._check_classes(parts, split.num_parts)
        num_shared = _count_shared_groups(parts)
        if num_shared:
            say(f"{num_shared:,} groups of the test part are also trained or validated on")
        return parts

    def _check_classes(self, parts: Mapping[str, Examples], num_parts: int) -> None:
        """Refuse a training part that lacks a class; print a line for other parts."""
        for name, part in parts.items():
            absent = self._rare_classes(part, 1)
            if not absent:
                continue
            if name != "train":
                say(f"the {name} part has no row of {len(absent)} classes: {_listed(absent)}")
            elif set(absent) & set(self._rare_classes(self.parts["train"], num_parts)):
                raise InputError(
                    f"the training part has no row of {_listed(absent)}: too few to divide. Remove "
                    "such classes, or add rows of them to the training set."
                )
            else:
                raise InputError(
                    f"the training part has no row of {_listed(absent)}; give stratify: true.",
                    fix={"stratify": True},
                )

    def _rare_classes(self, part: Examples, num_rows: int) -> list[str]:
        """Return the names of the classes with fewer rows than a number."""
        if part.targets is None:
            return []
        return self.targets.rare_classes(part.targets, num_rows)

    def describe(self) -> str:
        """Return columns, texts or images and targets of the set, as they were read."""
        targets = {}
        for name, part in self.parts.items():
            if part.targets is not None:
                targets[name] = part.targets
        return f"{self.parts['train'].inputs.describe()}\n\n{self.targets.describe(targets)}"


@dataclass(eq=False)
class SplitState:
    """Parts of one split, what was learned from its training part, and the encoded rows.

    Args:
        labelled: Labelled rows, which all splits share.
        split: Division of the labelled rows.
        encoder: Encoder of the inputs, not fitted; the state fits a copy.
        load_predict: Function that returns rows to predict; None for the test part.
        is_repeated: Whether an earlier split has printed its lines, which are then left out.
    """

    labelled: LabelledSet
    split: Split
    encoder: Encoder
    load_predict: Callable[[], Examples | None]
    is_repeated: bool

    def __post_init__(self) -> None:
        self.encoder = copy.deepcopy(self.encoder)
        self.learned: dict[str, Any] = {}
        self._encoded: dict[str, tuple[StoredRows, Tensor | None]] = {}

    @cached_property
    def parts(self) -> dict[str, Examples]:
        """Labelled parts as they were read."""
        with muted(self.is_repeated):
            return self.labelled.divide(self.split)

    @cached_property
    def rows_to_predict(self) -> Examples:
        """Rows to predict as they were read."""
        rows = self.load_predict()
        if rows is None:
            return self.examples("test")
        return rows

    @cached_property
    def order_seed(self) -> int:
        """Seed of the order of batches, drawn by ``seed_everything``."""
        return torch.initial_seed() % 2**63

    def examples(self, part: Part) -> Examples:
        """Return the rows of a part as they were read."""
        if part == "predict":
            return self.rows_to_predict
        if part not in self.parts:
            raise InputError(f"the data has no {part} part. Give {part}_size.")
        return self.parts[part]

    def fit(self) -> dict[str, Any]:
        """Learn from the training part, once; return what was learned."""
        if self.learned:
            return self.learned
        train = self.parts["train"]
        assert train.targets is not None
        targets = self.labelled.targets
        with muted(self.is_repeated):
            self.encoder.fit(train.inputs, train.targets)
        mean, std = targets.statistics(train.targets)
        self.learned = {
            "inputs": self.encoder.state(),
            "targets": targets.state(),
            "input_shape": list(self.encoder.input_shape),
            "target_mean": mean,
            "target_std": std,
            "target_summary": targets.summary(train.targets),
            "rows": self.fingerprint(),
        }
        return self.learned

    def restore(self, learned: dict[str, Any]) -> None:
        """Take what another state has learned; the training rows are not needed any more."""
        self.learned = learned
        self.labelled.targets.load_state(learned["targets"])
        self.encoder.load_state(learned["inputs"])

    def encoded(self, part: Part) -> tuple[StoredRows, Tensor | None]:
        """Return the stored inputs and targets of a part."""
        if part not in self._encoded:
            self.fit()
            rows = self.examples(part)
            targets = None
            if rows.targets is not None:
                targets = torch.from_numpy(self.labelled.targets.encode(rows.targets))
            with muted(self.is_repeated):
                inputs = self.encoder.transform(rows.inputs)
            self._encoded[part] = (inputs, targets)
        return self._encoded[part]

    def replace_inputs(self, part: Part, inputs: StoredRows) -> None:
        """Store other inputs, row for row."""
        _, targets = self.encoded(part)
        self._encoded[part] = (inputs, targets)

    def fingerprint(self) -> str:
        """Return a hash of the training and validation rows and their targets."""
        digest = hashlib.blake2b(digest_size=16)
        for part in ("train", "val"):
            if part not in self.parts:
                continue
            rows = self.parts[part]
            digest.update(f"{part} {len(rows)}".encode())
            assert rows.targets is not None
            targets = self.labelled.targets.encode(rows.targets)
            for values in (rows.index, rows.hashes, targets):
                if values is not None:
                    digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8])


def _without_duplicates(parts: dict[str, Examples], drop: bool) -> dict[str, Examples]:
    """Count the rows that are in two parts; if `drop`, remove them from the earlier part."""
    hashes = {name: part.hashes for name, part in parts.items() if part.hashes is not None}
    is_unique = {name: np.ones(len(values), np.bool_) for name, values in hashes.items()}
    names = [name for name in ("train", "val", "test") if name in hashes]
    counts = []
    for earlier, later in combinations(names, 2):
        is_double = np.isin(hashes[earlier], hashes[later])
        is_unique[earlier] &= ~is_double
        if is_double.any():
            counts.append(f"{is_double.sum():,} in {later} and {earlier}")
    action = "drop_duplicates: true removes them"
    if drop:
        action = "removed from the earlier part"
        parts = parts | {name: parts[name].take(np.flatnonzero(is_unique[name])) for name in names}
    if counts:
        say(f"exact duplicates of inputs: {', '.join(counts)}; {action}")
    return parts


def _count_shared_groups(parts: Mapping[str, Examples]) -> int:
    """Return the number of groups of the test part that are also trained or validated on."""
    groups = {}
    for name, part in parts.items():
        if part.groups is not None:
            groups[name] = part.groups.tolist()
    tested = set(groups.pop("test", []))
    return len(tested.intersection(chain.from_iterable(groups.values())))
