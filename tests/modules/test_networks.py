import copy
import math
import pickle
import re

import pytest
import torch
from torch import nn

from dlp.errors import InputError
from dlp.modules import ConvNet, DenseNet, Dropout
from dlp.modules.networks import ACTIVATIONS, reseed_dropout

MNIST = {"channels": (32, 64, 64), "pool": (2, 2, 0), "dense": (64,)}


def parameters(network):
    return sum(weight.numel() for weight in network.parameters())


def layers(network, kind):
    return [layer for layer in network.modules() if isinstance(layer, kind)]


# The book's networks --------------------------------------------------------------------------


def test_the_books_networks_have_the_books_numbers_of_parameters():
    assert parameters(ConvNet((1, 28, 28), 10, **MNIST)) == 93_322
    assert parameters(ConvNet((3, 150, 150), 1)) == 3_453_121
    assert parameters(DenseNet((1, 28, 28), 10, (512,))) == 407_050
    assert parameters(DenseNet((10_000,), 1)) == 160_305


def test_kernels_start_within_glorot_bounds_and_biases_at_zero():
    torch.manual_seed(0)
    for network in (ConvNet((3, 40, 40), 10, (16, 32), (50,)), DenseNet((200,), 5, (100, 50))):
        for layer in layers(network, nn.Linear | nn.Conv2d):
            area = math.prod(layer.weight.shape[2:])
            fans = (layer.weight.shape[0] + layer.weight.shape[1]) * area
            bound = math.sqrt(6 / fans)
            assert layer.weight.abs().max() <= bound
            assert layer.weight.abs().max() > 0.95 * bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert not layer.bias.any()


def test_layers_have_names():
    names = [
        name for name, _ in ConvNet((3, 50, 50), 2, (4, 8), (16,), dropout=0.5).named_modules()
    ]
    assert [name for name in names if "." in name] == [
        *("features.conv1", "features.pool1", "features.relu1"),
        *("features.conv2", "features.pool2", "features.relu2"),
        *("classifier.flatten", "classifier.dropout"),
        *("classifier.dense1", "classifier.relu1", "classifier.output"),
    ]
    names = [name for name, _ in DenseNet((5,), 2, (4,), "tanh", 0.5).layers.named_children()]
    assert names == ["dense1", "tanh1", "dropout1", "output"]


def test_a_dense_net_is_the_plain_formula():
    network = DenseNet((2, 3), 2, (5, 4), "tanh").double()
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    first, second, last = layers(network, nn.Linear)
    hidden = torch.tanh(x.reshape(7, 6) @ first.weight.T + first.bias)
    hidden = torch.tanh(hidden @ second.weight.T + second.bias)
    torch.testing.assert_close(network(x), hidden @ last.weight.T + last.bias)


def test_no_hidden_layer_gives_a_linear_model():
    assert len(layers(DenseNet((4,), 3, ()), nn.Linear)) == 1
    assert len(layers(ConvNet((1, 8, 8), 3, (2,), ()), nn.Linear)) == 1


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activation_stands_after_every_hidden_layer_and_not_after_the_last(name):
    kind = type(ACTIVATIONS[name]())
    network = ConvNet((1, 12, 12), 2, (2, 2), (3,), activation=name)
    assert len(layers(network, kind)) == 3
    assert isinstance(network.classifier[-1], nn.Linear)
    assert network(torch.rand(2, 1, 12, 12)).shape == (2, 2)


# Convolutions and pooling ---------------------------------------------------------------------


@pytest.mark.parametrize(("down", "right"), [(0, 3), (4, 0), (2, 5)])
def test_a_shifted_image_has_shifted_feature_maps(down, right):
    network = ConvNet((2, 24, 24), 1, (4, 5), (), pool=0)
    torch.manual_seed(0)
    image = torch.zeros(1, 2, 24, 24)
    image[:, :, 6:14, 6:14] = torch.rand(1, 2, 8, 8)
    shifted = image.roll((down, right), dims=(2, 3))  # the rim is empty: nothing wraps around
    maps, moved = network.features(image), network.features(shifted)
    assert not torch.allclose(maps, moved)
    torch.testing.assert_close(maps.roll((down, right), dims=(2, 3)), moved)


def pooled_after(network, activation):
    """Return the same network with each pooling layer after its activation."""
    other = copy.deepcopy(network)
    conv1, pool1, rise1, conv2, pool2, rise2 = other.features
    assert isinstance(pool1, nn.MaxPool2d)
    assert isinstance(rise1, type(ACTIVATIONS[activation]()))
    other.features = nn.Sequential(conv1, rise1, pool1, conv2, rise2, pool2)
    return other


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "tanh", "linear"])
def test_pooling_before_a_rising_activation_gives_the_same_values_and_gradients(activation):
    torch.manual_seed(1)
    network = ConvNet((1, 21, 21), 3, (4, 6), (5,), activation=activation)
    for layer in layers(network, nn.Conv2d):
        nn.init.uniform_(layer.bias, -0.1, 0.1)
    other = pooled_after(network, activation)
    x = torch.randn(6, 1, 21, 21)
    first, second = network(x), other(x)
    torch.testing.assert_close(first, second)
    for ours, theirs in zip(
        torch.autograd.grad(first.square().sum(), list(network.parameters())),
        torch.autograd.grad(second.square().sum(), list(other.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_an_activation_that_also_falls_stands_before_pooling(activation):
    features = ConvNet((1, 12, 12), 2, (2,), (), activation=activation).features
    assert [name for name, _ in features.named_children()] == ["conv1", f"{activation}1", "pool1"]


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"kernel_size": 5}, (8, 4, 4)),  # 28 -> 24 -> 12 -> 8 -> 4
        ({"kernel_size": (5, 3)}, (8, 5, 5)),  # 28 -> 24 -> 12 -> 10 -> 5
        ({"pool": 3}, (8, 2, 2)),  # 28 -> 26 -> 8 -> 6 -> 2
        ({"pool": (0, 2)}, (8, 12, 12)),  # 28 -> 26 -> 24 -> 12
        ({"pool": 0}, (8, 24, 24)),
        ({"pool": 1}, (8, 24, 24)),
        ({"padding": "same"}, (8, 7, 7)),
    ],
)
def test_kernel_and_pool_sizes_are_one_for_all_or_one_for_each(arguments, shape):
    network = ConvNet((1, 28, 28), 3, (4, 8), (), **arguments)
    x = torch.rand(2, 1, 28, 28)
    assert network.features(x).shape == (2, *shape)
    assert network(x).shape == (2, 3)
    assert network.classifier.output.in_features == math.prod(shape)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)])
def test_maps_have_their_channels_last_in_memory_however_the_images_lie(depth, axes):
    network = ConvNet((depth, 16, 16), 2, (4, 6), (5,)).eval()
    images = torch.rand(*(7, 16, 16, depth) if axes[1] == 3 else (7, depth, 16, 16)).permute(axes)
    maps = []
    for layer in network.features:
        layer.register_forward_hook(lambda _, __, given: maps.append(given))
    network(images)
    assert len(maps) == 6
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in maps)
    assert network.features.conv2.weight.is_contiguous()


def test_height_and_width_may_differ():
    assert ConvNet((3, 40, 21), 1, (4, 4), (6,))(torch.rand(2, 3, 40, 21)).shape == (2, 1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConvNet((1, 28, 28), 2, (4,) * 4), "nothing is left of a 28 x 28 image after"),
        (lambda: ConvNet((1, 28, 28), 2, (4, 4), kernel_size=(3, 15)), "after convolution 2"),
        (lambda: ConvNet((1, 28, 28), 2, (4, 4), pool=(2, 2, 0)), "pool has 3 numbers for 2"),
        (lambda: ConvNet((1, 28, 28), 2, (4, 4), kernel_size=(3,)), "kernel_size has 1 numbers"),
        (lambda: ConvNet((1, 28, 28), 2, (4,), kernel_size=0), "kernel_size must be at least 1"),
        (lambda: ConvNet((1, 28, 28), 2, (4,), pool=-1), "pool must be at least 0, got -1"),
        (lambda: ConvNet((1, 28, 28), 2, (4, 0)), "channels must list positive whole numbers"),
        (lambda: ConvNet((1, 28, 28), 2, (4,), (-3,)), "dense must list positive whole numbers"),
        (lambda: ConvNet((10_000,), 2), "Use DenseModule for tables and texts"),
        (lambda: DenseNet((5,), 2, (16, 0)), "hidden must list positive whole numbers"),
        (lambda: DenseNet((5,), 2, activation="rleu"), "'rleu'. Did you mean 'relu'?"),
        (lambda: ConvNet((1, 28, 28), 2, (4,), activation="tahn"), "Did you mean 'tanh'?"),
        (lambda: Dropout(1.0), "dropout must be at least 0 and below 1, got 1.0"),
        (lambda: Dropout(-0.1), "got -0.1"),
        (lambda: DenseNet((5,), 2, (), dropout=50), "got 50"),
        (lambda: ConvNet((1, 28, 28), 2, (4,), dropout=math.nan), "got nan"),
    ],
)
def test_what_cannot_be_built_is_said_at_once(build, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build()


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.rand(4, 30, 20, 3), "channels last: use images.permute(0, 3, 1, 2)"),
        (torch.zeros(4, 30, 20, 3, dtype=torch.uint8), "use images.permute(0, 3, 1, 2)"),
        (torch.zeros(4, 3, 30, 20, dtype=torch.uint8), "use images.float() / 255"),
        (torch.rand(4, 3, 20, 30), "takes images (N, 3, 30, 20), got (4, 3, 20, 30)"),
        (torch.rand(3, 30, 20), "got (3, 30, 20)"),
    ],
)
def test_a_batch_of_the_wrong_layout_is_refused(batch, message):
    with pytest.raises(InputError, match=re.escape(message)):
        ConvNet((3, 30, 20), 2, (4,), ())(batch)


def test_grey_images_without_their_channel_axis_are_refused():
    with pytest.raises(InputError, match=re.escape("use images.unsqueeze(1)")):
        ConvNet((1, 28, 28), 2, (4,), ())(torch.rand(4, 28, 28))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.rand(4, 6), "rows of shape (5,), got a batch of shape (4, 6)"),
        (torch.rand(5), "got a batch of shape (5,)"),
        (torch.zeros(4, 5, dtype=torch.int64), "takes float32, got torch.int64"),
    ],
)
def test_a_dense_net_refuses_rows_of_another_shape_or_type(batch, message):
    with pytest.raises(InputError, match=re.escape(message)):
        DenseNet((5,), 2)(batch)


# Dropout --------------------------------------------------------------------------------------


def dropped(layer, seed=0, size=10_000):
    layer.reseed(seed)
    return layer(torch.ones(size))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_scales_the_rest(rate):
    output = dropped(Dropout(rate), size=100_000)
    assert (output == 0).float().mean().item() == pytest.approx(rate, abs=0.01)
    torch.testing.assert_close(output[output != 0].unique(), torch.tensor([1 / (1 - rate)]))
    assert output.mean().item() == pytest.approx(1, abs=0.05)


def test_dropout_passes_the_gradient_of_what_it_kept():
    x = torch.ones(1000, requires_grad=True)
    layer = Dropout(0.5)
    layer.reseed(0)
    output = layer(x)
    output.sum().backward()
    assert torch.equal(x.grad, output.detach())


def test_dropout_does_nothing_in_evaluation_or_at_rate_0():
    x = torch.rand(100)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_masks_depend_on_the_seed_alone():
    layer = Dropout(0.5)
    torch.manual_seed(1)
    first = dropped(layer)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(dropped(layer), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(layer(torch.ones(10_000)), first)  # the next batch has its own mask
    assert not torch.equal(dropped(layer, seed=1), first)


def test_without_a_seed_the_global_one_decides():
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(Dropout(0.5)(torch.ones(1000)))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_each_layer_of_a_network_has_masks_of_its_own():
    network = nn.Sequential(Dropout(0.5), nn.Sequential(Dropout(0.5)))
    reseed_dropout(network, 3)
    first, second = network[0](torch.ones(1000)), network[1](torch.ones(1000))
    assert not torch.equal(first, second)
    reseed_dropout(network, 3)
    assert torch.equal(network[0](torch.ones(1000)), first)
    assert torch.equal(network[1](torch.ones(1000)), second)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_of_dropout_goes_on_as_the_original_does(copied):
    layer = Dropout(0.5)
    first = dropped(layer)
    other = copied(layer)
    second = layer(torch.ones(10_000))
    assert not torch.equal(second, first)
    assert torch.equal(other(torch.ones(10_000)), second)
    assert torch.equal(dropped(other), first)


def test_dropout_stands_after_each_hidden_dense_layer_and_after_flattening():
    network = DenseNet((50,), 1, (40, 40), dropout=0.5)
    assert len(layers(network, Dropout)) == 2
    reseed_dropout(network, 0)
    hidden = network.layers[:3](torch.ones(1, 50))
    assert (hidden == 0).sum() > (network.layers[:2](torch.ones(1, 50)) == 0).sum()
    network = ConvNet((1, 12, 12), 1, (2,), (5,), dropout=0.5)
    assert [type(layer) for layer in network.classifier][:2] == [nn.Flatten, Dropout]
    assert len(layers(network, Dropout)) == 1
