"""Predict a table with an exported model in Spark: ``predict.py EXPORTED ROWS.parquet OUT``."""

import sys
from collections.abc import Iterator

import pandas as pd
from pyspark.sql import SparkSession

from dlp import Predictor


def predict(pieces: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield the pieces of the table, which Spark cuts, with their predictions."""
    predictor = Predictor.load(exported)
    for piece in pieces:
        yield piece.join(predictor.predict(piece))


exported, table, output = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
rows = spark.read.parquet(table)
[sample] = predict(iter([rows.limit(1).toPandas()]))
schema = spark.createDataFrame(sample).schema
rows.mapInPandas(predict, schema).write.parquet(output)
