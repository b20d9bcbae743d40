from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from training import quiet_trainer

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import KerasRMSprop, MiniXception, XceptionModule
from dlp.modules.networks import Dropout
from dlp.modules.xception import SamePool, XceptionBlock


def colours(rows, side=13):
    """Return images that are red (class 0) or blue (class 1) in part."""
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(rows, 3, side, side, generator=draw) * 0.3
    y = torch.randint(0, 2, (rows,), generator=draw)
    for image, label in zip(x, y, strict=True):
        image[2 * label, 3:9, 2:8] = 1
    return x, y


def test_the_number_of_parameters_is_the_books():
    network = MiniXception((3, 180, 180), 1)
    averages = [b for name, b in network.named_buffers() if not name.endswith("tracked")]
    parameters = sum(tensor.numel() for tensor in network.parameters())
    assert parameters == 718_849
    assert parameters + sum(tensor.numel() for tensor in averages) == 721_857


def test_the_sides_after_each_layer():
    network = MiniXception((3, 180, 180), 1).eval()
    shapes = {}
    for name, layer in network.features.named_children():
        layer.register_forward_hook(
            lambda _layer, _inputs, output, name=name: shapes.update({name: tuple(output.shape)})
        )
    with torch.no_grad():
        assert network(torch.rand(1, 3, 180, 180)).shape == (1, 1)
    sides = {"conv1": 176, "block1": 88, "block2": 44, "block3": 22, "block4": 11, "block5": 6}
    channels = (32, 32, 64, 128, 256, 512)
    expected = zip(sides.items(), channels, strict=True)
    assert shapes == {name: (1, filters, side, side) for (name, side), filters in expected}


@pytest.mark.parametrize("height", [1, 2, 3, 6, 11])
@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_pooling_pads_as_keras_does(height, width):
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0)) - 5
    sides = [(1, 1) if side % 2 else (0, 1) for side in (width, height)]
    padded = F.pad(x, (*sides[0], *sides[1]), value=-torch.inf)
    assert torch.equal(SamePool()(x), F.max_pool2d(padded, 3, 2))


def test_pooling_by_hand():
    row = torch.tensor([9.0, 1, 2, 3])
    x = row.expand(1, 1, 4, 4)
    assert SamePool()(x).tolist() == [[[[9, 3], [9, 3]]]]  # padding=1 would give 9 twice
    assert SamePool()(x[..., :3]).tolist() == [[[[9, 2], [9, 2]]]]


def test_a_block_adds_its_shortcut():
    block = XceptionBlock(4, 6).eval()
    nn.init.zeros_(block.layers.sepconv2.pointwise.weight)
    x = torch.rand(2, 4, 7, 8)
    assert torch.equal(block(x), block.shortcut(x))
    assert torch.allclose(block(x), F.conv2d(x[..., ::2, ::2], block.shortcut.weight), atol=1e-6)


def test_batch_normalisation_and_dropout_have_kerass_constants():
    network = MiniXception((1, 20, 20), 3)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 10
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert [layer.rate for layer in network.modules() if isinstance(layer, Dropout)] == [0.5]
    assert [name for name, each in network.named_parameters() if name.endswith(".bias")] == [
        *[f"features.block{b}.layers.norm{n}.bias" for b in range(1, 6) for n in (1, 2)],
        "classifier.output.bias",
    ]


def test_it_trains_in_one_step_and_comes_back_from_its_checkpoint(tmp_path):
    x, y = colours(24)
    data = ArrayDataModule(x, y, val_size=8, batch_size=16)
    torch.manual_seed(0)
    module = XceptionModule(data.input_shape, data.num_outputs, head="sigmoid", dropout=0.25)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trainer = quiet_trainer(1, max_steps=1)
    trainer.fit(module, data)
    after = module.state_dict()
    assert all(not torch.equal(after[name], tensor) for name, tensor in before.items())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = XceptionModule.load_from_checkpoint(tmp_path / "last.ckpt").eval()
    assert loaded.network.classifier.dropout.rate == 0.25
    assert torch.equal(loaded(x), module.eval()(x))


def test_it_learns():
    data = ArrayDataModule(*colours(64), val_size=16, batch_size=16)
    torch.manual_seed(0)
    trainer = quiet_trainer(10)
    optimizer = partial(KerasRMSprop, lr=1e-3)
    module = XceptionModule(data.input_shape, data.num_outputs, "sigmoid", optimizer=optimizer)
    trainer.fit(module, data)
    assert trainer.callback_metrics["train_loss"] < 0.1


@pytest.mark.parametrize("shape", [(10,), (3, 4, 9), (28, 28)])
def test_what_is_no_image_or_a_tiny_one_is_refused(shape):
    with pytest.raises(InputError, match="at least 5 x 5"):
        MiniXception(shape, 1)


def test_batches_of_another_size_are_refused():
    with pytest.raises(InputError, match="channels last"):
        MiniXception((3, 20, 20), 1)(torch.rand(2, 20, 20, 3))
