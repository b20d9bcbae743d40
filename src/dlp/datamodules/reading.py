"""What a data set was taken for, to be looked at before anything is trained."""

import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dlp.text_table import aligned

#: What a column may be taken for.
Kind = Literal[
    "number",
    "boolean",
    "category",
    "date",
    "text",
    "image",
    "target",
    "group",
    "time",
    "id",
    "left out",
]
#: Names, classes and notes that one line holds.
_FEW = 6
_WIDTH = 60
#: So few different values may be classes.
_FEW_VALUES = 10


@dataclass(frozen=True)
class ColumnReading:
    """What one column of a table was taken for.

    Args:
        name: Its name in the file.
        kind: What it was taken for.
        detail: What that means: range, format, number of categories; or why it is left out.
        example: A cell as it stands in the file.
        missing: The share of its cells that are empty, 0 to 1.
    """

    name: str
    kind: Kind
    detail: str = ""
    example: str = ""
    missing: float = 0.0


@dataclass(frozen=True)
class SampleReading:
    """How one sample is read, step by step.

    Args:
        title: Which sample.
        steps: What it is at each step, such as ``("text", ...)``, ``("ids", ...)``.
    """

    title: str
    steps: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class InputReading:
    """What a kind of data says of its input: filled by `LabelledData.read_input`.

    Args:
        source: The file or folder and how it was read, such as ``houses.csv: CSV, separator ';'``.
        columns: Each column of a table, in the order of the file.
        facts: Names and values that are no columns, such as the sizes of images.
        notes: What a person should look at: left out, odd, ambiguous or suspicious things.
        samples: Some samples, read step by step.
    """

    source: str
    columns: tuple[ColumnReading, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    samples: tuple[SampleReading, ...] = ()


@dataclass(frozen=True)
class TargetReading:
    """What the target was taken for.

    Args:
        name: The target column or columns; empty where they have no name.
        task: ``classification``, ``multilabel`` or ``regression``.
        classes: Each class or label with its number of rows.
        positive: Of two classes, the one whose probability a single output gives.
        detail: The range of values.
    """

    name: str
    task: str
    classes: tuple[tuple[str, int], ...] = ()
    positive: str | None = None
    detail: str = ""

    @classmethod
    def of(
        cls, name: str, task: str, encoded: NDArray[Any], class_names: list[str]
    ) -> "TargetReading":
        """Return what the encoded targets of the labelled rows, (N,) or (N, T), were taken for."""
        if task == "regression":
            detail = f"{encoded.min():,.6g} to {encoded.max():,.6g}"
            distinct = len(np.unique(encoded))
            if encoded.ndim == 1 and distinct <= _FEW_VALUES and 2 * distinct <= len(encoded):
                detail += f", {distinct} different ones (if they are classes: task: classification)"
            return cls(name, task, detail=detail)
        if encoded.ndim == 1:
            counts = np.bincount(encoded, minlength=len(class_names))
        else:
            counts = encoded.sum(axis=0).astype(np.int64)
        classes = tuple(zip(class_names, counts.tolist(), strict=True))
        two = task == "classification" and len(class_names) == 2
        return cls(name, task, classes, class_names[1] if two else None)


@dataclass(frozen=True)
class Reading:
    """What a data set was taken for.

    Args:
        input: What its input was taken for.
        target: What its target was taken for.
        parts: Each part with its number of rows.
        repeated: How many labelled rows have the inputs of an earlier one.
        input_shape: The shape of one encoded input.
    """

    input: InputReading
    target: TargetReading
    parts: tuple[tuple[str, int], ...]
    repeated: int
    input_shape: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return asdict(self)

    def facts(self) -> list[tuple[str, str]]:
        """Return names and values of all but columns, notes and samples."""
        rows = ", ".join(f"{count:,} {name}" for name, count in self.parts)
        shape = " x ".join(f"{size:,}" for size in self.input_shape)
        repeated = f"{self.repeated:,} with the inputs of an earlier row" if self.repeated else "0"
        return [
            ("read", self.input.source),
            ("rows", rows),
            ("repeated rows", repeated),
            *self.input.facts,
            (f"target {self.target.name}".strip(), _target_words(self.target)),
            ("input shape", shape),
        ]

    def summary(self) -> list[str]:
        """Return the most important of it in at most five lines."""
        rows = ", ".join(f"{count:,} {name}" for name, count in self.parts)
        name = f"target {self.target.name}".strip()
        lines = [f"data: {self.input.source}; {rows}", f"{name}: {_target_words(self.target)}"]
        used = [c for c in self.input.columns if c.kind not in ("target", "left out")]
        if used:
            kinds = list(dict.fromkeys(column.kind for column in used))
            named = {kind: [c.name for c in used if c.kind == kind] for kind in kinds}
            inputs = "; ".join(
                f"{len(names):,} {_plural(kind, len(names))}: {few(names)}"
                for kind, names in named.items()
            )
            lines.append(f"columns: {inputs}")
        if left_out := [c for c in self.input.columns if c.kind == "left out"]:
            why = left_out[0].detail if len(left_out) == 1 else "dlp data says why"
            lines.append(f"left out: {few([c.name for c in left_out])} ({why})")
        if notes := self.input.notes:
            others = len(notes) - 1
            word = "note" if others == 1 else "notes"
            more = f" ({others} more {word}: dlp data)" if others else ""
            lines.append(f"note: {notes[0]}{more}")
        return lines

    def __str__(self) -> str:
        """Return all of it as aligned text."""
        facts = self.facts()
        width = max(len(name) for name, _ in facts)
        lines = [f"{name:<{width}}  {value}" for name, value in facts]
        if self.input.columns:
            head = ("column", "taken for", "missing", "example", "detail")
            cells = [
                (
                    clipped(column.name, 30),
                    column.kind,
                    f"{column.missing:.1%}" if column.missing else "",
                    clipped(column.example, 24),
                    column.detail,
                )
                for column in self.input.columns
            ]
            lines += ["", *aligned([head, *cells])]
        if len(self.target.classes) > _FEW:
            top = ("class", "rows")
            classes = [(name, f"{count:,}") for name, count in self.target.classes[:50]]
            lines += ["", *aligned([top, *classes])]
            if (more := len(self.target.classes) - 50) > 0:
                lines.append(f"and {more:,} more classes")
        for sample in self.input.samples:
            lines += ["", sample.title]
            width = max(len(name) for name, _ in sample.steps)
            lines += [f"  {name:<{width}}  {clipped(text, 500)}" for name, text in sample.steps]
        if self.input.notes:
            lines += ["", "look at:", *(f"- {note}" for note in self.input.notes)]
        return "\n".join(lines)


def _target_words(target: TargetReading) -> str:
    if target.task == "regression":
        return f"values (regression), {target.detail}"
    total = sum(count for _, count in target.classes) or 1
    word = "labels" if target.task == "multilabel" else "classes"
    ranked = sorted(target.classes, key=lambda row: -row[1])
    shown = ranked if len(ranked) <= _FEW else ranked[: _FEW - 1]
    shares = ", ".join(
        f"{clipped(name, 30)} {count:,} ({count / total:.1%})" for name, count in shown
    )
    more = f", and {len(ranked) - len(shown):,} more" if len(shown) < len(ranked) else ""
    positive = "" if target.positive is None else f"; positive class: {target.positive}"
    return f"{len(ranked):,} {word}: {shares}{more}{positive}"


def _plural(kind: Kind, count: int) -> str:
    if count == 1:
        return kind
    return {"category": "categories", "time": "times"}.get(kind, f"{kind}s")


def few(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(clipped(name, 30) for name in names[:_FEW])
    return shown + (f" and {len(names) - _FEW:,} more" if len(names) > _FEW else "")


def but_for_case(texts: Iterable[object]) -> tuple[str, str] | None:
    """Return two texts that are one but for upper and lower case and blanks; None if none are."""
    seen: dict[str, str] = {}
    for text in texts:
        if isinstance(text, str):
            other = seen.setdefault(
                " ".join(unicodedata.normalize("NFC", text).lower().split()), text
            )
            if other != text:
                return other, text
    return None


def alike_classes(names: Iterable[str]) -> str | None:
    """Return a sentence on two classes that are one but for case and blanks; None if none are."""
    twins = but_for_case(names)
    if twins is None:
        return None
    return (
        f"the classes {twins[0]!r} and {twins[1]!r} differ by upper and lower case or blanks "
        "alone: if they are one class, write them alike in the file"
    )


def clipped(text: str, width: int = _WIDTH) -> str:
    """Return a text on one line, cut to `width` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
