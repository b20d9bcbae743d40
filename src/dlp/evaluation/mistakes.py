"""What a model gets wrong: what people look at instead of one number.

From predictions on a part: which classes are taken for which, the scores of each class, how far
probabilities can be believed, and the worst mistakes with the rows they were made on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dlp.decisions import decide
from dlp.errors import InputError
from dlp.evaluation.calibration import Calibration, calibrate
from dlp.evaluation.confusion import Confusion
from dlp.evaluation.wrong_rows import WrongClass as WrongClass
from dlp.evaluation.wrong_rows import WrongValue as WrongValue
from dlp.evaluation.wrong_rows import short

#: The most points that are kept of predicted and true values, spread evenly over the rows.
POINTS = 2000


@dataclass(frozen=True)
class ClassScores:
    """How well one class (or label) is found.

    Args:
        name: The class, or the kind of mean over classes.
        precision: Of the rows predicted to be of it, the share that is.
        recall: Of the rows that are of it, the share predicted so.
        f1: Harmonic mean of the two.
        support: Number of rows that are of it.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassificationMistakes:
    """Mistakes about rows that belong to one class each.

    Args:
        rows: Number of rows.
        class_names: The C classes.
        confusion: Rows by true and predicted class.
        scores: Of each class.
        means: ``macro``, the plain mean over the classes that occur in targets or predictions, and
            ``weighted`` by support.
        calibration: Of the probabilities.
        worst: The most confidently wrong rows, the worst first.
        threshold: See `of`.
    """

    task: ClassVar[str] = "classification"
    rows: int
    class_names: list[str]
    confusion: Confusion
    scores: list[ClassScores]
    means: list[ClassScores]
    calibration: Calibration
    worst: list[WrongClass]
    threshold: float | None = None

    @classmethod
    def of(
        cls,
        probabilities: NDArray[Any],
        targets: NDArray[Any],
        class_names: Sequence[str] | None = None,
        num_worst: int = 16,
        threshold: float | None = None,
    ) -> "ClassificationMistakes":
        """Return the mistakes of some predictions.

        Args:
            probabilities: (N, C).
            targets: Class numbers (N,).
            class_names: Names of the classes; None for their numbers.
            num_worst: How many of the worst mistakes to keep.
            threshold: Of two classes, what the probability of the second must exceed; None takes
                the likeliest class.

        Raises:
            InputError: Shapes do not go together, or a probability is no number.
        """
        chances = _checked(probabilities, targets, 1)
        names = _names(class_names, chances.shape[1])
        predicted = decide(chances, threshold)
        every = np.arange(len(chances))
        confidence = chances[every, predicted]
        if len(names) == 2:
            calibration = calibrate(f"probability of {names[1]}", targets == 1, chances[:, 1])
        else:
            right = predicted == targets
            calibration = calibrate("probability of the predicted class", right, confidence)
        wrong = every[predicted != targets]  # equally confident ones: the least likely true class
        order = np.lexsort((wrong, chances[wrong, targets[wrong]], -confidence[wrong]))
        worst = [
            WrongClass(
                int(row),
                names[targets[row]],
                names[predicted[row]],
                short(chances[row, targets[row]]),
                short(confidence[row]),
            )
            for row in wrong[order[:num_worst]]
        ]
        confusion = Confusion.of(np.asarray(targets, np.int64), predicted, len(names))
        diagonal, given, there = confusion.marginals()
        return cls(
            len(chances),
            names,
            confusion,
            *_scores(diagonal, given, there, given + there > 0, names),
            calibration,
            worst,
            threshold,
        )

    @property
    def num_wrong(self) -> int:
        """Number of rows that were taken for another class."""
        return self.confusion.num_wrong

    def most_confused(self, count: int = 10) -> list[tuple[str, str, int]]:
        """Return true class, what it was taken for, and how often; the most frequent first."""
        names, cells = self.class_names, self.confusion.most_confused(count)
        return [(names[true], names[taken], rows) for true, taken, rows in cells]

    @property
    def summary(self) -> str:
        """One clause on what went wrong."""
        text = f"{self.num_wrong:,} of {self.rows:,} rows are wrong"
        for true, taken, count in self.most_confused(1):
            text += f", most often {true} taken for {taken} ({count:,})"
        return text


@dataclass(frozen=True)
class MultilabelMistakes:
    """Mistakes about rows that have any number of labels.

    Args:
        rows: Number of rows.
        class_names: The C labels.
        counts: For each label: rows that have it and were given it, that lack it and were given it,
            that have it and were not given it, that lack it and were not given it.
        scores: Of each label.
        means: ``macro``, the plain mean over labels, and ``weighted`` by support.
        calibration: Of the probabilities of all labels.
        worst: The most confidently wrong rows, each by its worst label.
        threshold: See `of`.
    """

    task: ClassVar[str] = "multilabel"
    rows: int
    class_names: list[str]
    counts: list[tuple[int, int, int, int]]
    scores: list[ClassScores]
    means: list[ClassScores]
    calibration: Calibration
    worst: list[WrongClass]
    threshold: float | None = None

    @classmethod
    def of(
        cls,
        probabilities: NDArray[Any],
        targets: NDArray[Any],
        class_names: Sequence[str] | None = None,
        num_worst: int = 16,
        threshold: float | None = None,
    ) -> "MultilabelMistakes":
        """Return the mistakes of some predictions; see `ClassificationMistakes.of`.

        Args:
            probabilities: Of each label, (N, C).
            targets: 0 and 1, (N, C).
            class_names: Names of the labels; None for their numbers.
            num_worst: See there.
            threshold: What the probability of a label must exceed, that it is given; None is 0.5.
        """
        chances = _checked(probabilities, targets, 2)
        names = _names(class_names, chances.shape[1])
        given, has = decide(chances, threshold, labels=True), targets > 0.5
        off = np.where(given == has, 0, abs(chances - has))
        label, every = off.argmax(axis=1), np.arange(len(chances))
        worst = []
        for row in np.argsort(-off[every, label], kind="stable")[:num_worst]:
            if given[row, label[row]] == has[row, label[row]]:
                break
            name, chance = names[label[row]], chances[row, label[row]]
            true, taken = (name, f"not {name}") if has[row, label[row]] else (f"not {name}", name)
            sure = chance if given[row, label[row]] else 1 - chance  # of what was said
            worst.append(WrongClass(int(row), true, taken, short(1 - sure), short(sure)))
        kinds = (has & given, ~has & given, has & ~given, ~has & ~given)
        counts = np.stack([kind.sum(axis=0) for kind in kinds], axis=1)
        right, all_labels = counts[:, 0], np.ones(len(names), np.bool_)
        return cls(
            *(len(chances), names),
            [(tp, fp, fn, tn) for tp, fp, fn, tn in counts.tolist()],
            *_scores(right, given.sum(axis=0), has.sum(axis=0), all_labels, names),
            calibrate("probability of each label", has.ravel(), chances.ravel()),
            worst,
            threshold,
        )

    @property
    def summary(self) -> str:
        """One clause on what went wrong."""
        low = min(self.scores, key=lambda scores: scores.f1)
        return f"the label found worst is {low.name} (F1 {low.f1:.2f})"


@dataclass(frozen=True)
class ValueScores:
    """How near the values of one target were, in its own unit.

    Args:
        name: The target column; empty where it has no name.
        mae: Mean absolute error.
        rmse: Root of the mean squared error.
        r2: Share of the variance that is explained; None for a single row.
        mean_residual: Mean of predicted minus true: above 0, predictions are too high.
    """

    name: str
    mae: float
    rmse: float
    r2: float | None
    mean_residual: float


@dataclass(frozen=True)
class RegressionMistakes:
    """Mistakes about values.

    Args:
        rows: Number of rows.
        scores: Of each of T targets.
        true: True values of at most `POINTS` rows, spread evenly, (T, P).
        predicted: What was predicted for them, (T, P).
        worst: The rows with the largest errors, measured in standard deviations of their target.
    """

    task: ClassVar[str] = "regression"
    rows: int
    scores: list[ValueScores]
    true: list[list[float]]
    predicted: list[list[float]]
    worst: list[WrongValue]

    @classmethod
    def of(
        cls,
        values: NDArray[Any],
        targets: NDArray[Any],
        target_names: Sequence[str] | None = None,
        num_worst: int = 16,
    ) -> "RegressionMistakes":
        """Return the mistakes of some predictions.

        Args:
            values: (N, T).
            targets: (N,) or (N, T), in the same unit.
            target_names: Names of the targets.
            num_worst: How many of the largest errors to keep.

        Raises:
            InputError: Shapes do not go together, or a value is no number.
        """
        true = np.asarray(targets, np.float64).reshape(len(targets), -1)
        found = _checked(values, true, 2)
        names = [""] if found.shape[1] == 1 else None
        names = _names(target_names or names, found.shape[1])
        scores = [
            ValueScores(
                name,
                float(abs(z - y).mean()),
                float(((z - y) ** 2).mean() ** 0.5),
                _explained(y, z),
                float((z - y).mean()),
            )
            for name, y, z in zip(names, true.T, found.T, strict=True)
        ]
        spread = true.std(axis=0)
        errors = abs(found - true)
        off = errors / np.where(spread > 0, spread, 1)
        target, every = off.argmax(axis=1), np.arange(len(off))
        worst = [
            WrongValue(
                int(row),
                names[target[row]],
                short(true[row, target[row]]),
                short(found[row, target[row]]),
            )
            for row in np.argsort(-off[every, target], kind="stable")[:num_worst]
            if errors[row, target[row]] > 0
        ]
        kept = np.unique(np.linspace(0, len(true) - 1, min(POINTS, len(true))).astype(np.int64))
        points = [[[short(x) for x in column] for column in y[kept].T] for y in (true, found)]
        return cls(len(true), scores, points[0], points[1], worst)

    @property
    def summary(self) -> str:
        """One clause on what went wrong."""
        return f"the largest error is {self.worst[0].caption}" if self.worst else "none"


Mistakes = ClassificationMistakes | MultilabelMistakes | RegressionMistakes


def _checked(predictions: NDArray[Any], targets: NDArray[Any], dims: int) -> NDArray[np.float64]:
    found = np.asarray(predictions, np.float64)
    expected = found.shape[:dims]
    if found.ndim != 2 or targets.shape != expected or not len(found):
        raise InputError(
            f"predictions must be (N, C) and targets {'(N,)' if dims == 1 else '(N, C)'}, of at "
            f"least one row; got {found.shape} and {targets.shape}."
        )
    if not np.isfinite(found).all():
        raise InputError("a prediction is no number: the model has diverged.")
    return found


def _names(names: Sequence[str] | None, count: int) -> list[str]:
    if names is not None and len(names) != count:
        raise InputError(f"there are {count} columns of predictions and {len(names)} names.")
    return [str(number) for number in range(count)] if names is None else list(names)


def _scores(
    right: NDArray[Any],
    given: NDArray[Any],
    there: NDArray[Any],
    counted: NDArray[np.bool_],
    names: Sequence[str],
) -> tuple[list[ClassScores], list[ClassScores]]:
    """Return the scores of each class or label, and their macro and weighted means.

    They are those of scikit-learn (0 where nothing is divided by), which takes half a second to
    import.

    Args:
        right: Rows of each class that were taken for it, (C,).
        given: Rows that were taken for it, (C,).
        there: Rows that are of it, (C,).
        counted: Which of them the macro mean is of, (C,).
        names: Their names.
    """
    columns = [
        right / np.maximum(given, 1),
        right / np.maximum(there, 1),
        2 * right / np.maximum(given + there, 1),
    ]
    scores = [
        ClassScores(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(names, *columns, there, strict=True)
    ]
    means = []
    for kind, weights in (("macro", counted), ("weighted", there)):
        precision, recall, f1 = (column @ weights / max(weights.sum(), 1) for column in columns)
        total = int(there.sum())
        means.append(ClassScores(kind, float(precision), float(recall), float(f1), total))
    return scores, means


def _explained(true: NDArray[np.float64], found: NDArray[np.float64]) -> float | None:
    """Return R2; as in scikit-learn, of equal targets it is 1 for these alone and else 0."""
    if len(true) < 2:
        return None
    left, whole = ((found - true) ** 2).sum(), ((true - true.mean()) ** 2).sum()
    if whole == 0:
        return 1.0 if left == 0 else 0.0
    return float(1 - left / whole)
