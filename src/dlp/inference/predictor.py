"""Predictions of a trained model in three lines."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.errors import InputError, extra, naming
from dlp.reader.encoder import Bags
from dlp.reader.model import Model, load_exported
from dlp.reader.rows import Columns, as_columns
from dlp.runs.folder import Run

if TYPE_CHECKING:
    from torch import Tensor, nn


#: Rows as people have them.
AnyRows = Sequence[Any] | Mapping[str, Any] | pd.DataFrame | pd.Series | NDArray[Any] | Columns


class Predictor:
    """Trained model that predicts rows as people have them.

    Several models, such as the folds of a cross-validation, give the mean of their
    probabilities or values.

    Args:
        models: Models with the same answer.

    Raises:
        InputError: If their answers differ.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        if any(model.spec.answer != models[0].spec.answer for model in models):
            raise InputError(
                "the models of the folds have different answers, as after a calibration that was "
                "interrupted. Run dlp calibrate again."
            )
        self.models = models
        self.spec = models[0].spec
        self.encoder = models[0].encoder

    @classmethod
    def load(cls, path: str | Path, **objects: Any) -> Self:
        """Load a model.

        Args:
            path: Folder of a run, name of a config (its newest run), checkpoint, or folder of an
                exported model.
            **objects: Arguments that a file does not hold, by name: the ``network`` or ``head`` of
                a `SupervisedModule`, the ``features`` of a `TableDataModule`, or others of a module
                of your own.

        Raises:
            InputError: If `path` contains no model, or the model needs another argument.
        """
        file = exported_file(path)
        if file is not None:
            with extra("export"), naming("export"):
                return cls([load_exported(file)])
        from dlp.inference.trained import TrainedModel  # torch takes a second to import
        from dlp.modules.checkpoint import Checkpoint

        models = []
        for checkpoint in Run.find(path).models():
            models.append(TrainedModel.load(Checkpoint(checkpoint), **objects))
        return cls(models)

    def predict(self, rows: AnyRows) -> pd.DataFrame:
        """Predict rows.

        Args:
            rows: N texts, rows of a table (a data frame, a dictionary of columns or dictionaries by
                column), paths, contents or Pillow images, or an array (N, ...). A data frame is
                read a column at a time, some ten times as fast as dictionaries.

        Returns:
            ``class`` and a column ``prob_<class>`` per class, or a column per target; of a
            calibrated model also ``set``, or ``low`` and ``high``. N rows with the index of `rows`.
        """
        scores = self.scores(rows)
        index = None
        if isinstance(rows, pd.DataFrame | pd.Series):
            index = rows.index
        return pd.DataFrame(self.spec.answer.prediction_columns(scores), index=index)

    def scores(self, rows: AnyRows) -> Any:
        """Return the probabilities (N, C) or values (N, T) of rows, the mean over the models."""
        table: Any = rows
        is_one = isinstance(rows, str | bytes | Path) or not hasattr(rows, "__getitem__")
        if isinstance(rows, Mapping):
            is_one = all(map(pd.api.types.is_scalar, rows.values()))
        if is_one:
            raise InputError("predict takes a list of rows, or columns; for one row give [row].")
        if isinstance(rows, Mapping):
            rows = _frame(rows)
        if isinstance(rows, pd.DataFrame):
            table = as_columns(rows.set_axis(range(len(rows))))
        elif isinstance(rows, pd.Series):
            table = rows.tolist()
        return np.mean([model.scores(table) for model in self.models], axis=0)

    def explain(self, row: Any) -> Any:
        """Explain the prediction of one row: of the predicted class, or of the first target.

        Returns:
            ``word`` and ``weight``, or ``column``, ``value``, ``typical`` and ``difference``, the
            largest first; of an image a heat map (h, w) in [0, 1]. Several models give the mean.
        """
        from dlp.inference.explain import explain

        return explain(self, row)

    def networks_with_inputs(self, row: Any) -> Iterator[tuple[Model, "nn.Module", "Tensor"]]:
        """Yield each model with each network that it averages, and their inputs for a row.

        An exported model has no network.
        """
        import torch

        from dlp.inference.trained import TrainedModel
        from dlp.visualization.layers import averaged_networks

        for model in self.models:
            if not isinstance(model, TrainedModel):
                continue
            encoded = model.encoder.transform([row])
            if isinstance(encoded, Bags):
                encoded = encoded.to_dense(model.encoder.input_shape_[0])
            inputs = torch.from_numpy(encoded)
            for network in averaged_networks(model.module.network):
                yield model, network, inputs


def _frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return columns by name as a data frame; row i of each column belongs together.

    Raises:
        InputError: If the columns differ in length.
    """
    cells = {}
    for name, column in columns.items():
        cells[name] = column.to_numpy() if isinstance(column, pd.Series) else column
    with naming("the columns"):
        return pd.DataFrame(cells)


def exported_file(path: str | Path) -> Path | None:
    """Return the file of an exported model at a path or in a folder, if there is one."""
    file = Path(path)
    if file.is_dir():
        file = file / "model.onnx"
    if file.suffix == ".onnx" and file.is_file():
        return file
    return None
