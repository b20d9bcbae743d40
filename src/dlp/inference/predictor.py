"""Predict with a trained model in three lines of code."""

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


#: Rows in the forms that `Predictor.predict` accepts.
AnyRows = Sequence[Any] | Mapping[str, Any] | pd.DataFrame | pd.Series | NDArray[Any] | Columns


class Predictor:
    """Trained model that predicts raw rows, such as texts, image files or rows of a data frame.

    If there are several models, such as the folds of a cross-validation, the prediction is the mean
    of their probabilities or values. Usually a predictor is created by `load`.

    Args:
        models: Models that have the same answer, that is, the same classes, threshold and
            calibration.

    Raises:
        InputError: If the answers of the models differ.

    Example:
        >>> predictor = Predictor.load("runs/points/version_0")
        >>> predictor.predict([{"x": 1.5, "y": 0.2, "kind": "green"}])
    """

    def __init__(self, models: Sequence[Model]) -> None:
        if any(model.spec.answer != models[0].spec.answer for model in models):
            raise InputError(
                "models: expected folds with the same answer, got different answers, probably "
                "because a calibration was interrupted. Run dlp calibrate again."
            )
        self.models = models
        self.spec = models[0].spec
        self.encoder = models[0].encoder

    @classmethod
    def load(cls, path: str | Path, **objects: Any) -> Self:
        """Load a trained or an exported model.

        Args:
            path: Folder of a run, name of a config (for its newest run), checkpoint, or folder of
                an exported model.
            **objects: Arguments that a file cannot contain, by name: the ``network`` or ``head`` of
                a `SupervisedModule`, the ``features`` of a `TableDataModule`, or arguments of your
                own module.

        Raises:
            InputError: If `path` contains no model, or an argument that the model needs is missing.
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
            rows: N rows, in a form that depends on the model. Texts: a list of texts. Tables: a
                data frame, a dictionary with a list per column, or a list of dictionaries with a
                cell per column. Images: a list of paths, of contents of files (bytes), or of Pillow
                images. Arrays: an array (N, ...). A data frame is read column by column, about ten
                times as fast as dictionaries.

        Returns:
            Data frame with N rows and the index of `rows`. For classes and labels, it has the
            column ``class`` and a column ``prob_<class>`` for each class. For values, it has a
            column for each target. If the model is calibrated, there is also a column ``set`` for
            classes, or the columns ``low`` and ``high`` for values.

        Raises:
            InputError: If `rows` is one row instead of a list of rows.
            ReaderError: If a row cannot be read.
        """
        scores = self.scores(rows)
        index = None
        if isinstance(rows, pd.DataFrame | pd.Series):
            index = rows.index
        return pd.DataFrame(self.spec.answer.prediction_columns(scores), index=index)

    def scores(self, rows: AnyRows) -> Any:
        """Return the probabilities (N, C) or values (N, T) of rows, averaged over the models."""
        table: Any = rows
        is_one = isinstance(rows, str | bytes | Path) or not hasattr(rows, "__getitem__")
        if isinstance(rows, Mapping):
            is_one = all(map(pd.api.types.is_scalar, rows.values()))
        if is_one:
            raise InputError(
                "rows: expected a list of rows, a data frame or a dictionary of columns, got a "
                "single row or value. To predict one row, give [row]."
            )
        if isinstance(rows, Mapping):
            rows = _frame(rows)
        if isinstance(rows, pd.DataFrame):
            table = as_columns(rows.set_axis(range(len(rows))))
        elif isinstance(rows, pd.Series):
            table = rows.tolist()
        return np.mean([model.scores(table) for model in self.models], axis=0)

    def explain(self, row: Any) -> Any:
        """Explain the prediction of one row.

        The explanation belongs to the predicted class, to the label with the highest probability,
        or to the first target. If there are several models, it is the mean of their explanations.

        Args:
            row: One row, in a form that `predict` takes as an element of a list.

        Returns:
            For a text, a data frame with the columns ``word`` and ``weight``. For a row of a table,
            a data frame with the columns ``column``, ``value``, ``typical`` and ``difference``: how
            much higher the score is than with the typical cell of the column. Both are sorted by
            absolute size, the largest first. For an image, a heat map (h, w) in [0, 1].

        Raises:
            InputError: If the model takes other kinds of rows, or if an exported model is asked to
                explain a text or an image.
        """
        from dlp.inference.explain import explain

        return explain(self, row)

    def networks_with_inputs(self, row: Any) -> Iterator[tuple[Model, "nn.Module", "Tensor"]]:
        """Yield each network with its model and its inputs for a row.

        A model may average several networks. Exported models are left out, because they contain no
        network of torch.
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
    """Return a dictionary of columns as a data frame. The i-th cells of all columns form a row.

    Raises:
        InputError: If the columns differ in length.
    """
    cells = {}
    for name, column in columns.items():
        cells[name] = column.to_numpy() if isinstance(column, pd.Series) else column
    with naming("the columns"):
        return pd.DataFrame(cells)


def exported_file(path: str | Path) -> Path | None:
    """Return the file of the exported model at a path or in a folder, or None."""
    file = Path(path)
    if file.is_dir():
        file = file / "model.onnx"
    if file.suffix == ".onnx" and file.is_file():
        return file
    return None
