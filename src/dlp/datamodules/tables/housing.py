"""The housing prices of chapter 3.6: Boston as in the book, California as its successor."""

import os
from pathlib import Path
from typing import ClassVar, Literal, Unpack

import numpy as np
import pandas as pd

from dlp.datamodules.base import SharedArguments
from dlp.datamodules.splitting.splits import keras_order
from dlp.datamodules.tables.numeric_scale import Scaling
from dlp.datamodules.tables.own_features import FeaturesArgument
from dlp.datamodules.tables.own_tables import TableDataModule
from dlp.errors import unknown
from dlp.files import Download
from dlp.files import data_dir as find_data_dir

BOSTON_COLUMNS = [
    *("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE"),
    *("DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT"),
]
# The order of the StatLib file behind Keras's archive. Keras's documentation lists other names in
# another order, which the values do not bear out (keras-team/keras issue 21886).
CALIFORNIA_COLUMNS = [
    *("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms"),
    *("population", "households", "median_income"),
]
CALIFORNIA = Download(
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/california_housing.npz",
    sha256="1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
)


class HousingDataModule(TableDataModule):
    """House prices by district, in the book's order and its split of 80 % and 20 %.

    ``boston`` (1978): 404 + 102 rows of 13 columns; target MEDV, the median price in $1,000. It
    comes with the package mlxtend and needs no download. **Know its ethical problem**: column B
    is computed as 1000 (Bk - 0.63)^2 from Bk, the share of Black residents, on the assumption
    that segregation raises prices; the transformation cannot be undone to study that assumption,
    and the set has been withdrawn from several libraries for it. It is here to repeat the book's
    experiment. ``drop_columns: [B]`` leaves the column out; ``california`` is the set to use
    instead.

    ``california`` (1990): 8 columns; target in $100,000; the ``small`` version is the first 600
    rows (480 + 120) that the book's third edition uses, the ``large`` one all 20,640
    (16,512 + 4,128). Downloaded once, from Keras's archive.

    Statistics for scaling come from the training part of the current split, so in each fold of a
    K-fold from that fold alone; the book computes them on all 404 rows before it makes folds.

    Args:
        name: Which set.
        version: How much of California.
        data_dir: Folder of the reference sets; default DLP_DATA_DIR, else one per user.
        predict_path: A table (CSV or Parquet) of new districts to predict.
        drop_columns: Columns to leave out.
        scaling: How columns are scaled, each by itself.
        target_scaling: Train on standardised targets; metrics and predictions keep their unit.
        features: Your own features, as in TableDataModule.
        val_size: Rows to validate on: a count, a fraction, or null to train on everything, as the
            book's final model does.
        split_seed: Shuffle before any cut; null keeps the book's order: the first rows validate.
        num_folds: K of K-fold validation; the book has 4, unshuffled.

    Example:
        >>> data = HousingDataModule("boston", num_folds=4, fold=0)
    """

    own_data = False
    defaults: ClassVar[SharedArguments] = {
        "batch_size": 16,
        "eval_batch_size": 4096,
        "val_size": None,
        "split_seed": None,
    }

    def __init__(
        self,
        name: Literal["boston", "california"] = "boston",
        version: Literal["small", "large"] = "small",
        data_dir: str | os.PathLike[str] | None = None,
        predict_path: str | os.PathLike[str] | None = None,
        drop_columns: list[str] | None = None,
        scaling: Scaling = "standard",
        target_scaling: Literal["none", "standard"] = "none",
        features: FeaturesArgument | None = None,
        **shared: Unpack[SharedArguments],
    ) -> None:
        for kind, given, choices in (
            ("name", name, ("boston", "california")),
            ("version", version, ("small", "large")),
        ):
            if given not in choices:
                raise unknown(f"{kind} of a housing set", given, choices)
        self.name = name
        self.version = version
        if name == "california":
            path = find_data_dir(data_dir) / "california_housing" / "california_housing.npz"
        else:
            from mlxtend.data import boston_housing

            path = Path(boston_housing.DATA_PATH)
        super().__init__(
            path=path,
            target="price" if name == "california" else "MEDV",
            predict_path=predict_path,
            drop_columns=drop_columns,
            scaling=scaling,
            target_scaling=target_scaling,
            features=features,
            task="regression",
            **shared,
        )

    def prepare_data(self) -> None:
        """Download and verify California's archive, where it is not there yet."""
        if self.name == "california":
            CALIFORNIA.fetch(Path(self.path))

    def read_train(self) -> pd.DataFrame:
        """Return the first 80 % of the rows in the book's order."""
        frame = self._read()
        return frame.iloc[: int(len(frame) * 0.8)]

    def read_test(self) -> pd.DataFrame:
        """Return the last 20 % of the rows in the book's order."""
        frame = self._read()
        return frame.iloc[int(len(frame) * 0.8) :]

    def _read(self) -> pd.DataFrame:
        if self.name == "boston":
            names = [*BOSTON_COLUMNS, *self.target_columns]
            frame = pd.read_csv(self.path, header=None, names=names)
        else:
            with np.load(self.path, allow_pickle=False) as archive:
                frame = pd.DataFrame(archive["x"], columns=CALIFORNIA_COLUMNS)
                frame[self.target_columns[0]] = archive["y"] / 100_000
            if self.version == "small":
                frame = frame.iloc[:600]
        return frame.iloc[keras_order(len(frame))]
