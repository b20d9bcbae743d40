import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from dlp.errors import InputError
from dlp.modules import ConvNet, ConvNetModule, DenseNet
from dlp.visualization import activation_grid, activations, channel_image, default_layers

IMAGES = torch.rand(2, 3, 20, 16, generator=torch.Generator().manual_seed(0))


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(252, 5)
    )


def test_each_layer_gives_what_it_computes():
    model = network()
    seen = activations(model, IMAGES, ["4", "0", "1", "2"])
    convolved = F.conv2d(IMAGES, model[0].weight, model[0].bias)
    assert list(seen) == ["4", "0", "1", "2"]
    assert torch.allclose(seen["0"], convolved, atol=1e-6)
    assert (seen["0"] < 0).any()  # the in-place ReLU has not overwritten it
    assert torch.equal(seen["1"], seen["0"].relu())
    assert torch.equal(seen["2"], F.max_pool2d(seen["1"], 2))
    assert torch.allclose(seen["4"], model(IMAGES), atol=1e-6)
    assert not any(values.requires_grad for values in seen.values())


def test_one_name_may_stand_alone():
    assert list(activations(network(), IMAGES, "2")) == ["2"]


def test_a_layer_called_twice_gives_its_last_output():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, images):
            return self.relu(1 - self.relu(images - 0.5))

    seen = activations(Twice(), IMAGES, "relu")["relu"]
    assert torch.equal(seen, (1 - (IMAGES - 0.5).relu()).relu())


def test_models_that_no_tracer_follows():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.small, self.large = nn.Conv2d(3, 1, 1), nn.Conv2d(3, 2, 1)

        def forward(self, images):
            return self.large(images) if images.mean() > 0.5 else self.small(images)

    assert activations(Branching(), IMAGES * 0 + 1, "large")["large"].shape == (2, 2, 20, 16)
    with pytest.raises(InputError, match="'large' is not called"):
        activations(Branching(), IMAGES * 0, "large")


def test_the_default_layers_have_the_sizes_of_the_book():
    model = ConvNetModule((3, 150, 150), 2, head="sigmoid")
    seen = activations(model, torch.zeros(1, 3, 150, 150))
    shapes = [(32, 148), (32, 74), (64, 72), (64, 36), (128, 34), (128, 17), (128, 15), (128, 7)]
    assert [tuple(values.shape[1:]) for values in seen.values()] == [(c, s, s) for c, s in shapes]
    assert list(seen)[:3] == [
        "network.features.conv1",
        "network.features.relu1",
        "network.features.conv2",
    ]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (network(), ["1", "2"]),
        (ConvNet((3, 20, 20), 2, channels=(2, 2), pool=(2, 0)), ["conv1", "relu1", "relu2"]),
        (torchvision.models.resnet18(), ["relu", "maxpool", "layer1.0.relu", "layer1.0.conv2"]),
        (
            torchvision.models.mobilenet_v3_small(),  # without the insides of squeeze-excitation
            ["features.0.2", "features.1.block.0.2", "features.1.block.2.0"],
        ),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(9, 2), nn.ReLU()), ["0"]),
    ],
)
def test_default_layers_take_the_activation_for_its_convolution(model, names):
    found = default_layers(model)[: len(names)]
    if isinstance(model, ConvNet):
        names = [f"features.{name}" for name in names]
    assert found == names
    assert len(default_layers(model)) <= 8
    assert default_layers(model, count=1) == names[:1]


def test_a_dense_net_has_no_default_layers():
    with pytest.raises(InputError, match="no convolutions: name the layers"):
        default_layers(DenseNet((3, 20, 16), 2))


def test_a_channel_is_scaled_as_in_the_book():
    values = torch.rand(30, 40, generator=torch.Generator().manual_seed(0)) * 7 - 3
    image = channel_image(values)
    expected = (values - values.mean()) / values.numpy().std() * 64 + 128
    assert image.dtype == torch.uint8
    assert np.array_equal(image.numpy(), expected.numpy().clip(0, 255).astype(np.uint8))
    assert abs(image.float().mean() - 127.5) < 1


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e8])
def test_a_dead_channel_is_blank(value):
    channels = torch.stack([torch.full((5, 7), value), torch.rand(5, 7)])
    image = channel_image(channels)
    assert not image[0].any()
    assert torch.equal(image[1], channel_image(channels[1]))
    assert image[1].any()


def test_outliers_are_cut():
    values = torch.zeros(20, 20)
    values[0, 0] = 1e6
    assert channel_image(values).max() == 255


def test_channels_stand_row_by_row_with_gaps_of_one_pixel():
    maps = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0))
    image = activation_grid(maps, columns=3, title="conv1").axes[0].get_images()[0]
    canvas = np.asarray(image.get_array())
    assert canvas.shape == (2 * 4 + 1, 3 * 6 + 2)
    assert np.array_equal(canvas[5:, 7:13], channel_image(maps[4]).numpy())
    assert not canvas[4].any()
    assert not canvas[:, [6, 13]].any()
    assert not canvas[5:, 14:].any()  # the place of a sixth channel
    assert image.get_cmap().name == "viridis"
    assert image.axes.get_title() == "conv1"


def test_a_row_has_sixteen_channels():
    image = activation_grid(torch.rand(32, 2, 2)).axes[0].get_images()[0]
    assert image.get_array().shape == (5, 47)


@pytest.mark.parametrize(
    ("shape", "columns", "message"),
    [
        ((2, 3, 4, 4), 16, "Take one image of the batch"),
        ((4, 4), 16, r"takes maps \(C, height, width\), got \(4, 4\)"),
        ((0, 4, 4), 16, "takes maps"),
        ((3, 4, 4), 0, "columns must be 1 or more"),
    ],
)
def test_what_is_no_layer_is_not_drawn(shape, columns, message):
    with pytest.raises(InputError, match=message):
        activation_grid(torch.zeros(shape), columns)
    with pytest.raises(InputError, match="a channel is a map"):
        channel_image(torch.zeros(4))
