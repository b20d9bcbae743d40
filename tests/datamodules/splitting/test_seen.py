"""A checkpoint remembers which rows its run has seen, and says so if they are tested on."""

import numpy as np
import pytest

from dlp.datamodules import ArrayDataModule

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.arange(40) % 2


def data(x=X, y=Y, **arguments):
    return ArrayDataModule(x, y, **{"val_size": 8, "test_size": 8, **arguments})


def restored(fitted, **arguments):
    other = data(**arguments)
    other.load_state_dict(fitted.state_dict())
    return other


@pytest.fixture
def fitted():
    module = data()
    module.setup("fit")
    return module


def test_same_data_is_silent(fitted, capsys):
    again = restored(fitted)
    again.test_dataloader()
    again.setup("fit")
    assert capsys.readouterr().out == ""


def test_test_rows_of_another_split_are_counted(fitted, capsys):
    again = restored(fitted, split_seed=5)
    again.test_dataloader()
    seen = {row.tobytes() for part in ("train", "val") for row in fitted.examples(part).rows}
    count = sum(row.tobytes() in seen for row in again.examples("test").rows)
    assert count > 0
    assert f"{count} of the 8 test rows were trained or validated on" in capsys.readouterr().out


def test_a_grown_set_is_noticed_on_resuming(fitted, capsys):
    again = restored(fitted, x=np.concatenate([X, X[:4] + 1]), y=np.concatenate([Y, Y[:4]]))
    again.setup("fit")
    assert "no longer those of the run that is resumed" in capsys.readouterr().out


def test_duplicates_known_before_are_no_news(capsys):
    twice, labels = np.concatenate([X, X]), np.concatenate([Y, Y])
    fitted = data(twice, labels)
    fitted.setup("fit")
    capsys.readouterr()
    again = restored(fitted, x=twice, y=labels)
    again.test_dataloader()
    assert "test rows were" not in capsys.readouterr().out


def test_an_older_checkpoint_knows_nothing(fitted, capsys):
    state = fitted.state_dict()
    del state["seen"]
    again = data(split_seed=5)
    again.load_state_dict(state)
    again.test_dataloader()
    assert capsys.readouterr().out == ""
