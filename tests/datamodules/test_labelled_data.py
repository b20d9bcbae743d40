"""What a DataModule of one's own must say, and what it may."""

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.datamodules import Examples, Split, SupervisedDataModule, TargetEncoder
from dlp.datamodules.learned import Encoder
from dlp.errors import InputError

X = np.arange(24.0).reshape(12, 2)
Y = np.array(["a", "b"] * 6, object)


class Centred(Encoder):
    """Takes off the largest value of the training part."""

    def fit(self, rows, targets=None):
        self.largest = float(rows.max())

    def transform(self, rows):
        return super().transform(rows) - self.largest

    def state(self):
        return {"largest": self.largest}

    def load_state(self, state):
        self.largest = state["largest"]


class Own(SupervisedDataModule):
    def __init__(self, encoder: Encoder | None = None, **shared) -> None:
        super().__init__(targets=TargetEncoder(), encoder=encoder, **shared)

    def load_train(self):
        return Examples(X, Y)


def own(encoder=None, **split):
    return Own(encoder, split=Split(**split))


def test_rows_of_numbers_need_no_more_than_to_be_read():
    data = own(val_size=4)
    assert (data.input_shape, data.num_outputs, data.class_names) == ((2,), 2, ["a", "b"])
    inputs, targets = next(iter(data.val_dataloader()))
    assert inputs.dtype == torch.float32
    assert inputs.tolist() == X[:4].tolist()
    assert targets.tolist() == [0, 1, 0, 1]
    pd.testing.assert_frame_equal(data.readable(X[:2]), pd.DataFrame(X[:2].astype(np.float32)))


def test_an_encoder_learns_anew_from_the_training_part_of_each_split():
    given = Centred()
    data = own(given, num_folds=3, fold=2)
    assert data.fit().inputs == {"largest": 15.0}
    assert data.encode(X[:1]).tolist() == [[-15, -14]]
    data.resplit(Split(num_folds=3, fold=0))
    assert data.fit().inputs == {"largest": 23.0}
    assert not vars(given)


def test_what_was_learned_comes_back_from_a_checkpoint():
    state = own(Centred(), num_folds=3, fold=2).state_dict()
    data = own(Centred(), val_size=None)
    data.load_state_dict(state)
    assert data.input_shape == (2,)
    assert data.encode(X[:1]).tolist() == [[-15, -14]]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("fit_inputs", "learn_inputs"),
        ("inputs_state", "state of an Encoder"),
        ("load_inputs_state", "load_state of an Encoder"),
    ],
)
def test_a_method_that_an_earlier_version_called_is_refused(name, instead):
    with pytest.raises(InputError, match=rf"Former\.{name} is no longer called: .*{instead}"):
        type("Former", (SupervisedDataModule,), {name: lambda self, rows: None})
