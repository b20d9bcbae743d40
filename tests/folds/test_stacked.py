import copy
import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import scipy.sparse
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.optim import lr_scheduler
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from dlp.bag_of_words import BagLinear
from dlp.callbacks import BestCheckpoint, EpochSeed, History, LastCheckpoint
from dlp.datamodules import ArrayDataModule
from dlp.datamodules.loader import BatchOrder
from dlp.datamodules.text.encodings import BagRows
from dlp.errors import InputError
from dlp.folds.stacked import reason_against
from dlp.folds.stacked.engine import FoldData
from dlp.folds.stacked.fused_steps import fuse, plain_rmsprop
from dlp.folds.stacked.stacks import fit_stacked, stack_kind
from dlp.modules import (
    ConvNetModule,
    DenseModule,
    DenseNet,
    Keras3RMSprop,
    KerasRMSprop,
    SoftmaxHead,
)
from dlp.modules.base import SupervisedModule
from dlp.modules.heads import HEADS
from dlp.modules.networks import ACTIVATIONS, Dropout
from dlp.process import flushed_denormals
from dlp.quick_steps import NoProfiler

FEATURES = 3


def trainer_of(max_epochs=3, callbacks=(), precision="64-true", **arguments):
    defaults = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    checkpoints = any("Checkpoint" in type(each).__name__ for each in callbacks)
    return Trainer(
        accelerator="cpu",
        enable_checkpointing=checkpoints,
        max_epochs=max_epochs,
        callbacks=list(callbacks),
        precision=precision,
        **defaults | arguments,
    )


def rows(count=23):
    return torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(1))


def targets_of(head, x, columns):
    noise = torch.Generator().manual_seed(2)
    values = x @ torch.randn(FEATURES, columns, generator=noise)
    values += torch.randn(values.shape, generator=noise)
    if head == "sigmoid":
        return (values[:, 0] > 0).float()
    if head == "softmax":
        return values.argmax(1)
    if head == "multilabel":
        return (values > 0).float()
    return values.sigmoid() if head == "bounded_regression" else 20 + 9 * values


class Problem:
    """One cross-validation: data and models of each fold, made anew whenever they are asked for."""

    def __init__(self, head, columns=1, num_folds=2, count=20, batch_size=4, **model):
        self.x = rows(count)
        self.y = targets_of(head, self.x, columns)
        self.head, self.columns = head, columns
        self.num_folds, self.batch_size = num_folds, batch_size
        self.arguments = {"hidden": [5, 4]} | model

    def data(self, fold):
        torch.manual_seed(100 + fold)
        task = {"sigmoid": "classification", "softmax": "classification"}.get(self.head, "auto")
        if "regression" in self.head:
            task = "regression"
        return ArrayDataModule(
            self.x,
            self.y,
            task=task,
            num_folds=self.num_folds,
            fold=fold,
            batch_size=self.batch_size,
            eval_batch_size=3,
        )

    def model(self, fold):
        torch.manual_seed(200 + fold)
        arguments = dict(self.arguments)
        if self.head == "regression":
            data = self.data(fold)
            arguments |= {"target_mean": data.target_mean, "target_std": data.target_std}
            torch.manual_seed(200 + fold)
        return DenseModule((FEATURES,), self.columns, self.head, **arguments)

    def tensors(self, fold):
        data = self.data(fold)
        train, val = data.train_dataloader(), data.val_dataloader()
        return FoldData(
            train.inputs,
            train.targets,
            val.inputs,
            val.targets,
            self.batch_size,
            train.batch_sampler.seed,
        )

    def serial(self, **trainer):
        callbacks = trainer.pop("callbacks", list)
        models, histories = [], []
        for fold in range(self.num_folds):
            model, data, history = self.model(fold), self.data(fold), History()
            trainer_of(callbacks=[history, *callbacks()], **trainer).fit(model, data)
            models.append(model)
            histories.append(history.metrics)
        return models, histories

    def stacked(self, **trainer):
        """Train all folds, one stack for each number of training rows."""
        callbacks = trainer.pop("callbacks", list)
        models = [self.model(fold) for fold in range(self.num_folds)]
        folds = [self.tensors(fold) for fold in range(self.num_folds)]
        assert reason_against(models[0], self.data(0), trainer_of(**trainer)) is None
        histories = [None] * self.num_folds
        for size in {len(fold.train_inputs) for fold in folds}:
            of_size = [n for n, fold in enumerate(folds) if len(fold.train_inputs) == size]
            made = trainer_of(callbacks=callbacks(), **trainer)
            found = fit_stacked([models[n] for n in of_size], [folds[n] for n in of_size], made)
            for number, history in zip(of_size, found, strict=True):
                histories[number] = history
        return models, histories


def assert_same_runs(ours, theirs, tolerance, values=2e-6):
    (our_models, our_histories), (their_models, their_histories) = ours, theirs
    for mine, other in zip(our_models, their_models, strict=True):
        pairs = zip(mine.named_parameters(), other.named_parameters(), strict=True)
        for (name, a), (_, b) in pairs:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=name)
    for mine, other in zip(our_histories, their_histories, strict=True):
        assert mine.keys() == other.keys()
        for name, numbers in mine.items():
            assert numbers == pytest.approx(other[name], rel=values, abs=values), name


def assert_equal_engines(problem, tolerance=1e-12, **trainer):
    theirs = problem.serial(**trainer)
    assert_same_runs(problem.stacked(**trainer), theirs, tolerance)
    return theirs


# The same runs as one after the other -----------------------------------------------------------


def adam_w(parameters):
    return torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.1)


def everything_at_once():
    return Problem(
        "softmax",
        4,
        num_folds=3,
        count=23,  # 15, 15 and 16 rows to train on
        hidden=[7, 6, 5],
        dropout=0.4,
        l1=0.01,
        l2=0.02,
        optimizer=adam_w,
        metrics=["acc", "f1"],
    )


def test_three_layers_dropout_adamw_and_penalties_together():
    assert_equal_engines(everything_at_once())


def test_float32_differs_by_rounding_alone():
    problem = everything_at_once()
    trainer = {"precision": "32-true"}
    assert_same_runs(problem.stacked(**trainer), problem.serial(**trainer), 1e-5, 1e-4)


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("sigmoid", 2),
        ("softmax", 3),
        ("multilabel", 3),
        ("regression", 1),
        ("regression", 2),
        ("bounded_regression", 2),
    ],
)
def test_every_head_with_every_loss(head, columns):
    for loss in HEADS[head].losses:
        problem = Problem(head, columns, loss=loss, activation="tanh", l2=0.01)
        assert_equal_engines(problem, max_epochs=2)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation, dropout):
    problem = Problem("sigmoid", 2, activation=activation, dropout=dropout)
    assert_equal_engines(problem, max_epochs=2)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_batches_of_every_size(batch_size):
    assert_equal_engines(Problem("regression", 2, batch_size=batch_size, dropout=0.3), max_epochs=2)


def test_a_linear_model():
    assert_equal_engines(Problem("softmax", 3, hidden=[], l2=0.1))


def test_a_supervised_module_of_a_dense_net():
    problem = Problem("softmax", 3)

    def model(fold):
        torch.manual_seed(fold)
        return SupervisedModule(DenseNet((FEATURES,), 3, [5]), "softmax", 3)

    problem.model = model
    assert_equal_engines(problem)


def test_probabilities_as_targets_whose_sum_is_not_quite_one():
    """By hand: an ArrayDataModule takes such targets for values."""
    problem = Problem("softmax", 3)
    x, y = problem.x, F.one_hot(problem.y, 3) * 0.9 + 0.035
    folds = [FoldData(x[:12], y[:12], x[12:], y[12:], 5, seed) for seed in (3, 4)]
    ours, theirs = ([problem.model(fold) for fold in range(2)] for _ in range(2))
    fit_stacked(ours, folds, trainer_of(2))
    for mine, other, fold in zip(ours, theirs, folds, strict=True):
        train_by_hand(other.double(), fold, epochs=2)
        for a, b in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def train_by_hand(model, fold, epochs):
    optimizer = model.configure_optimizers()
    order = BatchOrder(len(fold.train_inputs), fold.batch_size, True, fold.seed)
    for epoch in range(epochs):
        order.set_epoch(epoch)
        for index in order:
            logits = model(fold.train_inputs[index].double())
            loss = F.cross_entropy(logits, fold.train_targets[index].double())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


OPTIMIZERS = {
    "the book's RMSprop": KerasRMSprop,
    "RMSprop of Keras 3": Keras3RMSprop,
    "RMSprop": partial(torch.optim.RMSprop, lr=0.01),
    "RMSprop with all": partial(
        torch.optim.RMSprop, lr=0.01, momentum=0.5, centered=True, weight_decay=0.1
    ),
    "RMSprop upwards": partial(torch.optim.RMSprop, lr=0.001, maximize=True),
    "SGD": partial(torch.optim.SGD, lr=0.1),
    "SGD with momentum": partial(
        torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01
    ),
    "Adam": partial(torch.optim.Adam, lr=0.01),
    "Adam with all": partial(torch.optim.Adam, lr=0.01, amsgrad=True, weight_decay=0.1),
    "AdamW": adam_w,
    "Adamax": torch.optim.Adamax,
    "NAdam": torch.optim.NAdam,
    "RAdam": torch.optim.RAdam,
    "Adagrad": torch.optim.Adagrad,
    "Adadelta": torch.optim.Adadelta,
    "Rprop": partial(torch.optim.Rprop, lr=0.001),
    "ASGD": torch.optim.ASGD,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_elementwise_optimizer(optimizer):
    # These two keep a factor in torch's default type, which is float64 in a step of ours alone.
    tolerance = 1e-7 if optimizer in (torch.optim.NAdam, torch.optim.ASGD) else 1e-12
    problem = Problem("sigmoid", 2, optimizer=optimizer)
    (model, *_), _ = assert_equal_engines(problem, tolerance, max_epochs=2)
    weights = model.network.layers[0].weight, problem.model(0).network.layers[0].weight
    assert (weights[0] - weights[1]).abs().max() > 1e-5  # it has moved


def test_adam_is_fused_unless_the_user_chose():
    def fused(**chosen):
        optimizer = torch.optim.AdamW([torch.zeros(1)], **chosen)
        fuse(optimizer)
        return optimizer.param_groups[0]["fused"]

    assert fused()
    assert not fused(foreach=False)
    assert not fused(fused=False)
    assert not fused(foreach=True)


def test_the_installed_torch_has_the_kernel_of_the_fast_step():
    """It has no public name; without it the optimizer takes its own step, in thrice the time."""
    weights = [torch.zeros(3, 5, requires_grad=True) for _ in range(2)]
    optimizers = [KerasRMSprop([each], lr=0.01) for each in weights]
    noise = torch.Generator().manual_seed(0)
    steps = [each.step for each in optimizers]
    for each in weights:
        each.grad = torch.zeros(3, 5)
    for _ in range(9):
        gradient = torch.randn(3, 5, generator=noise)
        for each, step in zip(weights, steps, strict=True):
            each.grad.copy_(gradient)
            with torch.no_grad():
                step()
        steps[0] = plain_rmsprop(optimizers[0])
        assert steps[0] is not None
    torch.testing.assert_close(*weights)


SCHEDULERS = {
    "by epoch": partial(lr_scheduler.StepLR, step_size=1, gamma=0.3),
    "by a function": partial(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)),
    "by step": partial(lr_scheduler.OneCycleLR, max_lr=0.01, total_steps=40),
    "momentum by step": partial(
        lr_scheduler.CyclicLR, base_lr=0.001, max_lr=0.01, step_size_up=3, cycle_momentum=False
    ),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)
@pytest.mark.parametrize("optimizer", [KerasRMSprop, adam_w])
def test_schedulers_of_step_and_epoch(scheduler, optimizer):
    if scheduler is SCHEDULERS["by step"] and optimizer is KerasRMSprop:
        optimizer = partial(torch.optim.RMSprop, momentum=0.5)
    problem = Problem("softmax", 3, scheduler=scheduler, optimizer=optimizer)
    assert_equal_engines(problem)


@given(
    count=st.integers(6, 30),
    num_folds=st.integers(2, 4),
    batch_size=st.integers(1, 9),
    hidden=st.lists(st.integers(1, 6), max_size=3),
)
@settings(max_examples=6, deadline=None, derandomize=True)
def test_any_sizes(count, num_folds, batch_size, hidden):
    assert_equal_engines(
        Problem("regression", 1, num_folds, count, batch_size, hidden=hidden, dropout=0.5),
        max_epochs=1,
    )


def test_few_numbers_at_a_time(monkeypatch):
    """Epochs larger than what is gathered at a time are the same epochs."""
    expected = everything_at_once().stacked()
    monkeypatch.setattr("dlp.folds.stacked.engine._BLOCK", 150)
    assert_same_runs(everything_at_once().stacked(), expected, 0, 1e-6)


def test_unequal_validation_parts_in_one_stack():
    problem = Problem("regression", 2)
    x, y = problem.x, problem.y
    folds = [
        FoldData(x[:12], y[:12], x[12:17], y[12:17], 4, 1),
        FoldData(x[5:17], y[5:17], x[17:18], y[17:18], 4, 2),
    ]
    alone = []
    for number, fold in enumerate(folds):
        alone += fit_stacked([problem.model(number)], [fold], trainer_of())
    together = fit_stacked([problem.model(0), problem.model(1)], folds, trainer_of())
    for mine, other in zip(together, alone, strict=True):
        assert mine == {name: pytest.approx(values, rel=1e-6) for name, values in other.items()}
    assert together[0]["val_mae"] != together[1]["val_mae"]


# Edited networks --------------------------------------------------------------------------------


def two_activations(network):
    network.layers.relu2 = nn.Tanh()


def no_activation(network):
    del network.layers[1]


def two_rates(network):
    network.layers.dropout1.rate = 0.6


EDITS = {edit.__name__: edit for edit in (two_activations, no_activation, two_rates)}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_each_layer_is_stacked_as_it_is(edit):
    dropout = 0.3 if edit is two_rates else 0.0
    problem = Problem("softmax", 3, dropout=dropout, l2=0.01)
    plain = problem.stacked()[1]
    make = problem.model

    def edited_model(fold):
        model = make(fold)
        edit(model.network)
        return model

    problem.model = edited_model
    assert_equal_engines(problem)
    assert problem.stacked()[1] != plain


def test_a_sequential_of_ones_own():
    problem = Problem("softmax", 3)

    def model(fold):
        torch.manual_seed(fold)
        layers = [nn.Flatten(), nn.Linear(FEATURES, 6), nn.ReLU(), Dropout(0.3)]
        layers += [nn.Linear(6, 5), nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 3)]
        return SupervisedModule(nn.Sequential(*layers), "softmax", 3, l1=0.01)

    problem.model = model
    assert_equal_engines(problem)


# Metrics ------------------------------------------------------------------------------------------


def rounded_hits(predictions, targets):
    return (predictions.argmax(1) == targets).float().mean()


def test_metrics_of_the_user_and_of_torchmetrics():
    metrics = ["acc", "recall", rounded_hits, MulticlassAccuracy(3, average="macro")]
    problem = Problem("softmax", 3, metrics=metrics)
    assert_equal_engines(problem)
    history = problem.stacked()[1][0]
    assert {"val_recall", "train_rounded_hits", "val_multiclass_accuracy"} <= history.keys()


def test_what_is_said_of_a_wrong_mode_is_said_once(capsys):
    callbacks = [EarlyStopping("val_acc", mode="min", patience=9)]
    Problem("softmax", 3).stacked(callbacks=lambda: callbacks)
    assert capsys.readouterr().out.count("more of it is better: give it mode: max") == 1


def test_an_accuracy_with_settings_of_its_own():
    metrics = [MulticlassAccuracy(3, average="micro", top_k=2)]
    problem = Problem("softmax", 3, metrics=metrics)
    assert_equal_engines(problem)
    strict = Problem("sigmoid", 2, metrics=[BinaryAccuracy(threshold=0.8)])
    assert_equal_engines(strict)


def test_a_metric_that_is_called_acc_but_is_another():
    def acc(predictions, targets):
        return predictions.sum() * 0 + 7

    _, (history, *_) = Problem("softmax", 3, metrics=[acc]).stacked()
    assert history["val_acc"] == [7, 7, 7]


class Shown(Callback):
    """Notes what a progress bar shows at the end of an epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append(dict(trainer.progress_bar_metrics))


@pytest.mark.parametrize("are_copies", [False, True])
def test_what_callbacks_see_are_means_over_folds(are_copies, monkeypatch):
    if are_copies:  # what another version of Lightning might give
        mine = Trainer.callback_metrics.fget
        monkeypatch.setattr(Trainer, "callback_metrics", property(lambda it: dict(mine(it))))
    problem = Problem("sigmoid", 2)
    history, shown = History(), Shown()
    _, folds = problem.stacked(callbacks=lambda: [history, shown])
    assert {*history.metrics} == {*folds[0]}
    for number, epoch in enumerate(shown.epochs):
        assert epoch == {
            name: pytest.approx(curve[number]) for name, curve in history.metrics.items()
        }
        assert {*map(type, epoch.values())} == {float}
    for name, values in history.metrics.items():
        expected = [(a + b) / 2 for a, b in zip(folds[0][name], folds[1][name], strict=True)]
        assert values == pytest.approx(expected)
    assert history.num_epochs == 3
    json.dumps(folds)


def test_a_fold_that_blows_up_leaves_the_others_alone():
    problem = Problem("regression", 1)
    models, folds = [problem.model(0), problem.model(1)], [problem.tensors(0), problem.tensors(1)]
    with torch.no_grad():
        models[1].network.layers[0].weight.fill_(float("inf"))
    blown, alone = fit_stacked(models, folds, trainer_of()), problem.stacked()[1]
    assert math.isnan(blown[1]["train_loss"][-1])
    assert blown[0] == alone[0]


# Early stopping -----------------------------------------------------------------------------------


STOPPING = {
    "patience": partial(EarlyStopping, "val_loss", patience=2, min_delta=0.02),
    "threshold": partial(EarlyStopping, "train_acc", mode="max", stopping_threshold=0.6),
    "after validation": partial(
        EarlyStopping, "val_loss", patience=2, min_delta=0.02, check_on_train_epoch_end=False
    ),
    "both": None,
}


@pytest.mark.parametrize("name", STOPPING)
def test_each_fold_stops_at_its_own_epoch(name):
    makers = [STOPPING["patience"], STOPPING["threshold"]] if name == "both" else [STOPPING[name]]

    def callbacks():
        return [make() for make in makers]

    problem = Problem("sigmoid", 2, num_folds=5, count=40, optimizer=partial(adam_w))
    theirs = problem.serial(max_epochs=12, callbacks=callbacks)
    assert len({len(history["val_loss"]) for history in theirs[1]}) > 1
    assert_same_runs(problem.stacked(max_epochs=12, callbacks=callbacks), theirs, 1e-12)


def test_the_fit_ends_with_the_last_fold_and_the_callback_is_given_back():
    problem = Problem("sigmoid", 2)
    stopper = EarlyStopping("val_loss", patience=1, min_delta=10)
    trainer = trainer_of(20, [stopper])
    models, folds = [problem.model(0), problem.model(1)], [problem.tensors(0), problem.tensors(1)]
    histories = fit_stacked(models, folds, trainer)
    assert [len(history["val_loss"]) for history in histories] == [2, 2]
    assert trainer.global_step == 2
    assert trainer.callbacks[0] is stopper
    assert stopper.wait_count == 0


def test_a_monitor_that_is_not_logged_is_an_error_as_in_a_serial_fit():
    with pytest.raises(RuntimeError, match="val_lss"):
        Problem("sigmoid", 2).stacked(callbacks=lambda: [EarlyStopping("val_lss")])


# Resuming -----------------------------------------------------------------------------------------


class Break(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise RuntimeError("broken off")


@pytest.mark.parametrize("optimizer", [partial(KerasRMSprop, lr=0.02), adam_w])
def test_a_resumed_run_is_the_unbroken_one_to_the_last_bit(optimizer, tmp_path):
    def problem():
        return Problem(
            "sigmoid",
            2,
            num_folds=5,
            count=40,
            dropout=0.2,
            optimizer=optimizer,
            scheduler=partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),
        )

    def fit(*more, ckpt_path=None):
        callbacks = [EarlyStopping("val_loss", patience=1, min_delta=0.02), *more]
        models = [problem().model(fold) for fold in range(5)]
        folds = [problem().tensors(fold) for fold in range(5)]
        trainer = trainer_of(6, [LastCheckpoint(tmp_path, every_seconds=0), *callbacks])
        return models, fit_stacked(models, folds, trainer, ckpt_path)

    models, histories = fit()
    assert len({len(history["val_loss"]) for history in histories}) > 1
    with pytest.raises(RuntimeError, match="broken off"):
        fit(Break())
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 1
    assert not all(saved["folds"]["running"])
    resumed, again = fit(ckpt_path=tmp_path / "last.ckpt")
    assert again == histories
    for mine, other in zip(resumed, models, strict=True):
        for a, b in zip(mine.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("stoppers", [0, 1])
def test_a_run_that_has_ended_is_read_back(stoppers, tmp_path):
    def fit(ckpt_path=None):
        callbacks = [EarlyStopping("val_loss", patience=1, min_delta=10)] * stoppers
        problem = Problem("sigmoid", 2)
        trainer = trainer_of(4, [LastCheckpoint(tmp_path), *callbacks])
        models = [problem.model(0), problem.model(1)]
        histories = fit_stacked(
            models, [problem.tensors(0), problem.tensors(1)], trainer, ckpt_path
        )
        return [histories, *(p for model in models for p in model.parameters())]

    (histories, *weights), (again, *read) = fit(), fit(tmp_path / "last.ckpt")
    assert again == histories
    assert len(again[0]["val_loss"]) == (2 if stoppers else 4)
    assert all(torch.equal(a, b) for a, b in zip(weights, read, strict=True))


def test_the_best_checkpoint_is_kept_by_the_mean(tmp_path):
    problem = Problem("sigmoid", 2)
    problem.stacked(callbacks=lambda: [BestCheckpoint(tmp_path, "val_loss")])
    assert (tmp_path / "best.ckpt").is_file()


def test_a_checkpoint_of_other_folds_is_refused(tmp_path):
    problem = Problem("sigmoid", 2)
    problem.stacked(callbacks=lambda: [LastCheckpoint(tmp_path)])
    with pytest.raises(InputError, match="other folds"):
        fit_stacked([problem.model(0)], [problem.tensors(0)], trainer_of(), tmp_path / "last.ckpt")


def test_a_checkpoint_whose_weights_lie_otherwise_is_refused(tmp_path):
    """Those of an earlier release have all biases behind all kernels."""
    problem, path = Problem("sigmoid", 2), tmp_path / "last.ckpt"
    problem.stacked(callbacks=lambda: [LastCheckpoint(tmp_path)])
    content = torch.load(path, weights_only=True)
    del content["folds"]["layout"]
    torch.save(content, path)
    models, folds = ([make(fold) for fold in range(2)] for make in (problem.model, problem.tensors))
    with pytest.raises(InputError, match="other folds"):
        fit_stacked(models, folds, trainer_of(), path)


# Nothing leaks ------------------------------------------------------------------------------------


def test_nothing_but_the_models_changes():
    problem = Problem("regression", 2, dropout=0.3)
    models, folds = [problem.model(0), problem.model(1)], [problem.tensors(0), problem.tensors(1)]
    data = copy.deepcopy(folds)
    torch.manual_seed(5)
    state, dtype, threads = (
        torch.get_rng_state(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
    )
    keys = [set(vars(model)) for model in models]
    fit_stacked(models, folds, trainer_of(precision="32-true"))
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (dtype, threads)
    assert torch.is_grad_enabled()
    for fold, before in zip(folds, data, strict=True):
        for name in ("train_inputs", "train_targets", "val_inputs", "val_targets"):
            assert torch.equal(getattr(fold, name), getattr(before, name))
    for model, names in zip(models, keys, strict=True):
        assert set(vars(model)) == names
        assert model.training
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
    a = models[0].network.layers[0].weight
    assert a.t().is_contiguous()  # as BagLinear keeps it
    assert a.data_ptr() != models[1].network.layers[0].weight.data_ptr()


def test_a_trained_model_is_a_model_like_any_other():
    problem = Problem("regression", 2)
    (model, *_), (history, *_) = problem.stacked(precision="32-true")
    (found,) = trainer_of(precision="32-true").validate(model, problem.data(0), verbose=False)
    assert found["val_mae"] == pytest.approx(history["val_mae"][-1], rel=1e-5)


@pytest.mark.parametrize("part", ["train_targets", "val_targets"])
def test_targets_that_do_not_fit_the_head_are_refused_before_training(part):
    problem = Problem("sigmoid", 2)
    fold = problem.tensors(0)
    bad = replace(fold, **{part: getattr(fold, part) + 1})
    with pytest.raises(InputError, match="targets of 0 and 1"):
        fit_stacked([problem.model(0)], [bad], trainer_of())


def test_denormals_are_flushed_inside_the_block_alone():
    def halved():
        return (torch.tensor([torch.finfo(torch.float32).tiny]) / 2).item()

    assert halved() > 0
    with flushed_denormals():
        assert halved() == 0
        with flushed_denormals():
            assert halved() == 0
        assert halved() == 0
    assert halved() > 0


# Reasons against ----------------------------------------------------------------------------------


class OwnModule(DenseModule):
    pass


class OwnHead(SoftmaxHead):
    pass


class OwnStopping(EarlyStopping):
    pass


def own_loss(logits, targets):
    return F.cross_entropy(logits, targets)


def dense(**arguments):
    return DenseModule((FEATURES,), 3, **{"head": "softmax"} | arguments)


def three_classes(kind=ArrayDataModule):
    x = rows()
    return kind(x, targets_of("softmax", x, 3), batch_size=4, val_size=5)


def two_groups(parameters):
    big = [weight for weight in parameters if weight.ndim > 1]
    small = [weight for weight in parameters if weight.ndim <= 1]
    return torch.optim.SGD([{"params": big, "weight_decay": 0.1}, {"params": small}], lr=0.1)


def hooked():
    model = dense()
    model.network.layers[0].register_forward_hook(lambda *_: None)
    return model


def frozen():
    model = dense()
    model.network.layers[0].weight.requires_grad_(False)
    return model


def replaced():
    model = dense()
    model.training_step = lambda batch, batch_idx: None
    return model


def own_layer():
    model = dense()
    model.network.layers[1] = nn.LeakyReLU(0.3)
    return model


def edited(edit, **arguments):
    """Return the maker of a model whose network is edited, as people do."""

    def make():
        model = dense(**arguments)
        found = edit(model.network.layers)
        if found is not None:
            model.network = found
        return model

    return make


def put(place, layer):
    return lambda layers: layers.__setitem__(place, layer)


class OwnNet(DenseNet):
    pass


def times_ten(layers):
    layers.output.forward = lambda input: 10 * BagLinear.forward(layers.output, input)


def twice(layers):
    layers.append(layers.dense2)
    layers.append(nn.Linear(16, 3))
    layers.output = nn.Linear(16, 16)


def weighted():
    model = dense()
    model.class_weight = [1.0, 2.0, 1.0]
    return model


def weighted_head():
    model = dense()
    model.head.class_weight = torch.ones(3)
    return model


def by_hand():
    model = dense()
    model.automatic_optimization = False
    return model


def halved_gradient():
    model = dense()
    model.network.layers[0].weight.register_hook(lambda gradient: gradient / 2)
    return model


def without_biases(parameters):
    return torch.optim.SGD([weight for weight in parameters if weight.ndim > 1], lr=0.1)


def with_hook(parameters):
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    optimizer.register_step_post_hook(lambda *given: None)
    return optimizer


def with_own_step(parameters):
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    optimizer.step = lambda closure=None: None
    return optimizer


class OwnSchedule(lr_scheduler.ConstantLR):
    pass


def method_of_head_replaced():
    model = dense()
    model.head.prepare = lambda targets: targets
    return model


MODELS = {
    "ConvNetModule is not a DenseModule": lambda: ConvNetModule((1, 8, 8), 3, "softmax", [2], [2]),
    "OwnModule is not a DenseModule": lambda: OwnModule((FEATURES,), 3),
    "OwnNet is not a DenseNet": lambda: SupervisedModule(OwnNet((FEATURES,), 3), "softmax", 3),
    "the layer 1 of the network (Softplus": lambda: SupervisedModule(
        nn.Sequential(nn.Linear(FEATURES, 4), nn.Softplus(), nn.Linear(4, 3)), "softmax", 3
    ),
    "the layer 0 of the network (ReLU": lambda: SupervisedModule(
        nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, 3)), "softmax", 3
    ),
    "the layer 2 of the network (Dropout(p=0.5": lambda: SupervisedModule(
        nn.Sequential(nn.Linear(FEATURES, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 3)),
        *("softmax", 3),
    ),
    "the layer relu2 of the network (Sequential": edited(put(3, nn.Sequential(nn.ReLU()))),
    "the layer relu2 of the network (ReLU(inplace=True": edited(put(3, nn.ReLU(inplace=True))),
    "the layer relu2 of the network (LayerNorm": edited(put(3, nn.LayerNorm(16))),
    "the layer dropout1 of the network (ReLU": edited(put(2, nn.ReLU()), dropout=0.2),
    "the network does not end with a dense layer": edited(lambda layers: layers.append(nn.Tanh())),
    "a layer of the network has no bias": edited(put(2, nn.Linear(16, 16, bias=False))),
    "the sizes of the network's layers do not fit": edited(put(2, BagLinear(9, 16))),
    "some layers of the network share": edited(twice),
    "forward of a BagLinear of the network was replaced": edited(times_ten),
    "there are weights outside the dense layers": edited(
        lambda layers: layers.register_parameter("scale", nn.Parameter(torch.ones(1)))
    ),
    "some layers of the network are in eval mode": edited(lambda layers: layers.eval() and None),
    "some of the weights are not float32": edited(lambda layers: layers.output.double() and None),
    "class_weight differs from fold to fold": weighted,
    "class_weight of the SoftmaxHead may change": weighted_head,
    "prepare of the SoftmaxHead was replaced": method_of_head_replaced,
    "the model takes its steps by hand": by_hand,
    "one stacked step does not give": halved_gradient,
    "SGD treats some parameters in another way than": lambda: dense(optimizer=without_biases),
    "SGD has hooks": lambda: dense(optimizer=with_hook),
    "step of the SGD was replaced": lambda: dense(optimizer=with_own_step),
    "OwnSchedule is not known to be a function of": lambda: dense(scheduler=OwnSchedule),
    "own_loss is a loss of your own": lambda: dense(loss=own_loss),
    "CrossEntropyLoss is a loss of your own": lambda: dense(loss=nn.CrossEntropyLoss()),
    "OwnHead is a head of your own": lambda: dense(head=OwnHead(3)),
    "LBFGS is not known": lambda: dense(optimizer=torch.optim.LBFGS),
    "Adafactor is not known": lambda: dense(optimizer=torch.optim.Adafactor),
    "SGD treats some parameters in another way": lambda: dense(optimizer=two_groups),
    "ReduceLROnPlateau watches a metric": lambda: dense(scheduler=lr_scheduler.ReduceLROnPlateau),
    "the network has hooks": hooked,
    "some of the weights are frozen": frozen,
    "training_step of the DenseModule was replaced": replaced,
    "the layer relu1 of the network (LeakyReLU(negative_slope=0.3))": own_layer,
}


@pytest.mark.parametrize("reason", MODELS)
def test_models_that_cannot_be_stacked(reason):
    found = reason_against(MODELS[reason](), three_classes(), trainer_of())
    assert found is not None
    assert found.startswith(reason)


TRAINERS = {
    "precision is bf16-mixed": {"precision": "bf16-mixed"},
    "the trainer's gradient_clip_val is 1.0, not None": {"gradient_clip_val": 1.0},
    "the trainer's accumulate_grad_batches is 2, not 1": {"accumulate_grad_batches": 2},
    "the trainer's limit_train_batches is 2, not 1.0": {"limit_train_batches": 2},
    "the trainer's limit_train_batches is 1, not 1.0": {"limit_train_batches": 1},
    "the trainer's limit_val_batches is 0.5, not 1.0": {"limit_val_batches": 0.5},
    "the trainer's limit_val_batches is 1, not 1.0": {"limit_val_batches": 1},
    "the trainer's val_check_interval is 1, not 1.0": {"val_check_interval": 1},
    "the trainer's barebones is True, not False": {"barebones": True, "logger": None},
    "SimpleProfiler measures": {"profiler": "simple"},
    "CSVLogger logs each fold by itself": {"logger": CSVLogger("unused")},
    "ModelCheckpoint keeps each fold's weights": {"callbacks": [ModelCheckpoint()]},
    "LastCheckpoint keeps each fold's weights": {"callbacks": [LastCheckpoint(Path("unused"))]},
    "History looks at the model": {"callbacks": [History()]},
    "the trainer's max_steps is 5, not -1": {"max_steps": 5},
    "the trainer's min_epochs is 2, not None": {"min_epochs": 2},
    "the trainer's overfit_batches is 0.5": {"overfit_batches": 0.5},
    "the trainer's check_val_every_n_epoch is 2, not 1": {"check_val_every_n_epoch": 2},
    "the trainer's val_check_interval is 0.5, not 1.0": {"val_check_interval": 0.5},
    "this is a trial run": {"fast_dev_run": True},
    "Curves looks at the model": {"callbacks": [type("Curves", (Callback,), {})()]},
    "OwnStopping looks at the model": {"callbacks": [OwnStopping("val_loss")]},
}


@pytest.mark.parametrize("reason", TRAINERS)
def test_trainers_that_cannot_stack(reason):
    found = reason_against(dense(), three_classes(), trainer_of(**TRAINERS[reason]))
    assert found is not None
    assert found.startswith(reason)


def with_inputs(inputs):
    data = three_classes()
    data.replace_inputs("train", inputs)
    return data


def test_inputs_that_cannot_be_stacked():
    data = three_classes().inputs("train")
    for changed in (data.int(), data.to_sparse()):
        assert "dense floats" in reason_against(dense(), with_inputs(changed), trainer_of())

    texts = BagRows(scipy.sparse.csr_array((len(data), FEATURES), dtype="float32"))
    found = reason_against(dense(), with_inputs(texts), trainer_of())
    assert "sparse product of the texts" in found

    class Images:
        def __len__(self):
            return len(data)

        def __getitem__(self, index):
            return data[index]

    found = reason_against(dense(), with_inputs(Images()), trainer_of())
    assert "one tensor in memory" in found


class OwnTransfer(ArrayDataModule):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch


class OwnLoader(ArrayDataModule):
    def train_dataloader(self):
        return torch.utils.data.DataLoader([1, 2])


class OwnOrder(ArrayDataModule):
    def train_dataloader(self):
        loader = super().train_dataloader()
        loader.batch_sampler.shuffle = False
        return loader


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (OwnTransfer, "on_after_batch_transfer of OwnTransfer may change the batches"),
        (OwnLoader, "DataLoader is a loader of your own"),
        (OwnOrder, "the order of the train batches is another than usual"),
    ],
)
def test_data_that_cannot_be_stacked(kind, reason):
    assert reason_against(dense(), three_classes(kind), trainer_of()) == reason


def test_what_looks_at_no_single_fold_is_no_reason():
    callbacks = [EpochSeed(), EarlyStopping("val_loss")]
    shown = {"enable_progress_bar": True, "enable_model_summary": True}
    made = trainer_of(callbacks=callbacks, profiler=NoProfiler(), **shown)
    assert reason_against(dense(), three_classes(), made) is None


def test_asking_leaves_the_model_as_it_was():
    model = dense(dropout=0.3, l2=0.1)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    keys = set(vars(model))
    assert reason_against(model, three_classes(), trainer_of()) is None
    assert model.training
    assert set(vars(model)) == keys
    assert all(weight.grad is None for weight in model.parameters())
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])
    assert torch.equal(random, torch.get_rng_state())


def test_models_of_one_stack_are_equal_but_for_weights():
    problem = Problem("sigmoid", 2)
    kind = stack_kind(problem.model(0), 3)
    assert stack_kind(problem.model(1), 3) == kind
    for other in ({"hidden": [4, 5]}, {"l2": 0.1}, {"optimizer": adam_w}, {"activation": "tanh"}):
        assert stack_kind(Problem("sigmoid", 2, **other).model(1), 3) != kind
