"""Stacked folds are the serial ones, from the same weights and batches."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

from dlp.datamodules import ArrayDataModule
from dlp.datamodules.batches import BatchOrder
from dlp.errors import InputError
from dlp.folds.cross_validation import cross_validate
from dlp.folds.plan import Fold
from dlp.folds.stacked import StackedFold, reason_against, train_stack
from dlp.folds.stacked_net import StackedNet
from dlp.modules import DenseModule, KerasRMSprop
from helpers.fold_problems import TRAINER, VALUES, X, classes, dense, maker, numbers

PLAIN = {"val_size": None, "split_seed": None}
binary = partial(ArrayDataModule, X, (VALUES > 0).astype(int), **PLAIN)
pairs = partial(ArrayDataModule, X, np.stack([VALUES, VALUES**2], 1), **PLAIN)
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.01)
ADAM_W = partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1)
PROBLEMS = {
    "batches of one": (
        numbers,
        {"hidden": (8, 8)},
        {"batch_size": 1, "train_size": 10},
    ),
    "two targets, mae, L1": (pairs, {"loss": "mae", "l1": 0.01, "optimizer": SGD}, {}),
    "scaled target": (
        partial(numbers, scaling=True),
        {"optimizer": torch.optim.RMSprop},
        {},
    ),
    "sigmoid, tanh, L2": (
        binary,
        {"head": "sigmoid", "activation": "tanh", "l2": 0.02},
        {},
    ),
    "mse of values, AdamW": (
        numbers,
        {"activation": "linear", "optimizer": ADAM_W},
        {},
    ),
    "softmax": (
        classes,
        {"head": "softmax", "hidden": (7, 6, 5), "activation": "sigmoid"},
        {},
    ),
    "no hidden layer": (
        classes,
        {"head": "softmax", "hidden": (), "l2": 0.1},
        {"batch_size": 7},
    ),
}


def assert_equal(stacked, serial, tolerance=2e-4):
    for ours, theirs in zip(stacked, serial, strict=True):
        assert ours.keys() == theirs.keys()
        for name, curve in theirs.items():
            assert ours[name] == pytest.approx(curve, rel=tolerance, abs=tolerance), (
                name
            )


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_each_head_loss_activation_and_optimizer_is_the_serial_one(problem):
    make_data, model, arguments = problem
    run = partial(cross_validate, max_epochs=2, num_folds=2, trainer=TRAINER)
    stacked = run(make_data(**arguments), maker(**model), engine="stacked")
    serial = run(make_data(**arguments), maker(**model), engine="serial")
    stacked_histories = [fold.history for fold in stacked.folds]
    serial_histories = [fold.history for fold in serial.folds]
    assert_equal(stacked_histories, serial_histories)
    pd.testing.assert_frame_equal(
        stacked.out_of_fold, serial.out_of_fold, rtol=1e-5, atol=1e-5
    )


def stack(count, **model):
    """Return some folds of two epochs."""
    x = torch.from_numpy(X)
    y = torch.from_numpy(VALUES)[:, None]
    folds = []
    for seed in range(count):
        torch.manual_seed(seed)
        module = DenseModule((3,), 1, "regression", hidden=(8, 4), **model)
        order = BatchOrder(40, 3, shuffle=True, seed=seed)
        fold = Fold(0, seed, seed, "", max_epochs=2)
        folds.append(StackedFold(fold, module, x[:40], y[:40], x[40:], y[40:], order))
    return folds


def histories(folds):
    return [history for history, _ in train_stack(folds)]


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_fold_does_not_depend_on_the_size_of_its_stack(dropout):
    folds = stack(5, dropout=dropout)
    assert_equal(histories(folds)[3:4], histories(folds[3:4]), 1e-5)


def test_dropout_keeps_the_right_share_of_units_and_their_mean():
    models = [fold.model for fold in stack(2, dropout=0.3)]
    masks = StackedNet(models).masks(5000, range(2))
    for mask, width in zip(masks, (8, 4), strict=True):
        assert mask.shape == (2, 5000, width)
        assert (mask > 0).float().mean().item() == pytest.approx(0.7, abs=0.02)
        assert mask.mean().item() == pytest.approx(1.0, abs=0.02)


def test_a_stack_is_the_same_without_devices(monkeypatch):
    quick = histories(stack(3))
    monkeypatch.setenv("DLP_SPEED", "0")
    assert_equal(quick, histories(stack(3)), 1e-6)


def test_a_fold_that_diverges_leaves_the_others_alone():
    folds = stack(3)
    with torch.no_grad():
        folds[1].model.network.layers[0].weight.fill_(float("nan"))
    result = histories(folds)
    expected = histories(stack(3))
    assert np.isnan(result[1]["val_mae"]).all()
    assert result[0] == expected[0]
    assert result[2] == expected[2]


class OwnModule(DenseModule):
    """Subclass, whose steps may be others."""


def half_frozen(data):
    model = dense(data)
    model.network.layers[0].requires_grad_(False)
    return model


def two_groups(parameters):
    first, *others = parameters
    return torch.optim.SGD([{"params": [first], "lr": 0.0}, {"params": others}], lr=0.1)


REASONS = {
    "groups of parameters": (maker(optimizer=two_groups), {}),
    "OwnModule is not": (lambda data: OwnModule(data.input_shape, 1, "regression"), {}),
    "trainer.gradient_clip_val": (dense, {"gradient_clip_val": 1.0}),
    "trainer.callbacks": (dense, {"callbacks": [EarlyStopping("val_loss")]}),
    "network was changed": (maker(activation="gelu"), {}),
    "the network": (half_frozen, {}),
    "RegressionHead has an unsupported loss": (maker(loss="huber"), {}),
    "loss, metric": (maker(metrics=["mae", "r2"]), {}),
    "a scheduler": (maker(scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1)), {}),
    "the optimizer is Adagrad": (maker(optimizer=torch.optim.Adagrad), {}),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "case"), REASONS.items(), ids=REASONS)
def test_what_cannot_be_stacked_has_a_reason(reason, case):
    make_model, trainer = case
    data = numbers(val_size=0.2)
    assert reason in reason_against(make_model(data), data, trainer)


def test_models_of_another_key_are_stacked_apart():
    data = numbers(val_size=0.2)
    optimizer = partial(KerasRMSprop, lr=0.01)
    models = [
        dense(data),
        dense(data, hidden=(9,)),
        dense(data, l2=0.1),
        dense(data, dropout=0.1),
        dense(data, optimizer=optimizer),
    ]
    fold = Fold(0, 0, 0, "", max_epochs=1)
    keys = {StackedFold.of(fold, model, data).key for model in models}
    assert len(keys) == len(models)
    assert StackedFold.of(fold, dense(data), data).key in keys


def test_stacked_is_refused_where_it_cannot_be():
    with pytest.raises(InputError, match=r"RegressionHead.*engine: auto"):
        cross_validate(
            numbers(), maker(loss="huber"), 1, engine="stacked", trainer=TRAINER
        )


def test_a_class_without_a_logit_is_a_sentence():
    with pytest.raises(InputError, match="expected targets from 0 to 1"):
        cross_validate(classes(), lambda data: DenseModule((3,), 2, "softmax"), 1)


@given(
    rows=st.integers(1, 9),
    hidden=st.lists(st.integers(1, 6), max_size=3),
    activation=st.sampled_from(["relu", "tanh", "sigmoid", "linear"]),
    loss=st.sampled_from(["mse", "mae"]),
    columns=st.integers(1, 3),
    penalty=st.sampled_from([0.0, 0.1]),
)
def test_gradients_written_out_are_autograds(
    rows, hidden, activation, loss, columns, penalty
):
    build = partial(DenseModule, (4,), columns, "regression", hidden=hidden)
    build = partial(build, activation=activation, loss=loss, l1=penalty, l2=penalty)
    models = [build(), build()]
    x = torch.randn(2, rows, 4)
    y = torch.randn(2, rows, columns)
    with torch.inference_mode():
        net = StackedNet(models)
        logits = net.backward(nn.functional.pad(x, (0, 1), value=1.0), y)
    for fold, model in enumerate(models):
        torch.testing.assert_close(logits[fold], model(x[fold]), rtol=1e-4, atol=1e-5)
        loss_of_fold = model.head.loss(model(x[fold]), y[fold]) + model.penalty()
        expected = torch.autograd.grad(loss_of_fold, list(model.network.parameters()))
        ours = []
        for layer in net.layers:
            gradient = layer.gradient[fold]  # the last row is that of the bias
            ours += [gradient[:-1].t(), gradient[-1]]
        torch.testing.assert_close(ours, list(expected), rtol=1e-4, atol=1e-5)
