"""Predictions as a table: one row an input."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from dlp.callbacks.evaluated_data import loader_and_data
from dlp.console import say
from dlp.datamodules.known_rows import known_columns
from dlp.decisions import decide, decision_rule, names_of
from dlp.errors import InputError
from dlp.number_words import chance_in_words
from dlp.runs.prediction_files import check_place, open_table
from dlp.text_table import aligned

#: Rows that are printed at the end.
_SHOWN = 5
#: Letters of a cell that is printed.
_WIDTH = 48


class PredictionWriter(Callback):
    """Writes ``index, class, prob_<class>...`` or ``index, value``, batch by batch.

    Rows of a DataModule have more columns after `index` (see `known_columns`): an id, ``path`` or
    ``text``, and ``true`` where it is known. Which class a row is given is decided by the model's
    head; labels that do not exclude each other are joined by ``;``. Several targets have a column
    ``value_<target>`` each. The file appears when it is whole, and the first rows are printed.

    Args:
        path: The .csv or .parquet to write; None prints all rows and writes nothing.

    Raises:
        InputError: Nothing can be written there.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            check_place(path)
        self.rows = 0
        self._open = ExitStack()
        self._append: Any = None
        self._known: dict[str, list[Any]] | None = None
        self._shown: list[list[str]] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file, under a temporary name.

        Raises:
            InputError: The model has no `predict_step`, the path cannot be written, or there are
                several processes, each of which would write it.
        """
        self.rows = 0
        self._known, self._shown = None, []
        if getattr(trainer, "fast_dev_run", False):
            return
        if type(pl_module).predict_step is LightningModule.predict_step:
            raise InputError(
                f"{type(pl_module).__name__} has no predict_step. To write a table it must have "
                "one that gives a dict of 'index' (N,) and 'probabilities' (N, C) or 'values' "
                "(N, T)."
            )
        if trainer.world_size > 1:
            raise InputError("predict writes one file: use one device (--trainer.devices 1).")
        if self.path is not None:
            self._append = self._open.enter_context(open_table(self.path))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the predictions of a batch.

        Raises:
            InputError: The model's `predict_step` gives something else than a dict with `index`
                and `probabilities` or `values`.
        """
        keys = outputs.keys() if isinstance(outputs, dict) else set()
        if "index" not in keys or not {"probabilities", "values"} & keys:
            raise InputError(
                f"predict_step of {type(pl_module).__name__} gives {type(outputs).__name__}; to "
                "write a table it must give a dict of 'index' (N,) and 'probabilities' (N, C) or "
                "'values' (N, T)."
            )
        if getattr(trainer, "fast_dev_run", False):
            return
        numbers = outputs["index"].tolist()
        if self._known is None:
            _, data = loader_and_data(trainer, "predict")
            self._known = {} if data is None else known_columns(data, "predict")
        columns: dict[str, list[Any]] = {"index": numbers}
        for name, values in self._known.items():
            columns[name] = [values[number] for number in numbers]
        if "values" in outputs:
            found = _value_columns(outputs["values"], pl_module, trainer)
            surest = [""] * len(numbers)
        else:
            found, surest = _class_columns(outputs["probabilities"], pl_module, trainer)
        self.rows += len(numbers)
        self._show(columns, found, surest)
        if self._append is not None:
            self._append({**columns, **found})

    def _show(
        self, known: dict[str, list[Any]], found: dict[str, list[Any]], surest: Sequence[str]
    ) -> None:
        shown = {
            **known,
            **{name: cells for name, cells in found.items() if not name.startswith("prob_")},
        }
        if not self._shown:
            self._shown.append([*shown, *(["probability"] if any(surest) else [])])
        for row, sure in zip(zip(*shown.values(), strict=True), surest, strict=True):
            if self.path is not None and len(self._shown) > _SHOWN:
                return
            cells = [_cell(value, name == "path") for name, value in zip(shown, row, strict=True)]
            self._shown.append([*cells, *([sure] if sure else [])])

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the file to its place, and print the first rows."""
        if getattr(trainer, "fast_dev_run", False):
            return
        self._append = None
        self._open.close()
        for line in aligned(self._shown):
            say(f"  {line}")
        if self.path is not None:
            say(f"wrote {self.rows:,} prediction{'s'[: self.rows != 1]} to {self.path}")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave no half file: what was there before stays."""
        self._append = None
        self._open.__exit__(type(exception), exception, exception.__traceback__)


def _value_columns(
    values: Tensor, model: LightningModule, trainer: Trainer
) -> dict[str, list[Any]]:
    count = values.shape[1]
    if count == 1:
        return {"value": values[:, 0].tolist()}
    names = names_of("target_names", count, model, getattr(trainer, "datamodule", None))
    named = names or [str(number) for number in range(count)]
    return {
        f"value_{name}": column
        for name, column in zip(named, values.transpose(0, 1).tolist(), strict=True)
    }


def _class_columns(
    probabilities: Tensor, model: LightningModule, trainer: Trainer
) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the columns, and how probable that is which each row is given, in words."""
    data: object = getattr(trainer, "datamodule", None)
    count = probabilities.shape[1]
    found = names_of("class_names", count, model, data)
    names = found or [str(number) for number in range(count)]
    is_multilabel = getattr(getattr(data, "targets", None), "task", None) == "multilabel"
    threshold, labels = decision_rule(model, is_multilabel)
    chosen = decide(probabilities, threshold, labels).tolist()
    rows = probabilities.tolist()
    if labels:
        given = [[number for number, has in enumerate(row) if has] for row in chosen]
        classes = [";".join(names[number] for number in numbers) for numbers in given]
        sure = [
            ", ".join(chance_in_words(row[number]) for number in numbers)
            or f"at most {chance_in_words(max(row))}"
            for row, numbers in zip(rows, given, strict=True)
        ]
    else:
        classes = [names[number] for number in chosen]
        sure = [chance_in_words(row[number]) for row, number in zip(rows, chosen, strict=True)]
    columns = zip(names, probabilities.transpose(0, 1).tolist(), strict=True)
    return {"class": classes, **{f"prob_{name}": column for name, column in columns}}, sure


def _cell(value: Any, ends: bool) -> str:
    """Return a value in so few letters that a row is a line: the end of a path, else the start."""
    text = "" if value is None else str(value)
    if isinstance(value, float):
        text = f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
    text = " ".join(text.split())
    if len(text) <= _WIDTH:
        return text
    return f"...{text[3 - _WIDTH :]}" if ends else f"{text[: _WIDTH - 3]}..."
