"""Tiny problems for cross-validation."""

from functools import partial

import numpy as np

from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule

TRAINER = {"accelerator": "cpu"}
_GENERATOR = np.random.default_rng(0)
X = _GENERATOR.normal(size=(60, 3)).astype("float32")
VALUES = (X @ [1.0, -2.0, 0.5] + 0.1 * _GENERATOR.normal(size=60)).astype("float32")


def numbers(**arguments):
    """Return data with one value to predict and contiguous folds."""
    return ArrayDataModule(
        X, VALUES, **{"val_size": None, "split_seed": None, **arguments}
    )


def classes(**arguments):
    """Return data with three classes."""
    labels = np.digitize(VALUES, [-1.0, 1.0])
    return ArrayDataModule(
        X, labels, **{"val_size": None, "split_seed": None, **arguments}
    )


def dense(data, head="regression", hidden=(8,), **arguments):
    """Build a small dense model."""
    return DenseModule(
        data.input_shape, data.num_outputs, head=head, hidden=hidden, **arguments
    )


def maker(**arguments):
    """Return a function from data to a dense model."""
    return partial(dense, **arguments)
