import copy
import math
import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.utilities.model_summary import ModelSummary
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.wrappers import ClasswiseWrapper
from training import Curves, plain_loaders, quiet_trainer

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import RegressionHead, SupervisedModule
from dlp.modules.heads import HEADS
from dlp.modules.penalties import kernels

draw = torch.Generator().manual_seed(0)
X, Y = torch.randn(10, 3, generator=draw), torch.randint(0, 4, (10,), generator=draw)
X_VAL, Y_VAL = torch.randn(7, 3, generator=draw), torch.randint(0, 4, (7,), generator=draw)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.5)


def small_net(outputs=4):
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, outputs)
    )


def loader(x, y, batch_size=4):
    return DataLoader(TensorDataset(x, y), batch_size=batch_size)


def penalty_of(network, l1, l2):
    ours = [network[0].weight, network[2].weight]
    return sum(l1 * w.abs().sum() + l2 * w.square().sum() for w in ours)


def averages(rows, name, penalised):
    """Return what an epoch should log of (loss, data loss, number right, number of rows)."""
    total = sum(count for *_, count in rows)
    found = {f"{name}_loss": sum(loss * count for loss, _, _, count in rows) / total}
    if penalised:
        found[f"{name}_data_loss"] = sum(loss * count for _, loss, _, count in rows) / total
    found[f"{name}_acc"] = sum(right for *_, right, _ in rows) / total
    return {key: pytest.approx(value, rel=1e-5) for key, value in found.items()}


def trained_by_hand(network, batches, l1=0.0, l2=0.0):
    """Train in place by a plain loop; return what the epoch should log."""
    optimizer, rows = sgd(network.parameters()), []
    for x, y in batches:
        logits = network(x)
        data_loss = F.cross_entropy(logits, y)
        loss = data_loss + penalty_of(network, l1, l2)
        right = int((logits.argmax(1) == y).sum())
        rows.append((loss.item(), data_loss.item(), right, len(y)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return averages(rows, "train", bool(l1 or l2))


def measured_by_hand(network, x, y, name="val", l1=0.0, l2=0.0):
    logits = network(x)
    data_loss = F.cross_entropy(logits, y).item()
    loss = data_loss + float(torch.as_tensor(penalty_of(network, l1, l2)).detach())
    right = int((logits.argmax(1) == y).sum())
    return averages([(loss, data_loss, right, len(y))], name, bool(l1 or l2))


def parts(*sizes):
    return list(zip(X.split(sizes or 4), Y.split(sizes or 4), strict=True))


# What is logged -------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [{}, {"l1": 0.01, "l2": 0.02}])
@pytest.mark.parametrize("gathered", [1, 5, 8192])
def test_epochs_log_the_exact_means_over_samples(penalty, gathered, monkeypatch):
    monkeypatch.setattr("dlp.modules.meters._GATHERED", gathered)
    network, curves = small_net(), Curves()
    by_hand = copy.deepcopy(network)
    module = SupervisedModule(network, "softmax", 4, optimizer=sgd, **penalty)
    with plain_loaders():
        quiet_trainer(3, [curves]).fit(module, loader(X, Y), loader(X_VAL, Y_VAL))
    for logged in curves.epochs:
        expected = trained_by_hand(by_hand, parts(), **penalty)
        expected |= measured_by_hand(by_hand, X_VAL, Y_VAL, **penalty)
        assert logged == expected
    assert len(curves.epochs) == 3
    for ours, theirs in zip(network.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_array_datamodule_gives_the_same_means():
    data = ArrayDataModule(
        X, Y, x_test=X_VAL, y_test=Y_VAL, val_size=2, split_seed=None, batch_size=3
    )
    network, curves = small_net(), Curves()
    by_hand = copy.deepcopy(network)
    trainer = quiet_trainer(2, [curves])
    module = SupervisedModule(network, "softmax", 4, optimizer=sgd)
    trainer.fit(module, data)
    for epoch, logged in enumerate(curves.epochs):
        batches = data.train_dataloader()
        batches.batch_sampler.set_epoch(epoch)
        expected = trained_by_hand(by_hand, list(batches))  # 8 rows: 3 + 3 + 2
        assert logged == expected | measured_by_hand(by_hand, X[:2], Y[:2])
    (tested,) = trainer.test(module, data, verbose=False)
    assert tested == measured_by_hand(by_hand, X_VAL, Y_VAL, "test")


def test_with_limited_batches_the_means_are_over_those():
    network, curves = small_net(), Curves()
    by_hand = copy.deepcopy(network)
    module = SupervisedModule(network, "softmax", 4, optimizer=sgd)
    limits = {"limit_train_batches": 2, "limit_val_batches": 1}
    with plain_loaders():
        quiet_trainer(2, [curves], **limits).fit(module, loader(X, Y), loader(X_VAL, Y_VAL))
    for logged in curves.epochs:
        expected = trained_by_hand(by_hand, parts()[:2])
        assert logged == expected | measured_by_hand(by_hand, X_VAL[:4], Y_VAL[:4])


def test_max_steps_in_the_middle_of_an_epoch_logs_what_was_trained_on():
    network = small_net()
    by_hand = copy.deepcopy(network)
    module = SupervisedModule(network, "softmax", 4, optimizer=sgd)
    trainer = quiet_trainer(max_epochs=-1, max_steps=5)
    with plain_loaders():
        trainer.fit(module, loader(X, Y))
    trained_by_hand(by_hand, parts())
    assert as_numbers(trainer.callback_metrics) == trained_by_hand(by_hand, parts()[:2])


def as_numbers(metrics):
    return {name: value.item() for name, value in metrics.items()}


def test_accumulated_gradients_log_every_batch_once():
    module = SupervisedModule(small_net(), "softmax", 4, optimizer=sgd)
    steps = {"max_steps": 1, "accumulate_grad_batches": 3}
    trainer = quiet_trainer(max_epochs=-1, **steps)
    with plain_loaders():
        trainer.fit(module, loader(X, Y))
    expected = measured_by_hand(small_net(), X, Y, "train")  # one step: after all three batches
    assert as_numbers(trainer.callback_metrics) == expected


def test_validation_in_the_middle_of_an_epoch_leaves_the_training_means_alone():
    network, curves = small_net(), Curves()
    by_hand = copy.deepcopy(network)
    module = SupervisedModule(network, "softmax", 4, optimizer=sgd)
    with plain_loaders():
        trainer = quiet_trainer(1, [curves], val_check_interval=1)
        trainer.fit(module, loader(X, Y), loader(X_VAL, Y_VAL))
    expected = trained_by_hand(by_hand, parts())
    assert curves.epochs == [expected | measured_by_hand(by_hand, X_VAL, Y_VAL)]


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_a_stage_that_broke_off_leaves_nothing_behind(stage, monkeypatch):
    monkeypatch.setattr("dlp.modules.meters._GATHERED", 4)

    class Break(Callback):
        def stop(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
            if batch_idx == 1:
                raise MemoryError

        on_train_batch_end = on_validation_batch_end = on_test_batch_end = stop

    module = SupervisedModule(small_net(), "softmax", 4, optimizer=sgd)
    unchanged = copy.deepcopy(module.network.state_dict())
    runs = {"train": "fit", "val": "validate", "test": "test"}
    with plain_loaders():
        with pytest.raises(MemoryError):
            getattr(quiet_trainer(callbacks=[Break()]), runs[stage])(module, loader(X, Y))
        module.network.load_state_dict(unchanged)
        trainer = quiet_trainer()
        getattr(trainer, runs[stage])(module, loader(X_VAL, Y_VAL, batch_size=7))
    expected = measured_by_hand(small_net(), X_VAL, Y_VAL, stage)
    assert as_numbers(trainer.callback_metrics) == expected


def test_a_loss_that_blew_up_is_logged_as_such():
    module = SupervisedModule(nn.Linear(3, 1), "regression", optimizer=sgd)
    trainer = quiet_trainer()
    with plain_loaders():
        trainer.fit(module, loader(X * 1e30, X[:, 0]))
    assert not math.isfinite(trainer.callback_metrics["train_loss"])


def test_one_metric_object_serves_every_stage_without_mixing_them(monkeypatch):
    monkeypatch.setattr("dlp.modules.meters._GATHERED", 1)
    shared = MulticlassAccuracy(4, average="micro")
    network = small_net()
    module = SupervisedModule(network, "softmax", 4, metrics=[shared], optimizer=sgd)
    by_hand, curves = copy.deepcopy(network), Curves()
    with plain_loaders():  # validates after each batch
        trainer = quiet_trainer(1, [curves], val_check_interval=1)
        trainer.fit(module, loader(X, Y), loader(X_VAL, Y_VAL))
    expected = trained_by_hand(by_hand, parts()) | measured_by_hand(by_hand, X_VAL, Y_VAL)
    assert curves.epochs[0] == {
        name.replace("acc", "multiclass_accuracy"): value for name, value in expected.items()
    }


# L1 and L2 ------------------------------------------------------------------------------------


def test_penalties_act_on_every_kernel_but_the_last_and_on_nothing_else():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3), nn.Linear(3, 2)
    )
    ours = [network[0].weight, network[3].weight]
    assert [id(w) for w in kernels(network)] == [id(w) for w in ours]
    module = SupervisedModule(network, "softmax", 2, l1=0.1, l2=0.3)
    expected = sum(0.1 * w.abs().sum() + 0.3 * w.square().sum() for w in ours)
    torch.testing.assert_close(module.penalty(), expected)
    gradients = torch.autograd.grad(module.penalty(), network.parameters(), allow_unused=True)
    touched = [p for p, g in zip(network.parameters(), gradients, strict=True) if g is not None]
    assert [id(p) for p in touched] == [id(w) for w in ours]


class Penalised(SupervisedModule):
    def penalty(self):
        return 0.5


def test_a_penalty_of_ones_own_counts_without_l1_and_l2():
    network = nn.Linear(3, 4)
    plain, own = (kind(network, "softmax", 4) for kind in (SupervisedModule, Penalised))
    losses = [model.training_step((X, Y), 0).item() for model in (plain, own)]
    assert losses[1] - losses[0] == pytest.approx(0.5)


@pytest.mark.parametrize("penalty", [{"l1": -0.1}, {"l2": -1e-3}])
def test_negative_penalties_are_refused(penalty):
    with pytest.raises(InputError, match="l1 and l2 must be 0 or more"):
        SupervisedModule(small_net(), "softmax", 4, **penalty)


# Prediction, summary and use without a Trainer ------------------------------------------------


def test_predictions_are_numbered_through_all_batches_and_start_anew():
    module = SupervisedModule(small_net(), "softmax", 4)
    probabilities = module.network(X).softmax(1)
    inputs = {
        "pairs": loader(X, Y),
        "lists of inputs": DataLoader(TensorDataset(X), batch_size=4),
        "inputs": DataLoader(X, batch_size=4),
    }
    trainer = quiet_trainer()
    for given in inputs.values():
        with plain_loaders():
            batches = trainer.predict(module, given)
        assert [set(batch) for batch in batches] == [{"index", "probabilities"}] * 3
        assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(10))
        found = torch.cat([batch["probabilities"] for batch in batches])
        torch.testing.assert_close(found, probabilities)
    data = ArrayDataModule(X, Y, x_predict=X_VAL, val_size=None)
    data.setup("predict")
    (batch,) = trainer.predict(module, datamodule=data)
    torch.testing.assert_close(batch["probabilities"], module.network(X_VAL).softmax(1))


def test_values_are_predicted_in_the_original_unit():
    scale = {"target_mean": [10.0], "target_std": [4.0]}
    module = SupervisedModule(small_net(1), "regression", **scale)
    found = module.predict_step(X, 0)
    torch.testing.assert_close(found["values"], module.network(X) * 4 + 10)
    assert set(found) == {"index", "values"}


def test_a_step_works_without_a_trainer():
    module = SupervisedModule(small_net(), "softmax", 4)
    loss = module.training_step((X, Y), 0)
    torch.testing.assert_close(loss, F.cross_entropy(module.network(X), Y))
    loss.backward()
    assert all(weight.grad is not None for weight in module.parameters())


def test_fabric_trains_a_module_as_a_trainer_does():
    module = SupervisedModule(small_net(), "softmax", 4, optimizer=sgd)
    by_hand = copy.deepcopy(module.network)
    fabric = Fabric(accelerator="cpu", devices=1)
    wrapped, optimizer = fabric.setup(module, sgd(module.parameters()))
    wrapped.mark_forward_method("training_step")
    for number, batch in enumerate(parts()):
        optimizer.zero_grad()
        fabric.backward(wrapped.training_step(batch, number))
        optimizer.step()
    trained_by_hand(by_hand, parts())
    for ours, theirs in zip(module.network.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_forward_gives_logits():
    module = SupervisedModule(small_net(), "softmax", 4)
    assert torch.equal(module(X), module.network(X))


@pytest.mark.parametrize(
    ("network", "head", "targets", "message"),
    [
        (small_net(3), "softmax", Y, "the network gives (4, 3), and the head takes (N, 4)"),
        (small_net(4), "softmax", Y * 2, "class numbers of 0 to 3"),
        (small_net(4), "multilabel", Y, "head: multilabel takes targets (N, 4)"),
        (small_net(4), "regression", Y, "For classes use head: softmax or sigmoid"),
    ],
)
def test_data_that_does_not_fit_the_head_stops_the_first_batch(network, head, targets, message):
    module = SupervisedModule(network, head, 4)
    with plain_loaders(), pytest.raises(InputError, match=re.escape(message)):
        quiet_trainer().fit(module, loader(X, targets))


def test_a_head_object_serves_as_well_as_a_name():
    head = RegressionHead(2, "huber", ["mse"])
    module = SupervisedModule(small_net(2), head, 2)
    targets = torch.randn(10, 2)
    torch.testing.assert_close(
        module.training_step((X, targets), 0), F.huber_loss(module(X), targets)
    )
    assert set(module.meters["train"].compute()) == {"train_loss", "train_mse"}


# Networks, loaders and precisions of all kinds ------------------------------------------------


class OutputFirst(nn.Module):
    """Registers its output before its body; has a second branch to the output on request."""

    def __init__(self, branches=1):
        super().__init__()
        self.output = nn.Linear(5, 4)
        self.skip = nn.Linear(3, 4) if branches == 2 else None
        self.body = nn.Linear(3, 5)
        self.aside = nn.Linear(5, 1)  # runs last, and gives no part of the output

    def forward(self, x):
        hidden = self.body(x).tanh_()
        logits = self.output(hidden) + (0 if self.skip is None else self.skip(x))
        self.seen = self.aside(hidden)
        return logits


@pytest.mark.parametrize("branches", [1, 2])
def test_penalties_spare_the_layers_that_give_the_output(branches, tmp_path):
    network = OutputFirst(branches)
    module = SupervisedModule(network, "softmax", 4, l2=0.1, optimizer=sgd)
    trainer = quiet_trainer()
    with plain_loaders():
        trainer.fit(module, loader(X, Y))
    ours = [network.body.weight, network.aside.weight]
    assert [id(w) for w in module.penalised_kernels()] == [id(w) for w in ours]
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    again = SupervisedModule.load_from_checkpoint(
        tmp_path / "it.ckpt", network=OutputFirst(branches)
    )
    assert again.penalty() == module.penalty()
    assert not network.output._forward_hooks


class Last(nn.Module):
    """Gives the last output of a recurrent layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0][:, -1]


@pytest.mark.parametrize(
    ("network", "warned"),
    [
        (nn.Sequential(nn.Linear(3, 4)), True),
        (nn.Sequential(nn.Unflatten(1, (1, 3)), Last(nn.RNN(3, 4, batch_first=True))), True),
        (small_net(), False),
    ],
)
def test_a_penalty_on_nothing_is_said(network, warned, capsys):
    module = SupervisedModule(network, "softmax", 4, l1=0.1, optimizer=sgd)
    with plain_loaders():
        quiet_trainer().fit(module, loader(X, Y))
    assert ("l1 and l2 act on the kernels" in capsys.readouterr().out) == warned


@pytest.mark.parametrize("give", [lambda logits: (logits, None), lambda logits: {"out": logits}])
def test_networks_that_give_more_than_logits_get_a_sentence(give):
    class Rich(nn.Linear):
        def forward(self, x):
            return give(super().forward(x))

    module = SupervisedModule(Rich(3, 4), "softmax", 4)
    for step in (module.training_step, module.predict_step):
        with pytest.raises(InputError, match=r"the network gives a (tuple|dict), and the head"):
            step((X, Y), 0)


class Reusing:
    """Yields batches that share their memory."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        x, y = self.x[:2].clone(), self.y[:2].clone()
        for start in range(0, len(self.x), 2):
            x.copy_(self.x[start : start + 2])
            y.copy_(self.y[start : start + 2])
            yield x, y

    def __len__(self):
        return len(self.x) // 2


@pytest.mark.parametrize("network", [small_net, nn.Identity])
def test_loaders_may_use_their_memory_again(network):
    width = 4 if network is small_net else 3
    module = SupervisedModule(network(), "softmax", width)
    trainer = quiet_trainer()
    x, y = X[:10], Y % width
    with plain_loaders():
        (found,) = trainer.validate(module, Reusing(x, y), verbose=False)
        (expected,) = trainer.validate(module, loader(x, y), verbose=False)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "bf16-mixed", "64-true"])
@pytest.mark.parametrize(
    ("head", "loss"),
    [(name, loss) for name, head in HEADS.items() for loss in head.losses],
)
def test_every_loss_trains_in_every_precision(head, loss, precision):
    targets = {
        "sigmoid": Y % 2,
        "softmax": Y,
        "multilabel": torch.stack([Y % 2, Y // 2], 1).float(),
        "regression": X[:, :1] * 300 + 1000,
        "bounded_regression": X[:, :1].sigmoid(),
    }[head]
    outputs = {"softmax": 4, "multilabel": 2}.get(head, 1)
    scale = {"target_mean": [1000.0], "target_std": [300.0]} if head == "regression" else {}
    losses = []
    for given in ("32-true", precision):
        module = SupervisedModule(
            small_net(outputs),
            head,
            2 if head == "sigmoid" else outputs,
            loss,
            l2=1e-3,
            **scale,
            optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.05),
        )
        trainer = quiet_trainer(1, precision=given)
        with plain_loaders():
            trainer.fit(module, loader(X, targets))
        losses.append(float(trainer.callback_metrics["train_loss"]))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-true"])
def test_the_summary_knows_the_sizes_in_every_precision(precision):
    module = SupervisedModule(small_net(), "softmax", 4, optimizer=sgd, input_shape=(3,))
    with plain_loaders():
        quiet_trainer(precision=precision).fit(module, loader(X, Y))
    summary = ModelSummary(module, max_depth=2)  # as the callback makes it when a fit starts
    assert summary.out_sizes[summary.layer_names.index("network")] == [1, 4]
    assert summary.total_flops == 2 * (3 * 5 + 5 * 5 + 5 * 4)


def test_what_a_precision_takes_from_values_is_said(capsys):
    module = SupervisedModule(small_net(1), "regression", optimizer=sgd)
    with plain_loaders():
        quiet_trainer(precision="bf16-true").fit(module, loader(X, X[:, 0]))
    assert "bf16-mixed leaves them as they are" in capsys.readouterr().out


def test_what_half_precision_takes_from_an_optimizer_is_said(capsys):
    module = SupervisedModule(small_net(4), "softmax", 4, optimizer=sgd)
    with plain_loaders():
        quiet_trainer(precision="16-true").fit(module, loader(X, Y))
    assert "losses may become nan; 16-mixed keeps them" in capsys.readouterr().out


# Targets that the data standardises -----------------------------------------------------------


def scaled():
    return ArrayDataModule(X, X[:, :1] * 7 + 20, val_size=2, batch_size=4, task="regression")


@pytest.mark.parametrize("head", ["regression", "bounded_regression"])
def test_a_model_that_knows_nothing_of_scaled_targets_is_refused(head):
    data = scaled()
    data.target_scaling = "standard"
    module = SupervisedModule(small_net(1), head, optimizer=sgd)
    with pytest.raises(InputError, match=r"target_mean=data\.target_mean and"):
        quiet_trainer().fit(module, data)


def test_scaled_targets_and_their_model_go_together(capsys):
    data = scaled()
    data.target_scaling = "standard"
    fitting = {"target_mean": data.target_mean, "target_std": data.target_std}
    for scale, warned in ((fitting, False), ({"target_mean": [3.0], "target_std": [2.0]}, True)):
        module = SupervisedModule(small_net(1), "regression", optimizer=sgd, **scale)
        quiet_trainer().fit(module, data)
        assert ("the model standardises targets by mean" in capsys.readouterr().out) == warned
    module = SupervisedModule(small_net(1), "regression", optimizer=sgd)
    quiet_trainer().fit(module, scaled())  # nothing is scaled


def test_wrong_modes_of_callbacks_are_said_by_the_module(capsys):
    module = SupervisedModule(small_net(), "softmax", 4, optimizer=sgd)
    with plain_loaders():
        quiet_trainer(callbacks=[EarlyStopping("val_acc")]).fit(
            module, loader(X, Y), loader(X_VAL, Y_VAL)
        )
    assert "EarlyStopping watches val_acc with mode: min" in capsys.readouterr().out


def test_a_metric_of_many_numbers_gets_a_sentence():
    module = SupervisedModule(
        small_net(), "softmax", 4, metrics=[MulticlassAccuracy(4, average=None)], optimizer=sgd
    )
    with plain_loaders(), pytest.raises(InputError, match=r"gives \(4,\), and one number"):
        quiet_trainer().fit(module, loader(X, Y))


def test_a_metric_with_names_of_its_own_is_logged_by_them():
    wrapper = ClasswiseWrapper(MulticlassAccuracy(4, average=None), prefix="acc_")
    module = SupervisedModule(small_net(), "softmax", 4, metrics=[wrapper], optimizer=sgd)
    curves = Curves()
    with plain_loaders():
        quiet_trainer(2, [curves]).fit(module, loader(X, Y), loader(X_VAL, Y_VAL))
    names = {f"{stage}_acc_{n}" for stage in ("train", "val") for n in range(4)}
    assert set(curves.epochs[1]) == {"train_loss", "val_loss", *names}


@pytest.mark.parametrize(
    ("batch", "given"),
    [
        ((torch.ones(4, 3), torch.ones(4, 3), torch.ones(4)), "a tuple of 3"),
        ({"x": torch.ones(4, 3), "y": torch.ones(4)}, "a dict of 2"),
        (torch.ones(2, 3), "a Tensor"),
        ([torch.ones(4, 3), ["a", "b", "a", "b"]], "a list of 2"),
    ],
)
def test_a_batch_that_is_no_pair_is_refused(batch, given):
    module = SupervisedModule(nn.Linear(3, 1), "sigmoid")
    with pytest.raises(InputError, match=f"the loader gives {given}, and a batch must be a pair"):
        module.training_step(batch, 0)


class OwnModule(SupervisedModule):
    """As people write one: what the base takes is handed on under a name of their own."""

    def __init__(self, width: int = 3, **rest: Any) -> None:
        super().__init__(nn.Linear(width, 2), "softmax", 2, **rest)
        self.save_plain_arguments()


def test_what_is_handed_on_may_have_any_name():
    model = OwnModule(width=4, loss=nn.CrossEntropyLoss(), l2=0.1)
    assert model.hparams["width"] == 4
    assert model.hparams["l2"] == 0.1
    assert "loss" not in model.hparams
