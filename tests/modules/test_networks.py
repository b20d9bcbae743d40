import math

import pytest
import torch
from torch import nn

from dlp.errors import InputError
from dlp.modules import Backbone, ConvNet, DenseNet, PretrainedModule
from dlp.modules.networks import ACTIVATIONS

colour = ConvNet((3, 8, 6), 2, channels=(2,), dense=())


def small_pretrained(input_shape):
    return PretrainedModule(input_shape, 2, backbone="squeezenet1_1", weights=None)


@pytest.mark.parametrize(
    ("outputs", "width", "count"), [(1, 16, 160_305), (46, 64, 647_214)]
)
def test_the_books_dense_networks_have_its_number_of_weights(outputs, width, count):
    network = DenseNet((10_000,), outputs, hidden=(width, width))
    assert sum(weights.numel() for weights in network.parameters()) == count


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_maps_are_pooled_after_their_activation(activation):
    torch.manual_seed(0)
    network = ConvNet(
        (1, 9, 9), 2, channels=(3,), dense=(), activation=activation
    ).eval()
    conv, output = network.features.conv1, network.classifier.output
    images = torch.randn(4, 1, 9, 9)
    maps = nn.functional.max_pool2d(ACTIVATIONS[activation]()(conv(images)), 2)
    torch.testing.assert_close(network(images), output(maps.flatten(1)))


def test_kernels_are_glorot_uniform_and_biases_zero():
    torch.manual_seed(0)
    kernel = DenseNet((300,), 200, hidden=()).layers.output
    bound = math.sqrt(6 / (300 + 200))
    assert 0.99 * bound < kernel.weight.abs().max() <= bound
    assert kernel.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert not kernel.bias.any()


def test_same_padding_keeps_the_size_and_sizes_may_be_given_per_convolution():
    network = ConvNet(
        (1, 8, 8), 2, (2, 3), (), kernel_size=(5, 3), pool=(0, 4), padding="same"
    )
    assert network.features(torch.rand(1, 1, 8, 8)).shape == (1, 3, 2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: colour(torch.rand(2, 8, 6, 3)), r"permute\(0, 3, 1, 2\)"),
        (
            lambda: Backbone("resnet18")(torch.rand(2, 32, 32, 3)),
            r"permute\(0, 3, 1, 2\)",
        ),
        (lambda: colour(torch.rand(2, 1, 8, 6)), r"expand\(-1, 3, -1, -1\)"),
        (
            lambda: colour(torch.rand(2, 3, 8, 7)),
            r"rows of shape \(3, 8, 6\), got a batch of",
        ),
        (
            lambda: colour(torch.zeros(2, 3, 8, 6, dtype=torch.uint8)),
            r"inputs.float\(\) / 255",
        ),
        (lambda: ConvNet((10,), 2), "expected images .* Use DenseModule for tables"),
        (lambda: small_pretrained((1, 28, 28)), "expected rows of shape"),
        (lambda: small_pretrained((32,)), "expected rows of shape"),
        (lambda: ConvNet((1, 8, 8), 2), "convolutions leave nothing of a 8 x 8 image"),
    ],
)
def test_shapes_that_do_not_fit_are_answered_by_what_fits(call, message):
    with pytest.raises(InputError, match=message):
        call()
