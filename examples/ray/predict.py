"""Predict a table with an exported model in Ray Data: ``predict.py EXPORTED ROWS.parquet OUT``."""

import sys
from pathlib import Path

import pandas as pd
import ray.data

from dlp import Predictor


def predict(piece: pd.DataFrame, exported: str) -> pd.DataFrame:
    """Return a piece of the table with its predictions. Ray cuts the table into pieces."""
    return piece.join(Predictor.load(exported).predict(piece))


exported, table, output = [str(Path(path).resolve()) for path in sys.argv[1:]]
rows = ray.data.read_parquet(table)
predictions = rows.map_batches(predict, fn_args=[exported], batch_format="pandas", batch_size=2**18)
predictions.write_parquet(output)
