"""Predictions of a trained model in three lines, without Lightning."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.tables.rows import records
from dlp.errors import InputError, extra
from dlp.inference import reader
from dlp.runs.folder import checkpoint_of

if TYPE_CHECKING:
    from torch import nn

    from dlp.inference.trained import Served
    from dlp.modules.heads import Head

Rows = Sequence[Any] | pd.DataFrame | pd.Series | NDArray[Any]


class Predictor:
    """Trained model that predicts rows as people have them.

    Several models, such as those of the folds of a cross-validation, give the mean of their
    probabilities or values.

    Args:
        models: Models with the same answer.
        modules: Networks of the models; none of an exported one.
    """

    def __init__(self, models: Sequence[reader.Model], modules: Sequence["Served"] = ()) -> None:
        self.models, self.modules = models, modules
        self.inputs, self.head, self.card = models[0].inputs, models[0].head, models[0].card

    @classmethod
    def load(
        cls,
        path: str | Path,
        network: "nn.Module | None" = None,
        head: "Head | None" = None,
        features: Any = None,
    ) -> Self:
        """Load a model.

        Args:
            path: Folder of a run, name of a config (its newest run), checkpoint, or folder of an
                exported model.
            network: Network, if its class is not one of the project's: a file brings no code.
            head: Head, likewise.
            features: Transformer of the columns (`TableDataModule`), if it was trained with one.

        Raises:
            InputError: If `path` holds no model, or the model needs one of the other arguments.
        """
        folder = Path(path)
        exported = folder / "model.onnx" if folder.is_dir() else folder
        if exported.suffix == ".onnx" and exported.is_file():
            with extra("export"):
                return cls([reader.load(exported)])
        from dlp.inference import trained as served  # torch takes a second to import

        folds = sorted(folder.glob("checkpoints/fold_*.ckpt"))
        models, modules = [], []
        for checkpoint in folds or [checkpoint_of(str(path))]:
            entry, module = served.load(checkpoint, network, head)
            models.append(reader.Model(entry, module.run))
            modules.append(module)
            if (state := entry["inputs"].get("features")) is not None:
                models[-1].read = _featured(models[-1].read, features, state)
        return cls(models, modules)

    def predict(self, rows: Rows, batch_size: int = 256) -> pd.DataFrame:
        """Predict rows.

        Args:
            rows: N texts, rows of a table (a data frame or dictionaries by column), paths, contents
                or Pillow images, or an array (N, ...).
            batch_size: Number of rows per batch.

        Returns:
            ``class`` and a column ``prob_<class>`` per class, or a column per target; N rows with
            the index of `rows`.
        """
        scores = self.scores(rows, batch_size)
        index = rows.index if isinstance(rows, pd.DataFrame | pd.Series) else None
        return pd.DataFrame(reader.answer(scores, self.head), index=index)

    def scores(self, rows: Rows, batch_size: int = 256) -> Any:
        """Return the probabilities (N, C) or values (N, T) of rows, the mean over the models."""
        if isinstance(rows, str | bytes | dict | Path):
            raise InputError(f"predict takes a list of rows; for one row give [{rows!r:.40}].")
        if isinstance(rows, pd.DataFrame) and self.inputs["kind"] == "table":
            rows = records(rows)
        elif isinstance(rows, pd.DataFrame | pd.Series):
            rows = [*(rows[self.inputs["column"]] if isinstance(rows, pd.DataFrame) else rows)]
        return np.mean([model.scores(rows, batch_size) for model in self.models], axis=0)

    def explain(self, row: Any) -> Any:
        """Explain the prediction of one row: of the predicted class, or of the first target.

        Returns:
            ``word`` and ``weight``, or ``column``, ``value``, ``typical`` and ``difference``, the
            largest first; of an image a heat map (h, w) in [0, 1]. Several models give the mean.
        """
        from dlp.inference.explain import explain

        return explain(self, row)


def _featured(read: Callable[[Any], Any], transformer: Any, state: dict[str, Any]) -> Any:
    """Return a reader that transforms the columns first."""
    from dlp.datamodules.tables.features import Features

    if transformer is None:
        raise InputError(
            f"the model was trained with features: {state['name']}, whose code a file cannot "
            "bring; give it: Predictor.load(path, features=...)."
        )
    features = Features(transformer)
    features.load_state(state)
    return lambda rows: read(records(features.transform(pd.DataFrame(rows))))
