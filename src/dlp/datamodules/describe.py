"""Rows as people read them: the text of ``dlp data``, and single rows for lists of mistakes."""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dlp.datamodules.examples import Examples
from dlp.datamodules.targets import TargetEncoder


def describe(parts: Mapping[str, Examples], targets: TargetEncoder) -> str:
    """Describe the inputs and targets of labelled rows; the encoder is fitted on their targets."""
    return f"{describe_inputs(parts['train'].inputs)}\n\n{_targets(parts, targets)}"


def readable(rows: Examples) -> list[str]:
    """Return a line per row: its cells, its text, its path, or its numbers."""
    inputs = rows.inputs
    if isinstance(inputs, pd.DataFrame):
        cells = inputs.astype(str).to_dict("records")
        return [", ".join(f"{name}={cell}" for name, cell in row.items()) for row in cells]
    if hasattr(inputs, "raw"):
        return [*inputs.raw()]
    if rows.names is not None:
        return [*map(str, rows.names)]
    return [np.array2string(np.ravel(row), 1000, precision=4, threshold=8) for row in inputs]


def describe_inputs(inputs: Any) -> str:
    """Describe inputs: the columns of a table; number and size of texts, images, rows."""
    count = f"{len(inputs):,}"
    if isinstance(inputs, pd.DataFrame):
        header = ["column", "kind", "missing", "distinct", "values"]
        columns = pd.DataFrame([_column(inputs[name]) for name in inputs], columns=header)
        return f"{count} rows\n{columns.to_string(index=False)}"
    if hasattr(inputs, "tokens"):
        lengths = inputs.tokens()[1]
        sample = textwrap.shorten(inputs[np.arange(1)].raw()[0], 200, placeholder=" ...")
        return (
            f"{count} texts of {lengths.min():,} to {lengths.max():,} tokens, median "
            f"{np.median(lengths):,.0f}\nfirst text: {sample}"
        )
    if hasattr(inputs, "pixels"):
        height, width, channels = inputs.pixels.shape[1:]
        return f"{count} images of {height} x {width} pixels, channels: {channels}"
    return f"{count} rows of shape {inputs.shape[1:]}, from {inputs.min():g} to {inputs.max():g}"


def _column(column: "pd.Series[Any]") -> tuple[Any, ...]:
    values = column.dropna()
    if pd.api.types.is_datetime64_any_dtype(column):
        kind, content = "date", f"{values.min()} to {values.max()}"
    elif pd.api.types.is_numeric_dtype(column):
        kind, content = "number", f"{float(values.min()):g} to {float(values.max()):g}"
    else:
        categories = ", ".join(sorted(values.astype(str).unique())[:20])
        kind, content = "category", textwrap.shorten(categories, 60, placeholder=" ...")
    return column.name, kind, len(column) - len(values), values.nunique(), content


def _targets(parts: Mapping[str, Examples], targets: TargetEncoder) -> str:
    columns: dict[str, Any] = {}
    for part, rows in parts.items():
        assert rows.targets is not None
        encoded = targets.encode(rows.targets)
        classes = targets.classes(encoded)
        if classes is not None:
            columns[part] = np.bincount(classes, minlength=targets.num_outputs)
        elif targets.task == "multilabel":
            columns[part] = encoded.sum(axis=0).astype(int)
        else:
            values = encoded.reshape(len(encoded), -1).T
            columns[part] = [f"{v.min():g} to {v.max():g}, mean {v.mean():g}" for v in values]
    names = targets.class_names or targets.columns
    table = pd.DataFrame(columns, index=names or ["target"] * targets.num_outputs)
    return f"target ({targets.task})\n{table.to_string()}"
