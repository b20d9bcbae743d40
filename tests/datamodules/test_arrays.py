"""Arrays, and what the base does with parts, states and rows that do not fit."""

import numpy as np
import pytest
import torch
from scipy.sparse import eye_array

from dlp.datamodules import (
    ArrayDataModule,
    ArrayEncoder,
    ArrayRows,
    Examples,
    SupervisedDataModule,
    TargetEncoder,
)
from dlp.errors import InputError
from helpers.training import OneWeight, quiet_trainer

BAD = [np.nan, np.inf, 1e300]


@pytest.fixture
def rows():
    """Return 40 rows of 3 inputs and their values."""
    generator = np.random.default_rng(0)
    return generator.normal(3, 2, (40, 3)), generator.normal(size=40)


@pytest.mark.parametrize(
    "kind", [np.asarray, torch.as_tensor, list, lambda x: x.astype(object)]
)
def test_arrays_tensors_lists_and_objects_are_alike(rows, kind):
    x, y = rows
    data = ArrayDataModule(kind(x), kind(y), split_seed=None, val_size=None)
    assert (data.class_names, data.targets.task) == (None, "regression")
    assert torch.equal(data.inputs("train"), torch.from_numpy(x).float())


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.uint16, ">f4"])
@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_rows_are_computed_in_float64_and_stored_in_float32(rows, dtype, scaling):
    x = (rows[0] * 3).clip(0).astype(dtype)
    encoder = ArrayEncoder(scaling)
    encoder.fit(x)
    numbers = x.astype(np.float64)
    if scaling == "standard":
        numbers = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    assert encoder.transform(x).tobytes() == numbers.astype("f4").tobytes()


def test_a_column_that_is_constant_in_training_is_zero_everywhere(rows):
    x, y = rows
    x[10:, 1] = 0.1  # rounding gives it a deviation of 1e-17
    data = ArrayDataModule(x, y, scaling="standard", val_size=10, split_seed=None)
    assert not data.inputs("train")[:, 1].any()
    assert not data.inputs("val")[:, 1].any()


def test_inputs_are_duplicates_whatever_their_type(rows, capsys):
    x, y = rows
    x = x.astype(np.float32)
    data = ArrayDataModule(x, y, x[:3].astype(np.float64), y[:3], drop_duplicates=True)
    data.setup("fit")
    assert "in test and train" in capsys.readouterr().out
    assert sum(len(data.examples(part)) for part in ("train", "val")) == 37


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [0, 1]}, "^x: .* of the 40 rows, got an array of shape"),
        (
            {"x_test": np.zeros((2, 3))},
            "^x_test: .* of the 2 rows, got an array of shape",
        ),
        (
            {"x_test": np.zeros((2, 3)), "y_test": [0.5, 1], "test_size": 2},
            "its own test part",
        ),
        ({"groups": [None, *"a" * 39]}, "row 0 has no group"),
        ({"x": None}, "expected x and y"),
        ({"x": np.zeros((0, 3))}, "^x: expected an array with rows"),
        ({"x": eye_array(40)}, r"^x: expected an array with rows.*method toarray\(\)"),
        ({"x": [["a", "b"]] * 40}, "^x: expected numbers"),
        ({"y": np.zeros((40, 2, 2))}, r"of x: expected shape .*, got \(40, 2, 2\)"),
        (
            {"x": np.ma.masked_less(np.arange(40.0), 3)},
            r"^x: expected an array without masked cells.*\.filled",
        ),
        (
            {"y": np.ma.masked_less(np.arange(40.0), 3)},
            "the target of x: expected an array without masked cells",
        ),
        ({"x": np.ones((40, 2)) + 1j}, r"^x: expected real numbers, got complex128"),
        *(
            ({"x": np.where(np.arange(40) == 33, value, 0)}, "row 33 of x")
            for value in BAD
        ),
        (
            {"x": np.full((40, 2), "NaT", "datetime64[s]")},
            r"^x: expected real numbers, got datetime64\[s\]",
        ),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(rows, arguments, message):
    x, y = rows
    with pytest.raises(InputError, match=message):
        ArrayDataModule(**{"x": x, "y": y, **arguments}).fit()


class Own(SupervisedDataModule):
    """Data set of one's own with a validation part, and groups that a test row shares."""

    def __init__(self, **arguments):
        super().__init__(encoder=ArrayEncoder(), targets=TargetEncoder(), **arguments)

    def load(self):
        x, y, groups = (
            np.arange(24.0).reshape(12, 2),
            np.arange(12) % 2,
            np.arange(12) // 2,
        )
        part = [slice(0, 6), slice(6, 9), slice(9, 12)]
        parts = [
            Examples(ArrayRows(x[rows]), y[rows], groups=groups[rows]) for rows in part
        ]
        return dict(zip(("train", "val", "test"), parts, strict=True))


def test_parts_of_the_set_are_used_as_they_are():
    data = Own()
    assert [len(data.examples(part)) for part in ("train", "val", "test")] == [6, 3, 3]
    with pytest.raises(InputError, match=r"its own validation part.*num_folds"):
        Own(num_folds=3).fit()


@pytest.mark.parametrize(
    ("labels", "arguments", "next_step"),
    [
        (["c", "b", "c", *"ab" * 6], {}, "give stratify: true"),
        (["c", "b", "a", *"ab" * 6], {}, "Add rows of these classes"),
        (
            ["c", "b", "a", *"ab" * 6],
            {"stratify": True},
            "Remove these classes, or add rows",
        ),
        (
            ["a", "b", "a", *"ab" * 6],
            {"y_test": ["a", "c"]},
            "Add rows of these classes",
        ),
    ],
)
def test_a_class_that_training_lacks_is_refused_with_what_helps(
    labels, arguments, next_step
):
    x = np.arange(30.0).reshape(15, 2)
    if "y_test" in arguments:
        arguments = {"x_test": x[:2] + 0.5, **arguments}
    data = ArrayDataModule(x, labels, val_size=3, split_seed=None, **arguments)
    with pytest.raises(InputError, match=f" c.*{next_step}"):
        data.fit()


def test_a_class_that_another_part_lacks_is_a_line(capsys):
    ArrayDataModule(
        np.arange(9.0), [*"aab", *"abcabc"], val_size=3, split_seed=None
    ).fit()
    assert "the val part has no row of 1 classes: c\n" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["value", "target", "split", "order"])
def test_other_rows_have_another_fingerprint(rows, change):
    def fingerprint(x, y, seed=0):
        return ArrayDataModule(x, y, split_seed=seed).fit().fingerprint

    x, y = rows
    first = fingerprint(x, y)
    assert fingerprint(x.copy(), y) == first
    x, y = x.copy(), y.copy()
    x[5, 1] += change == "value"
    y[5] += change == "target"
    x = x[::-1] if change == "order" else x
    assert fingerprint(x, y, int(change == "split")) != first


class MyData(ArrayDataModule):
    def __init__(self, offset=0.0, **kwargs):
        super().__init__(np.eye(30) + offset, np.arange(30) % 2, **kwargs)
        self.save_hyperparameters()


def test_a_subclass_of_data_survives_its_checkpoint(tmp_path):
    data = MyData(offset=2.0, batch_size=7, val_size=None)
    trainer = quiet_trainer()
    trainer.fit(OneWeight(), data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    same = MyData.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert (same.hparams["offset"], same.batch_size) == (2.0, 7)
    assert same.loader("train").inputs.equal(data.loader("train").inputs)


class Picky(ArrayEncoder):
    """Encoder that refuses rows with a negative number."""

    def transform(self, rows):
        if np.min(rows) < 0:
            raise ValueError("a row has a negative number.")
        return super().transform(rows)


def test_rows_that_an_encoder_refuses_are_a_sentence():
    data = ArrayDataModule(np.full((20, 2), -1.0), np.arange(20.0))
    data._unfitted_encoder = Picky()
    with pytest.raises(
        InputError, match=r"^the train rows: a row has a negative number"
    ):
        data.with_split(data.split).inputs("train")
