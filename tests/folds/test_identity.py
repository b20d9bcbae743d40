"""What two folds are compared by: values, whatever the text of an object says."""

import json
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.model_selection import PredefinedSplit, ShuffleSplit
from torch import nn

from dlp.datamodules import ArrayDataModule
from dlp.folds.identity import made_of, plain
from dlp.modules.base import SupervisedModule

X, Y = np.zeros((9, 3), np.float32), np.arange(9) % 3


def structure(make_network=lambda: nn.Sequential(nn.Linear(3, 3)), **arguments):
    model = SupervisedModule(make_network(), "softmax", 3, **arguments)
    return made_of(model, ArrayDataModule(X, Y))["structure"]


def test_equal_models_of_other_weights_are_the_same():
    assert structure() == structure()


def test_every_difference_in_a_model_is_seen():
    adam = torch.optim.Adam
    made = [
        structure(),
        structure(lambda: nn.Sequential(nn.Linear(3, 3, bias=False))),
        structure(lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1))),
        structure(lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.2))),
        structure(lambda: nn.Sequential(nn.Linear(3, 3).requires_grad_(False))),
        structure(l1=0.1),
        structure(l2=0.1),
        structure(optimizer=partial(adam, lr=0.1)),
        structure(optimizer=partial(adam, lr=0.2)),
        structure(loss=F.multi_margin_loss),
        structure(loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
        structure(loss=nn.CrossEntropyLoss(label_smoothing=0.2)),
        structure(class_weight="balanced"),
    ]
    assert len({*made}) == len(made)


def test_splitters_are_told_apart_by_what_they_hold():
    long = np.arange(5000) % 4
    other = long.copy()
    other[2501] = 0  # in the middle, which the text of an array leaves out
    made = [ShuffleSplit(3, random_state=0), ShuffleSplit(3, random_state=1)]
    made += [PredefinedSplit(long), PredefinedSplit(other)]
    texts = [json.dumps(plain(splitter, inside=True)) for splitter in made]
    assert len({*texts}) == 4
    assert plain(ShuffleSplit(3), inside=True) == plain(ShuffleSplit(3), inside=True)


class Own:
    """A splitter whose text is its place in memory."""

    def split(self, x, y, groups=None):
        yield np.arange(3), np.arange(3, 9)


def test_an_object_without_attributes_is_its_class():
    assert plain(Own(), inside=True) == plain(Own(), inside=True)
    assert plain(partial(F.huber_loss, delta=2)) != plain(partial(F.huber_loss, delta=1))
