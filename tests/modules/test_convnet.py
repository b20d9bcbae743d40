import re
from functools import partial

import pytest
import torch
from lightning.pytorch.utilities.model_summary import ModelSummary
from torch import nn
from training import Curves, quiet_trainer

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import ConvNetModule, DenseModule, KerasRMSprop, SupervisedModule


def bars(rows, side=12):
    """Return images with a bar that lies (class 0) or stands (class 1), anywhere."""
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(rows, 1, side, side, generator=draw) * 0.3
    y = torch.randint(0, 2, (rows,), generator=draw)
    for image, label in zip(x, y, strict=True):
        at, start = torch.randint(0, side - 5, (2,), generator=draw).tolist()
        rows_of, columns = slice(at, at + 1), slice(start, start + 5)
        image[0][(rows_of, columns) if label == 0 else (columns, rows_of)] = 1
    return x, y


SMALL = {"channels": (4, 8), "dense": (8,)}


def test_a_convnet_learns_shapes_wherever_they_are():
    data = ArrayDataModule(*bars(400), val_size=100, batch_size=20)
    torch.manual_seed(0)
    trainer = quiet_trainer(15)
    rmsprop = partial(KerasRMSprop, lr=5e-3)
    module = ConvNetModule(
        data.input_shape, data.num_outputs, head="sigmoid", optimizer=rmsprop, **SMALL
    )
    trainer.fit(module, data)
    assert trainer.callback_metrics["val_acc"] > 0.95


def test_the_summary_shows_the_shape_after_each_layer():
    module = ConvNetModule((3, 150, 150), 2, head="sigmoid")
    summary = ModelSummary(module, max_depth=-1)
    shapes = dict(zip(summary.layer_names, summary.out_sizes, strict=True))
    assert summary.total_parameters == 3_453_121
    assert summary.in_sizes[0] == [1, 3, 150, 150]
    sides = {1: (148, 74), 2: (72, 36), 3: (34, 17), 4: (15, 7)}
    for number, channels in enumerate((32, 64, 128, 128), start=1):
        before, after = sides[number]
        assert shapes[f"network.features.conv{number}"] == [1, channels, before, before]
        assert shapes[f"network.features.pool{number}"] == [1, channels, after, after]
    assert shapes["network.classifier.flatten"] == [1, 6272]
    assert shapes["network.classifier.dense1"] == [1, 512]
    assert shapes["network.classifier.output"] == [1, 1]


def test_the_summary_of_any_network_shows_shapes_where_the_input_shape_is_given():
    network = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    summary = ModelSummary(SupervisedModule(network, "softmax", 3, input_shape=(5,)), max_depth=-1)
    shapes = dict(zip(summary.layer_names, summary.out_sizes, strict=True))
    assert shapes["network.0"] == [1, 4]
    assert shapes["network.2"] == [1, 3]
    summary = ModelSummary(DenseModule((7,), 3, hidden=(6,)), max_depth=-1)
    assert [1, 6] in summary.out_sizes


def test_arguments_shape_the_network():
    module = ConvNetModule(
        (3, 30, 30),
        5,
        channels=(4, 6, 8),
        dense=(10, 9),
        kernel_size=(5, 3, 3),
        pool=(2, 2, 0),
        padding="same",
        activation="tanh",
        dropout=0.3,
    )
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.kernel_size for layer in convolutions] == [(5, 5), (3, 3), (3, 3)]
    assert module.network.features(torch.rand(1, 3, 30, 30)).shape == (1, 8, 7, 7)
    assert module.network.classifier.dropout.rate == 0.3
    assert sum(isinstance(layer, nn.Tanh) for layer in module.modules()) == 5
    assert module(torch.rand(2, 3, 30, 30)).shape == (2, 5)


def test_penalties_act_on_all_kernels_but_the_last():
    module = ConvNetModule((1, 12, 12), 3, l1=0.1, l2=0.2, **SMALL)
    names = [name for name, w in module.network.named_parameters() if w.ndim > 1]
    weights = dict(module.network.named_parameters())
    expected = sum(
        0.1 * weights[name].abs().sum() + 0.2 * weights[name].square().sum() for name in names[:-1]
    )
    assert names[-1] == "classifier.output.weight"
    torch.testing.assert_close(module.penalty(), expected)


def test_a_fit_on_images_of_the_wrong_layout_is_refused():
    x, y = bars(40)
    data = ArrayDataModule(x.permute(0, 2, 3, 1), y, val_size=8)
    with pytest.raises(InputError, match="channels last"):
        quiet_trainer(1).fit(ConvNetModule((1, 12, 12), 2, **SMALL), data)
    with pytest.raises(InputError, match=re.escape("have their channels last")):
        ConvNetModule(data.input_shape, 2, **SMALL)


def test_a_convnet_trains_in_bfloat16_too():
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        curves = Curves()
        module = ConvNetModule((1, 12, 12), 2, **SMALL)
        data = ArrayDataModule(*bars(60), val_size=20, batch_size=20)
        quiet_trainer(4, [curves], precision=precision).fit(module, data)
        losses[precision] = [epoch["val_loss"] for epoch in curves.epochs]
        assert {weight.dtype for weight in module.parameters()} == {torch.float32}
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.05)
    assert losses["bf16-mixed"] != losses["32-true"]
