"""Divide the labelled rows of a data set into parts."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from dlp.console import say
from dlp.datamodules.rows import Examples, LabelledParts, check_id_columns
from dlp.datamodules.splits import Parts, Split, group_numbers, time_values
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError


@dataclass(eq=False)
class LabelledSet:
    """Labelled rows of a data set.

    Args:
        loaded: The parts that the set has: ``train``, and perhaps ``val`` and ``test``.
        targets: Encoder of the targets. It is fitted to all rows, regardless of the split, unless a
            checkpoint has restored it.
    """

    loaded: LabelledParts
    targets: TargetEncoder

    def __post_init__(self) -> None:
        if not self.targets.num_outputs:
            self.fit_targets()
        outputs = self.targets.class_names or self.targets.column_names or ()
        for part in self.parts.values():
            check_id_columns(part.id_columns, outputs)

    def fit_targets(self) -> None:
        """Fit the encoder of the targets to all rows."""
        self.targets.fit(np.concatenate([part.labels for part in self.loaded.values()]))
        self.forget_parts()

    @cached_property
    def parts(self) -> LabelledParts:
        """Parts of the data set, with targets that are encoded once for all splits."""
        parts = {}
        for name, part in self.loaded.items():  # so that an error gives the row within its part
            parts[name] = replace(part, encoded_targets=self.targets.encode(part.labels))
        return parts

    def forget_parts(self) -> None:
        """Forget the encoded targets, because their encoder has changed."""
        vars(self).pop("parts", None)

    @cached_property
    def keys(self) -> Examples:
        """Training rows with the class numbers, group numbers and times that a split needs."""
        train = self.parts["train"]
        keys = replace(train, targets=self.targets.classes(train.encoded_labels))
        if train.groups is not None:
            keys = replace(keys, groups=group_numbers(train.groups))
        if train.times is not None:
            keys = replace(keys, times=time_values(train.times))
        return keys

    def part_indices(self, split: Split) -> Parts:
        """Return the indices of the rows in ``train`` that a split assigns to each part.

        Raises:
            InputError: If the split does not suit the data set.
        """
        if "test" in self.parts and split.test_size:
            raise InputError(
                "test_size: the data set has its own test part. Give test_size: null.",
                {"test_size": None},
            )
        if "val" in self.parts:
            if split.num_folds or split.splitter:
                raise InputError(
                    "num_folds: the data set has its own validation part. Leave num_folds out."
                )
            split = replace(split, val_size=None)
        if split.stratify:
            rare = self.targets.rare_classes(self.parts["train"].encoded_labels, 2)
            if rare:
                raise InputError(
                    f"stratify: expected two or more rows of each class, got fewer for "
                    f"{_listed(rare)}. Remove these classes, or add rows of them to the training "
                    "part."
                )
        return split.parts(self.keys)

    def divide(self, split: Split, drop_duplicates: bool) -> LabelledParts:
        """Return the parts for a split, and print how many rows they have in common.

        Args:
            split: The split.
            drop_duplicates: Whether a row that is in two parts is removed from the earlier one.

        Raises:
            InputError: If a class has no row in the training part.
        """
        index_by_part = self.part_indices(split)._asdict()
        parts = {}
        for name, index in index_by_part.items():
            if len(index):
                parts[name] = self.parts["train"].take(index)
            elif name in self.parts:
                parts[name] = self.parts[name]
        _compare_inputs(parts, drop_duplicates)
        for name, part in parts.items():
            absent = self.targets.rare_classes(part.encoded_labels, 1)
            if absent and name == "train":
                raise InputError(
                    f"the training part has no row of {_listed(absent)}. Add rows of these "
                    "classes, or give stratify: true. With time_column, give fewer folds or "
                    "smaller parts.",
                    {"stratify": True},
                )
            if absent:
                say(f"the {name} part has no row of {len(absent)} classes: {_listed(absent)}")
        return parts

    def describe(self) -> str:
        """Describe the inputs and the targets of the set before they are encoded."""
        targets = {name: part.encoded_labels for name, part in self.parts.items()}
        return f"{self.parts['train'].inputs.describe()}\n\n{self.targets.describe(targets)}"


def rows_fingerprint(parts: LabelledParts) -> str:
    """Return a hash of the training and validation rows and their targets."""
    digest = hashlib.blake2b(digest_size=16)
    for name, part in parts.items():
        if name == "test":
            continue
        digest.update(f"{name} {len(part)}".encode())
        for values in (part.index, part.hashes, part.encoded_labels):
            if values is not None:
                digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8])


def _compare_inputs(parts: LabelledParts, drop: bool) -> None:
    """Report the rows that are in two parts. If `drop`, remove them from the earlier part."""
    counts = []
    for earlier, later in combinations(parts, 2):
        rows = parts[earlier]
        others = parts[later].hashes
        if rows.hashes is None or others is None:
            continue
        is_double = np.isin(rows.hashes, others)
        if is_double.any():
            counts.append(f"{is_double.sum():,} in {later} and {earlier}")
            if drop:
                parts[earlier] = rows.take(np.flatnonzero(~is_double))
    action = "if they are copies, drop_duplicates: true removes them"
    if drop:
        action = "removed from the earlier part"
    if counts:
        say(f"exact duplicates of inputs: {', '.join(counts)}; {action}")
