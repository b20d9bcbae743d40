"""A small table in the true format, and the DataModule most tests of tables build on it."""

import numpy as np
import pandas as pd

from dlp.datamodules import TableDataModule

ROWS = 40


def houses(rows=ROWS, seed=0):
    """Return a table of numbers, a category, a yes/no column, a row number and a price."""
    random = np.random.default_rng(seed)
    area = random.uniform(20, 200, rows).round(1)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "area": area,
            "rooms": random.integers(1, 6, rows),
            "city": np.array(["Paris", "Lyon", "Nice"])[np.arange(rows) % 3],
            "garden": random.random(rows) < 0.5,
            "price": (area * 3 + random.normal(0, 5, rows)).round(2),
        }
    )


def table(path, **arguments):
    return TableDataModule(path, **{"target": "price", "drop_columns": ["id"], **arguments})


def matrix(data, part="train"):
    data.fit()
    return data.encode(data.examples(part).rows).numpy()


def fit(data):
    data.setup("fit")
    return data
