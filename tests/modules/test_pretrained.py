import copy
import re
import warnings
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateFinder,
    StochasticWeightAveraging,
)
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities.model_summary import ModelSummary
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, CyclicLR, OneCycleLR, StepLR
from torch.utils.data import DataLoader, Dataset
from torchvision_families import EVERY_FAMILY, side
from training import Curves, quiet_trainer

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError, MissingInputError
from dlp.frozen_features import Features
from dlp.modules import Backbone, DenseModule, KerasRMSprop, PretrainedModule, PretrainedNet
from dlp.modules.networks import Dropout
from dlp.process import quiet

draw = torch.Generator().manual_seed(0)
X, Y = torch.rand(16, 3, 32, 32, generator=draw), torch.randint(0, 3, (16,), generator=draw)


def data(x=X, y=Y):
    return ArrayDataModule(x, y, val_size=4, batch_size=6)  # 2 batches an epoch


def module(num_outputs=3, head="softmax", **arguments):
    torch.manual_seed(0)
    given = {"backbone": "shufflenet_v2_x0_5", "weights": None, "hidden": (4,), **arguments}
    return PretrainedModule((3, 32, 32), num_outputs, head, **given)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def moved(before, model):
    return {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }


# Training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "squeezenet1_1"])
@pytest.mark.parametrize("count", [0, 2, "all"])
def test_a_fit_moves_what_is_trained_and_not_one_bit_of_the_rest(name, count):
    model = module(backbone=name, trainable_stages=count)
    before, backbone = weights(model), model.network.backbone
    quiet_trainer(2).fit(model, data())
    changed = moved(before, model)
    trainable = {name for name, weight in model.named_parameters() if weight.requires_grad}
    statistics = {
        f"network.backbone.model.{name}.{value}"
        for name, layer in backbone.model.named_modules()
        if isinstance(layer, nn.BatchNorm2d) and layer.training
        for value in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert changed <= trainable | statistics
    if name.startswith("shufflenet"):  # squeezenet's units may be dead
        assert changed == trainable | statistics
        assert bool(statistics) == bool(count)
    assert any(".backbone." in name for name in changed) == bool(count)
    assert "network.classifier.output.weight" in changed


def test_the_frozen_network_learns_what_its_features_show():
    torch.manual_seed(0)
    y = (torch.rand(60) > 0.5).long()
    x = torch.rand(60, 3, 32, 32) * 0.5
    x[y == 1, 0] += 0.5  # the second class is red
    model = PretrainedModule(
        (3, 32, 32), 2, "sigmoid", "squeezenet1_1", weights=None, optimizer=torch.optim.Adam
    )
    trainer = quiet_trainer(10)
    trainer.fit(model, ArrayDataModule(x, y, val_size=20, batch_size=8))
    assert trainer.callback_metrics["val_acc"] > 0.9


@pytest.mark.parametrize(
    ("head", "num_outputs", "targets", "width"),
    [
        ("softmax", 3, Y, 3),
        ("sigmoid", 2, Y % 2, 1),
        ("multilabel", 3, F.one_hot(Y, 3).float(), 3),
        ("regression", 2, torch.randn(16, 2), 2),
    ],
)
def test_every_head_goes_with_it(head, num_outputs, targets, width):
    model, curves = module(num_outputs, head), Curves()
    quiet_trainer(1, [curves]).fit(model, data(y=targets))
    assert model(X).shape == (16, width)
    assert curves.epochs[0]["val_loss"] > 0
    assert set(model.predict_step(X, 0)) == {"index", model.head.prediction}


def frozen_modes(model):
    return {layer.training for layer in model.network.backbone.frozen_modules()}


class Copies(Callback):
    """Copies the model in every hook of a fit, as weight averaging does in some."""

    def __init__(self):
        self.modes = {}

    def __getattribute__(self, name):
        if not name.startswith("on_") or name in ("on_save_checkpoint", "on_load_checkpoint"):
            return super().__getattribute__(name)

        def hook(trainer, pl_module, *_):
            copied = copy.deepcopy(pl_module)
            assert torch.equal(copied.eval()(X[:2]), copy.deepcopy(pl_module).eval()(X[:2]))
            self.modes[name] = frozen_modes(pl_module)

        return hook


def test_a_model_can_be_copied_at_any_moment_of_a_fit_and_is_frozen_in_each_step():
    before, copies, model = list(warnings.filters), Copies(), module(dropout=0.3)
    rows = ArrayDataModule(X, Y, val_size=4, batch_size=12)  # each hook of a batch runs once
    quiet_trainer(1, [copies]).fit(model, rows)  # warnings are errors: of frozen modules none
    assert warnings.filters == before
    assert {"on_sanity_check_start", "on_train_batch_start", "on_fit_end"} <= copies.modes.keys()
    for name in ("on_train_epoch_start", "on_train_batch_start", "on_before_backward"):
        assert copies.modes[name] == {False}
    assert frozen_modes(model) == {False}


class Breaks(Callback):
    def __init__(self, error):
        self.error = error

    def on_validation_batch_start(self, trainer, pl_module, *_):
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_a_fit_that_fails_before_it_begins_leaves_nothing_behind(error):
    before, model = list(warnings.filters), module()
    with pytest.raises((RuntimeError, SystemExit)):
        quiet_trainer(1, [Breaks(error)]).fit(model, data())
    assert warnings.filters == before
    assert frozen_modes(model) == {False}
    assert torch.equal(copy.deepcopy(model).eval()(X), model.eval()(X))


def test_modules_left_in_evaluation_mode_are_warned_of():
    model = module(dropout=0.3)
    model.network.classifier.eval()
    left = len([*model.network.classifier.modules()])
    with pytest.warns(UserWarning, match=rf"Found {left} module\(s\) in eval mode"):
        quiet_trainer(1).fit(model, data())
    assert not model.network.classifier.training


@pytest.mark.filterwarnings(
    "ignore:Found 199 module.*in eval mode"
)  # in the search, of frozen ones
def test_a_learning_rate_that_is_searched_is_the_heads_where_the_backbone_has_one():
    for given, expected in ((None, 1), (1e-6, 2)):
        model = module(trainable_stages=1, backbone_lr=given)
        search = LearningRateFinder(num_training_steps=15, early_stop_threshold=None)
        for callbacks in ([search], []):  # a second fit has the rates of the first
            trainer = quiet_trainer(8 if callbacks else 1, callbacks)
            trainer.fit(model, data())
            head, backbone = (group["lr"] for group in trainer.optimizers[0].param_groups)
            assert head == model.lr != 1e-6
            assert backbone == (model.lr if given is None else given)
        assert len({head, backbone}) == expected


def test_a_threshold_to_be_chosen_needs_a_validation_part_here_too():
    model = module(2, "sigmoid", threshold="f1")
    with pytest.raises(InputError, match="f1 is chosen on the validation part, and there is none"):
        quiet_trainer(limit_val_batches=0).fit(model, data(y=Y % 2))


def test_averaging_that_would_reset_frozen_statistics_is_refused():
    average = StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=1)
    with pytest.raises(InputError, match=r"would stay so\. EMAWeightAveraging leaves them"):
        quiet_trainer(2, [average]).fit(module(), data())
    model = module()
    before = weights(model)
    quiet_trainer(2, [EMAWeightAveraging()]).fit(model, data())
    for name, value in model.network.backbone.state_dict().items():
        torch.testing.assert_close(value, before[f"network.backbone.{name}"])  # it rounds
    model = module(backbone="squeezenet1_1")  # without such statistics
    quiet_trainer(2, [average]).fit(model, data())


# The network ----------------------------------------------------------------------------------


def test_vgg16_flattened_gives_the_books_8192_features():
    model = PretrainedModule((3, 150, 150), 2, "sigmoid", weights=None, pool="flatten")
    summary = ModelSummary(model, max_depth=-1)
    shapes = dict(zip(summary.layer_names, summary.out_sizes, strict=True))
    assert shapes["network.backbone"] == [1, 512, 4, 4]
    assert shapes["network.backbone.model.features.4"] == [1, 64, 75, 75]
    assert shapes["network.pool"] == [1, 8192]
    assert shapes["network.classifier.dense1"] == [1, 256]
    assert shapes["network.classifier.output"] == [1, 1]
    counts = [sum(w.numel() for w in part.parameters()) for part in model.network.children()]
    assert counts == [14_714_688, 0, 2_097_665]  # the book's conv_base, Flatten, Dense


@pytest.mark.parametrize("pool", ["avg", "flatten"])
def test_pooling_stands_between_backbone_and_dense_layers(pool):
    model = module(backbone="squeezenet1_1", pool=pool, hidden=(6, 5), activation="tanh").eval()
    maps = model.network.backbone(X)
    features = maps.mean((2, 3)) if pool == "avg" else maps.flatten(1)
    layers = model.network.classifier
    expected = layers.output(layers.dense2(layers.dense1(features).tanh()).tanh())
    torch.testing.assert_close(model(X), expected)


def test_flattening_takes_images_that_are_no_square():
    net = PretrainedNet(Backbone("squeezenet1_1"), (3, 32, 64), 2, "flatten", hidden=())
    assert net(torch.rand(2, 3, 32, 64)).shape == (2, 2)
    assert net.backbone.training


def test_the_rows_of_a_vit_need_no_pooling():
    backbone = Backbone("vit_b_32", image_size=32)
    for pool in ("avg", "flatten"):
        net = PretrainedNet(backbone, (3, 32, 32), 2, pool, hidden=())
        assert net.classifier.output.in_features == 768
    assert net(X).shape == (16, 2)


def test_dropout_stands_after_each_hidden_layer():
    layers = module(hidden=(6, 5), dropout=0.3).network.classifier
    kinds = [type(layer) for layer in layers]
    assert kinds == [type(layers.dense1), nn.ReLU, Dropout] * 2 + [type(layers.output)]


def test_only_the_head_is_initialised_as_the_books():
    torch.manual_seed(0)
    alone = Backbone("squeezenet1_1")
    model = module(backbone="squeezenet1_1", hidden=(1000,))
    for name, value in alone.state_dict().items():
        assert torch.equal(model.network.backbone.state_dict()[name], value)
    bound = (6 / (512 + 1000)) ** 0.5
    kernel = model.network.classifier.dense1.weight
    assert kernel.abs().max() <= bound
    assert kernel.abs().max() > 0.99 * bound
    assert not model.network.classifier.dense1.bias.any()


def test_penalties_act_on_the_heads_kernels_but_the_last():
    model = module(hidden=(6, 5), l1=0.1, l2=0.2, trainable_stages="all")
    layers = model.network.classifier
    expected = sum(
        0.1 * w.abs().sum() + 0.2 * w.square().sum()
        for w in (layers.dense1.weight, layers.dense2.weight)
    )
    torch.testing.assert_close(model.penalty(), expected)


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((32, 32, 3), {}, "use np.moveaxis(x, -1, 1)"),
        ((1, 32, 32), {}, "grey: set channels: 3 in the data"),
        ((7,), {}, "takes colour images (3, height, width); the data has rows of shape (7,)"),
        ((3, 16, 40), {}, "nothing is left of a 16 x"),
        ((3, 32, 32), {"pool": "max"}, "unknown pool 'max'"),
        ((3, 32, 32), {"hidden": (0,)}, "hidden must list positive"),
        ((3, 32, 32), {"backbone_lr": 0.0}, "backbone_lr must be above 0"),
    ],
)
def test_what_does_not_fit_is_refused(shape, arguments, message):
    given = {"backbone": "squeezenet1_1", "weights": None, **arguments}
    with pytest.raises(InputError, match=re.escape(message)):
        PretrainedModule(shape, 2, **given)


# Features in place of images ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "squeezenet1_1"])
def test_training_may_go_on_from_every_frozen_point(name):
    model = module(backbone=name)
    net, count = model.network.eval(), len(model.network.backbone.stages)
    for trained in range(count + 1):
        net.backbone.set_trainable(trained)
        assert net.frozen_depth == (count - trained if trained else count + 1)
        for depth in range(net.frozen_depth + 1):
            features = net.prefix(X, depth)
            assert features.stage == depth
            assert not features.values.requires_grad or depth == 0
            assert torch.equal(net(features), net(X))
            assert torch.equal(net(features), net(Features(*features)))
    net.backbone.set_trainable(0)
    assert torch.equal(net.prefix(X).values, net.pool(net.backbone(X)))


def test_a_prefix_changes_no_statistics_and_no_mode():
    model = module(trainable_stages="all")
    before = weights(model)
    model.network.prefix(X, 3)
    assert moved(before, model) == set()
    assert model.network.backbone.model.conv5[1].training


class Stored(Dataset):
    """Features of the training images, a whole batch an item."""

    def __init__(self, net, batches):
        self.batches = [(net.prefix(x), y) for x, y in batches]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*number of training")
def test_a_fit_on_features_equals_one_on_images(count):
    batches = [(X[:8], Y[:8]), (X[8:], Y[8:])]

    def fit(as_features):
        model = module(trainable_stages=count)
        items = Stored(model.network, batches) if as_features else batches
        loader = DataLoader(items, batch_size=None)
        trainer = quiet_trainer(2)
        trainer.fit(model, loader, loader)
        predicted = trainer.predict(model, DataLoader([x for x, _ in items], batch_size=None))
        return (
            weights(model),
            trainer.callback_metrics,
            torch.cat([p["probabilities"] for p in predicted]),
        )

    (ours, our_metrics, our_rows), (theirs, metrics, rows) = fit(True), fit(False)
    assert {name for name in ours if not torch.equal(ours[name], theirs[name])} == set()
    assert our_metrics == metrics
    assert torch.equal(our_rows, rows)


def test_features_survive_the_transfer_of_a_batch():
    batch = (Features(torch.ones(2, 3), 4), torch.zeros(2))
    (features, _) = LightningModule().transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert isinstance(features, Features)
    assert features.values.is_meta
    assert features.stage == 4


# Optimizer and schedule -----------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 2, "all"])
@pytest.mark.parametrize("backbone_lr", [None, 1e-5])
def test_the_optimizers_groups_are_the_same_whatever_is_frozen(count, backbone_lr):
    model = module(trainable_stages=count, backbone_lr=backbone_lr)
    head, backbone = model.configure_optimizers().param_groups
    assert (head["name"], backbone["name"]) == ("head", "backbone")
    assert (head["lr"], backbone["lr"]) == (1e-3, backbone_lr or 1e-3)
    for group, part in ((head, model.network.classifier), (backbone, model.network.backbone)):
        assert [id(w) for w in group["params"]] == [id(w) for w in part.parameters()]


class Rates(Callback):
    """Remembers the rates of both groups in each batch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])


@pytest.mark.parametrize(
    "scheduler",
    [
        partial(StepLR, step_size=1, gamma=0.5),
        partial(CosineAnnealingLR, T_max=3),
        partial(OneCycleLR, max_lr=0.1, total_steps=6),
        partial(CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=2),
    ],
)
@pytest.mark.parametrize("ratio", [None, 0.01])
def test_a_schedule_keeps_the_ratio_of_the_rates(scheduler, ratio):
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    rates = Rates()
    model = module(
        optimizer=sgd, scheduler=scheduler, backbone_lr=None if ratio is None else 0.05 * ratio
    )
    quiet_trainer(3, [rates]).fit(model, data())
    head = [first for first, _ in rates.seen]
    alone = torch.optim.SGD([torch.zeros(1)], lr=0.05, momentum=0.9)
    schedule = scheduler(alone)
    expected = []
    for batch in range(6):
        expected.append(alone.param_groups[0]["lr"])
        alone.step()
        if isinstance(schedule, OneCycleLR | CyclicLR) or batch % 2:
            schedule.step()
    assert head == pytest.approx(expected)
    assert [second for _, second in rates.seen] == pytest.approx(
        [rate * (ratio or 1) for rate in expected]
    )
    assert len(set(head)) > 1


def test_rates_that_a_schedule_gives_each_group_are_taken_as_they_are():
    schedule = partial(OneCycleLR, max_lr=[0.1, 0.02], total_steps=6, cycle_momentum=False)
    model = module(scheduler=schedule, backbone_lr=1e-5)
    groups = model.configure_optimizers()["optimizer"].param_groups
    assert [group["max_lr"] for group in groups] == [0.1, 0.02]


def test_weight_decay_and_momentum_leave_frozen_weights_alone():
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1)
    for optimizer in (sgd, partial(torch.optim.AdamW, lr=0.1, weight_decay=0.1)):
        model = module(optimizer=optimizer)
        before = weights(model)
        quiet_trainer(2).fit(model, data())
        assert not any(".backbone." in name for name in moved(before, model))


# Checkpoints ----------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Keep weights of another scale than the default's, by name, where torch finds them."""
    torch.manual_seed(3)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub._hub_dir", None)
    path = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    path.parent.mkdir(parents=True)
    torch.save(Backbone("squeezenet1_1").model.state_dict(), path)
    return path


@pytest.mark.parametrize("scaling", ["weights", "unit"])
def test_restoring_downloads_nothing_and_gives_the_same_model(scaling, hub, tmp_path):
    model = module(backbone="squeezenet1_1", weights="DEFAULT", scaling=scaling, pool="flatten")
    model.network.backbone.mean += 0.25  # whatever the weights brought is in the checkpoint
    trainer = quiet_trainer(1)
    trainer.fit(model, data())
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    hub.unlink()
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["weights"] is None
    restored = PretrainedModule.load_from_checkpoint(path)
    assert torch.equal(restored.eval()(X), model.eval()(X))
    assert restored.network.frozen_depth == model.network.frozen_depth == 5
    trainer = quiet_trainer(2)
    trainer.fit(restored.train(), data(), ckpt_path=path)
    assert trainer.current_epoch == 2
    assert not any(".backbone." in name for name in moved(content["state_dict"], restored))


def test_restoring_downloads_nothing_where_the_command_line_built_the_model(
    hub, tmp_path, monkeypatch
):
    arguments = {
        "model.input_shape": "[3,32,32]",
        "model.num_outputs": 3,
        "model.backbone": "squeezenet1_1",
        "model.trainable_stages": "all",
        "model.optimizer": "torch.optim.AdamW",
        "model.optimizer.lr": 0.01,
    }
    given = [f"--{name}={value}" for name, value in arguments.items()]
    monkeypatch.setattr("sys.argv", ["dlp", *given])
    with quiet():
        cli = LightningCLI(
            PretrainedModule,
            run=False,
            save_config_callback=None,
            seed_everything_default=False,
            auto_configure_optimizers=False,
            trainer_defaults={"accelerator": "cpu", "logger": False},
        )
    trainer = quiet_trainer(1)
    trainer.fit(cli.model, data())
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    hub.unlink()
    assert torch.load(path, weights_only=True)["hyper_parameters"]["weights"] is None
    restored = PretrainedModule.load_from_checkpoint(path)
    assert torch.equal(restored.eval()(X), cli.model.eval()(X))
    assert restored.network.frozen_depth == 0


@pytest.mark.parametrize("optimizer", [KerasRMSprop, partial(torch.optim.AdamW, lr=0.01)])
def test_a_resumed_fine_tuning_is_bit_equal_to_an_unbroken_one(optimizer, tmp_path):
    def fit(epochs, seed, path=None, save=None):
        model = module(optimizer=optimizer, trainable_stages=2, dropout=0.3, backbone_lr=1e-3)
        torch.manual_seed(seed)
        if path is None:
            model.seed = seed
        trainer = quiet_trainer(epochs)
        trainer.fit(model, data(), ckpt_path=path)
        if save:
            trainer.save_checkpoint(save)
        return weights(model)

    whole = fit(4, 1)
    fit(2, 1, save=tmp_path / "half.ckpt")
    resumed = fit(4, 2, path=tmp_path / "half.ckpt")
    assert {name for name in whole if not torch.equal(whole[name], resumed[name])} == set()


def test_weights_of_another_run_are_taken_without_its_optimizer(tmp_path):
    first = module()
    trainer = quiet_trainer(2)
    trainer.fit(first, data())
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    second = module(trainable_stages=2, backbone_lr=1e-4)
    second.network.backbone.mean += 1
    second.load_weights(tmp_path / "first.ckpt")
    assert moved(weights(first), second) == set()
    assert second.network.backbone.frozen_stages == 3
    trainer = quiet_trainer(1)
    trainer.fit(second, data())
    assert trainer.current_epoch == 1


def test_weights_that_do_not_fit_are_refused(tmp_path):
    trainer = quiet_trainer(1)
    model = module()
    trainer.fit(model, data())
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    for other in (module(hidden=(5,)), module(backbone="squeezenet1_1"), DenseModule((4,), 2)):
        before = weights(other)
        with pytest.raises(InputError, match="belongs to another model"):
            other.load_weights(path)
        assert moved(before, other) == set()
    with pytest.raises(MissingInputError, match=r"no file of weights .*none\.ckpt"):
        model.load_weights(tmp_path / "none.ckpt")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="is cut short"):
        model.load_weights(path)


# Every family ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_every_family_freezes_trains_and_restores(name, tmp_path):
    size = side(name)
    x, y = torch.rand(3, 3, size, size, generator=draw), torch.tensor([0, 1, 1])

    def build(count):
        torch.manual_seed(0)
        sgd = partial(torch.optim.SGD, lr=0.01)
        return PretrainedModule(
            (3, size, size), 2, "sigmoid", name, None, count, hidden=(4,), optimizer=sgd
        )

    for count in (0, 1):
        model = build(count)
        before, backbone = weights(model), model.network.backbone
        trainer = quiet_trainer(1)
        trainer.fit(model, ArrayDataModule(x, y, val_size=None, batch_size=3))
        changed = {name for name in moved(before, model) if ".backbone." in name}
        steps = backbone._steps[backbone.stages[-1]]
        deepest = tuple(
            f"network.backbone.model.{step}." for step in steps if isinstance(step, str)
        )
        assert all(name.startswith(deepest) for name in changed)
        assert bool(changed) == bool(count)
        features = model.eval().network.prefix(x)
        assert torch.equal(model(features), model(x))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    restored = PretrainedModule.load_from_checkpoint(tmp_path / "model.ckpt").eval()
    assert torch.equal(restored(x), model(x))
