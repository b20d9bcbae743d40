"""What anybody may ask a DataModule, as soon as it is built."""

from abc import abstractmethod
from dataclasses import replace

from dlp.datamodules.examples import Examples, Part
from dlp.datamodules.learned import Learned
from dlp.datamodules.reading import Reading, alike_classes
from dlp.datamodules.row_source import RowSource
from dlp.datamodules.splitting.splits import Parts
from dlp.datamodules.targets import TargetEncoder


class DataFacts(RowSource):
    """The facts of a data set; the first one asked for fits it."""

    targets: TargetEncoder

    @abstractmethod
    def fit(self) -> Learned:
        """Read the labelled rows, split them and learn from the training part, once."""

    @abstractmethod
    def labelled_rows(self) -> tuple[Parts, Examples]:
        """Return the parts of the current split, and the labelled rows they number."""

    @property
    @abstractmethod
    def has_test(self) -> bool:
        """Whether there is a test part."""

    @abstractmethod
    def examples(self, part: Part) -> Examples:
        """Return the rows of a part as they were read."""

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
