import copy
import pickle
from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import ReduceLROnPlateau as MonitoringPlateau
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.optim.lr_scheduler import (
    CyclicLR,
    LambdaLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)
from training import quiet_trainer

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule, Keras3RMSprop, KerasRMSprop

draw = torch.Generator().manual_seed(0)
X = torch.randn(40, 6, generator=draw)
Y = (X.sum(1) > 0).long()


def data(batch_size=8):
    return ArrayDataModule(X, Y, val_size=8, batch_size=batch_size)  # 4 batches an epoch


# The book's RMSprop ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [{}, {"lr": 0.01}, {"alpha": 0.5}, {"eps": 0.1}, {"lr": 0.1, "alpha": 0.99}]
)
def test_rmsprop_steps_by_kerass_formula(arguments):
    rate, decay, eps = (
        arguments.get(name, default)
        for name, default in (("lr", 1e-3), ("alpha", 0.9), ("eps", 1e-8))
    )
    weight = nn.Parameter(torch.linspace(-1, 1, 7, dtype=torch.float64))
    by_hand, mean_square = weight.detach().clone(), torch.zeros(7, dtype=torch.float64)
    optimizer = KerasRMSprop([weight], **arguments)
    for step in range(20):
        gradient = 2 * by_hand + step / 10
        weight.grad = gradient.clone()
        optimizer.step()
        mean_square = decay * mean_square + (1 - decay) * gradient**2
        by_hand = by_hand - rate * gradient / (mean_square.sqrt() + eps)
        torch.testing.assert_close(weight.detach(), by_hand, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["plain", "fused"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rmsprop_is_torchs_in_one_pass(kind, dtype):
    draw = torch.Generator().manual_seed(1)
    sizes = [(30, 7), (7,), (1,)]
    ours = [nn.Parameter(torch.randn(size, generator=draw, dtype=dtype)) for size in sizes]
    theirs = [nn.Parameter(each.detach().clone()) for each in ours]
    unused = nn.Parameter(torch.ones(2, dtype=dtype))
    one = KerasRMSprop([*ours, unused], lr=0.01)
    other = torch.optim.RMSprop(theirs, lr=0.01, alpha=0.9, eps=1e-8, foreach=False)
    if kind == "plain":  # what was chosen is done by torch itself
        one.param_groups[0]["foreach"] = False
    for _ in range(20):
        for weight, twin in zip(ours, theirs, strict=True):
            twin.grad = torch.randn(weight.shape, generator=draw, dtype=dtype)
            weight.grad = twin.grad.clone()
        one.step()
        other.step()
    tolerance = 1e-5 if dtype is torch.float32 else 1e-13
    for weight, twin in zip(ours, theirs, strict=True):
        torch.testing.assert_close(weight, twin, rtol=tolerance, atol=tolerance)
        mine, others = one.state[weight], other.state[twin]
        torch.testing.assert_close(mine["square_avg"], others["square_avg"])
        assert mine["step"] == others["step"] == 20
    assert unused.equal(torch.ones(2, dtype=dtype))
    other.load_state_dict({**other.state_dict(), "state": one.state_dict()["state"]})


@pytest.mark.parametrize("given", ["like the weight", "contiguous", "with gaps"])
def test_rmsprop_of_weights_that_lie_otherwise_in_memory_is_the_same(given):
    draw = torch.Generator().manual_seed(2)
    kernel = torch.randn(4, 3, 2, 5, generator=draw).to(memory_format=torch.channels_last)
    dense, thin = torch.randn(7, 5, generator=draw).t(), torch.randn(3, 1, 2, generator=draw)
    tensors = [kernel, dense, thin.transpose(0, 2)]
    if given == "with gaps":
        tensors.append(torch.randn(4, 6, generator=draw)[:, ::2])
    lying = [nn.Parameter(each) for each in tensors]
    plain = [
        nn.Parameter(each.detach().clone(memory_format=torch.contiguous_format)) for each in lying
    ]
    one, other = KerasRMSprop(lying, lr=0.01), KerasRMSprop(plain, lr=0.01)
    assert not any(each.is_contiguous() for each in lying[:2])
    for _ in range(3):
        for weight, twin in zip(lying, plain, strict=True):
            twin.grad = torch.randn(twin.shape, generator=draw)
            weight.grad = torch.empty_like(weight).copy_(twin.grad)
            if given == "contiguous":
                weight.grad = twin.grad.clone()
                if weight in one.state:  # as a checkpoint may bring it
                    mean = one.state[weight]["square_avg"]
                    one.state[weight]["square_avg"] = mean.contiguous()
        strides = [weight.stride() for weight in lying]
        one.step()
        other.step()
        assert [weight.stride() for weight in lying] == strides
    for weight, twin in zip(lying, plain, strict=True):
        torch.testing.assert_close(weight, twin, rtol=1e-6, atol=1e-6)
        mine, others = one.state[weight]["square_avg"], other.state[twin]["square_avg"]
        torch.testing.assert_close(mine, others, rtol=1e-6, atol=1e-7)


def test_rmsprop_looks_at_what_has_a_gradient_alone(monkeypatch):
    moved, frozen = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2).half())
    frozen.requires_grad_(False)
    optimizer = KerasRMSprop([moved, frozen])
    moved.grad = torch.ones(3)
    monkeypatch.setattr(torch.optim.RMSprop, "step", None)  # it would take several passes
    optimizer.step()
    assert [*optimizer.state] == [moved]
    assert float(moved.detach()[0]) == pytest.approx(1 - 1e-3 / 0.1**0.5)


def test_rmsprop_of_keras_3_adds_epsilon_inside_the_root():
    weight = nn.Parameter(torch.linspace(-1, 1, 7, dtype=torch.float64))
    by_hand, mean_square = weight.detach().clone(), torch.zeros(7, dtype=torch.float64)
    optimizer = Keras3RMSprop([weight])
    assert optimizer.param_groups[0]["eps"] == 1e-7
    for step in range(20):
        gradient = 1e-4 * (by_hand + step / 10)
        weight.grad = gradient.clone()
        optimizer.step()
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        by_hand = by_hand - 1e-3 * gradient / (mean_square + 1e-7).sqrt()
        torch.testing.assert_close(weight.detach(), by_hand, rtol=1e-12, atol=1e-12)


def test_rmsprop_computes_the_loss_of_a_closure_once():
    weight, calls = nn.Parameter(torch.ones(3)), []
    optimizer = KerasRMSprop([weight], lr=0.1)

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 3
    assert len(calls) == 1
    assert (weight < 1).all()


def test_rmsprop_takes_groups_with_their_own_rates():
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = KerasRMSprop([{"params": [first]}, {"params": [second], "lr": 0.1}], lr=0.01)
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.1]
    assert {group["alpha"] for group in optimizer.param_groups} == {0.9}


def test_the_books_rmsprop_is_the_default():
    optimizer = DenseModule((6,), 2).configure_optimizers()
    assert type(optimizer) is KerasRMSprop
    (group,) = optimizer.param_groups
    assert (group["lr"], group["alpha"], group["eps"]) == (1e-3, 0.9, 1e-8)


# L2 and weight decay --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [KerasRMSprop, torch.optim.RMSprop, torch.optim.Adam])
def test_l2_is_the_weight_decay_of_a_coupled_optimizer(kind):
    strength = 0.02

    def decayed(parameters):
        weights = list(parameters)
        kernels = [weight for weight in weights if weight.ndim == 2][:-1]
        rest = [weight for weight in weights if all(weight is not kernel for kernel in kernels)]
        groups = [{"params": kernels, "weight_decay": 2 * strength}, {"params": rest}]
        return kind(groups, lr=1e-3)

    trained = []
    for arguments in (
        {"l2": strength, "optimizer": partial(kind, lr=1e-3)},
        {"optimizer": decayed},
        {"optimizer": partial(kind, lr=1e-3)},
    ):
        torch.manual_seed(0)
        module = DenseModule((6,), 2, hidden=(8, 4), activation="tanh", **arguments).double()
        quiet_trainer(10, precision="64-true").fit(module, data())
        trained.append(torch.cat([w.detach().flatten() for w in module.parameters()]))
    torch.testing.assert_close(trained[0], trained[1], rtol=0, atol=1e-10)
    assert (trained[0] - trained[2]).abs().max() > 1e-4  # the penalty did something


# Schedulers -----------------------------------------------------------------------------------


class Rates(Callback):
    """Remembers the learning rate that each batch was trained with."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def rates(scheduler, epochs=3, module=None):
    """Return the learning rate of each batch; four batches an epoch."""
    torch.manual_seed(0)
    module = module or DenseModule(
        (6,), 2, optimizer=partial(torch.optim.SGD, lr=1.0, momentum=0.9), scheduler=scheduler
    )
    watch = Rates()
    quiet_trainer(epochs, [watch]).fit(module, data())
    return watch.seen


def test_a_schedule_by_epoch_steps_after_each_epoch():
    found = rates(partial(StepLR, step_size=1, gamma=0.1))
    assert found == pytest.approx([1.0] * 4 + [0.1] * 4 + [0.01] * 4)
    found = rates(partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)))
    assert found == pytest.approx([1.0] * 4 + [1 / 2] * 4 + [1 / 3] * 4)


def test_a_schedule_by_batch_steps_after_each_batch():
    scheduler = partial(OneCycleLR, max_lr=1.0, total_steps=12)
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9)
    expected, steps = [], scheduler(optimizer)
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        steps.step() if len(expected) < 12 else None
    assert rates(scheduler) == pytest.approx(expected)
    assert len(set(expected)) > 8
    found = rates(partial(CyclicLR, base_lr=0.1, max_lr=0.5, step_size_up=4))
    assert found[:9] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1])


def scripted(scheduler, script):
    """Return a module that logs what it is told to, in place of what it measures."""
    module = DenseModule((6,), 2, optimizer=partial(torch.optim.SGD, lr=1.0), scheduler=scheduler)
    for stage, meter in module.meters.items():
        meter.values = lambda stage=stage: {
            name: torch.tensor(values[module.current_epoch])
            for name, values in script.items()
            if name.startswith(stage)
        }
    return module


@pytest.mark.parametrize(
    ("scheduler", "watched"),
    [
        (partial(ReduceLROnPlateau, factor=0.1, patience=0), "val_loss"),
        (
            partial(MonitoringPlateau, monitor="val_acc", mode="max", factor=0.1, patience=0),
            "val_acc",
        ),
        (partial(MonitoringPlateau, monitor="train_loss", factor=0.1, patience=0), "train_loss"),
    ],
)
def test_a_plateau_lowers_the_rate_by_what_it_watches(scheduler, watched):
    better = [5.0, 4.0, 3.0, 2.0] if watched.endswith("loss") else [0.1, 0.2, 0.3, 0.4]
    for values, expected in (
        (better, [1.0, 1.0, 1.0, 1.0]),
        ([better[0], better[1], better[1], better[3]], [1.0, 1.0, 1.0, 0.1]),
    ):
        others = {"val_loss", "val_acc", "train_loss"} - {watched}
        script = {watched: values} | {name: [1.0] * 4 for name in others}
        found = rates(scheduler, 4, scripted(scheduler, script))
        assert found[::4] == pytest.approx(expected)


def test_an_optimizer_that_sees_all_parameters_as_one_vector():
    rows = ArrayDataModule(X, Y, batch_size=40, val_size=None)
    optimizer = partial(torch.optim.LBFGS, lr=0.1)
    model = DenseModule((6,), 2, head="sigmoid", optimizer=optimizer)
    trainer = quiet_trainer(3)
    trainer.fit(model, rows)
    assert trainer.callback_metrics["train_acc"] > 0.8


PLATEAU = partial(ReduceLROnPlateau, factor=0.1, patience=0)


def plateau_fit(values, epochs=4, scheduler=PLATEAU, loaders=(), **arguments):
    """Fit with a scripted val_loss; return the rate at the beginning of each epoch."""
    script = {"val_loss": values, "train_loss": [1.0] * epochs}
    watch = Rates()
    module = scripted(scheduler, script)
    quiet_trainer(epochs, [watch], num_sanity_val_steps=0, **arguments).fit(module, data())
    return watch.seen[::4]


def test_a_plateau_steps_in_the_epochs_that_validate():
    found = plateau_fit([9.0, 3.0, 9.0, 4.0, 9.0, 9.0], 6, check_val_every_n_epoch=2)
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1])  # 4 after 3: worse


def test_a_plateau_takes_each_number_once():
    with pytest.warns(RuntimeWarning, match="Skipping learning rate update"):  # after epoch 1
        found = plateau_fit(
            [3.0] * 5, 5, val_check_interval=8, check_val_every_n_epoch=None
        )  # validated after epochs 2 and 4
    assert found == pytest.approx([1, 1, 1, 1, 0.1])


def test_a_plateau_without_validation_says_so_and_leaves_the_rate():
    with pytest.warns(RuntimeWarning, match="val_loss which is not available"):
        found = plateau_fit([1.0] * 2, 2, limit_val_batches=0)
    assert found == pytest.approx([1, 1])


def test_a_misspelt_monitor_is_refused():
    scheduler = partial(MonitoringPlateau, monitor="val_lss")
    with pytest.raises(MisconfigurationException, match="conditioned on metric val_lss"):
        plateau_fit([1.0], 1, scheduler=scheduler)


def test_lbfgs_reports_the_loss_of_the_weights_that_a_batch_met():
    rows = ArrayDataModule(X, Y, batch_size=40, val_size=None)
    torch.manual_seed(0)
    model = DenseModule((6,), 2, head="sigmoid", optimizer=partial(torch.optim.LBFGS, lr=0.1))
    inputs, targets = next(iter(rows.train_dataloader()))
    expected = model.head.loss(model(inputs), model.head.prepare(targets)).item()
    trainer = quiet_trainer(1)
    trainer.fit(model, rows)
    assert float(trainer.callback_metrics["train_loss"]) == pytest.approx(expected)


@pytest.mark.parametrize("kind", [KerasRMSprop, Keras3RMSprop])
def test_a_copied_or_unpickled_optimizer_steps_on(kind):
    weight = nn.Parameter(torch.ones(3))
    for optimizer in (copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))):
        copied = optimizer(kind([weight], lr=0.1))
        (moved,) = copied.param_groups[0]["params"]
        moved.grad = torch.ones(3)
        copied.step()
        assert (moved < 1).all()


def test_hooks_are_called_once_a_step_whichever_way_it_takes():
    torch.optim.RMSprop([nn.Parameter(torch.ones(1))])  # torch then wraps the step of its class
    for chosen in ({}, {"weight_decay": 0.1}):
        weight, calls = nn.Parameter(torch.ones(3)), []
        optimizer = KerasRMSprop([{"params": [weight], **chosen}])
        optimizer.register_step_post_hook(lambda *given, calls=calls: calls.append(1))
        weight.grad = torch.ones(3)
        optimizer.step()
        assert len(calls) == 1
        assert (weight < 1).all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"optimizer": partial(torch.optim.Adam, betas=(2, 3))}, "optimizer cannot be made: .*bet"),
        ({"optimizer": partial(KerasRMSprop, lr=-1.0)}, "optimizer cannot be made: .*-1.0"),
        ({"scheduler": partial(OneCycleLR, max_lr=0.1)}, "scheduler cannot be made: .*steps"),
    ],
)
def test_what_an_optimizer_or_a_schedule_refuses_is_said_in_a_sentence(arguments, match):
    model = DenseModule((6,), 2, hidden=(3,), **arguments)
    with pytest.raises(InputError, match=match):
        model.configure_optimizers()
