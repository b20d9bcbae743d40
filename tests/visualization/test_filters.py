import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from dlp.errors import InputError
from dlp.modules import Backbone, ConvNet, ConvNetModule
from dlp.seeds import derived_seed
from dlp.visualization import activations, filter_grid, filter_patterns


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 2),
    )


def book_pattern(model, layer, filter_index, noise, steps=40):
    """Ascend as section 5.4 does: one image, 0 to 255, plain steps of 1."""
    image = noise
    for _ in range(steps):
        image = image.detach().requires_grad_()
        loss = model[: layer + 1](image / 255)[:, filter_index].mean()
        (gradient,) = torch.autograd.grad(loss, image)
        image = image + gradient / (gradient.square().mean().sqrt() + 1e-12)
    values = image.detach().numpy()[0]
    values = (values - values.mean()) / (values.std() + 1e-5)
    return np.clip(values * 0.1 + 0.5, 0, 1)


def test_without_jitter_and_border_the_patterns_are_those_of_the_book():
    model = network().eval()
    found = filter_patterns(model, "4", [3, 0], size=20, jitter=0, border=0)
    assert found.shape == (2, 3, 20, 20)
    for number, pattern in zip([3, 0], found, strict=True):
        generator = torch.Generator().manual_seed(derived_seed(0, number))
        noise = torch.rand(1, 3, 20, 20, generator=generator) * 20 + 128
        assert np.allclose(pattern.numpy(), book_pattern(model, 4, number, noise), atol=1e-3)


def test_a_pattern_makes_its_own_filter_answer():
    model = nn.Sequential(nn.Conv2d(1, 2, 2, bias=False), nn.ReLU())
    across, down = torch.tensor([[-1.0, 1], [-1, 1]]), torch.tensor([[-1.0, -1], [1, 1]])
    model[0].weight.data = torch.stack([across, down])[:, None]
    noise = filter_patterns(model, "1", [0, 1], steps=0)
    found = filter_patterns(model, "1", [0, 1])
    assert found.shape == (2, 1, 64, 64)
    assert found.min() >= 0
    assert found.max() <= 1
    before, after = (activations(model, seen, "1")["1"].mean((2, 3)) for seen in (noise, found))
    assert (after.diagonal() > 1.2 * before.diagonal()).all()
    assert (after.diagonal() > 1.4 * after.flip(1).diagonal()).all()


def test_a_pattern_depends_on_its_filter_and_seed_alone():
    model = network()
    all_of_them = filter_patterns(model, "4", range(5), size=20, steps=5)
    some = filter_patterns(model, "4", [3, 1], size=20, steps=5, batch_size=1)
    assert torch.allclose(some, all_of_them[[3, 1]], atol=1e-4)
    assert torch.equal(some, filter_patterns(model, "4", [3, 1], size=20, steps=5, batch_size=1))
    other = filter_patterns(model, "4", [3, 1], size=20, steps=5, seed=1)
    assert not torch.allclose(other, some, atol=0.05)


def test_one_filter_and_the_first_64():
    model = nn.Sequential(nn.Conv2d(1, 70, 3))
    assert filter_patterns(model, "0", 69, size=8, steps=1).shape == (1, 1, 8, 8)
    assert filter_patterns(model, "0", steps=0).shape == (64, 1, 64, 64)


def test_mean_and_std_stand_for_the_models_own_normalisation():
    torch.manual_seed(0)
    backbone = Backbone("squeezenet1_1")
    inside = filter_patterns(backbone, "model.features.0", [0, 5], size=24, steps=8)
    mean, std = backbone.mean.tolist(), backbone.std.tolist()
    model = backbone.model
    outside = filter_patterns(model, "features.0", [0, 5], size=24, steps=8, mean=mean, std=std)
    assert torch.allclose(inside, outside, atol=1e-4)
    plain = filter_patterns(model, "features.0", [0, 5], size=24, steps=8, jitter=0)
    assert not torch.allclose(inside, plain, atol=1e-2)


def test_the_border_is_computed_where_the_model_takes_larger_images():
    model = network()
    wide = filter_patterns(model, "4", [0], size=20, steps=4)
    assert torch.equal(wide, filter_patterns(model, "4", [0], size=20, steps=4, border=16))
    assert not torch.equal(wide, filter_patterns(model, "4", [0], size=20, steps=4, border=0))
    net = ConvNet((1, 20, 16), 2, channels=(4,))  # takes these alone
    narrow = filter_patterns(net, "features.conv1", [0], steps=4)
    assert narrow.shape == (1, 1, 20, 16)
    with pytest.raises(InputError, match="does not run on images of 24 x 20, border included"):
        filter_patterns(net, "features.conv1", [0], border=2)


@pytest.mark.parametrize("layer", ["network.features.relu1", "network.classifier.output"])
def test_the_size_is_that_of_the_models_images(layer):
    module = ConvNetModule((3, 18, 22), 4, channels=(4,))
    assert filter_patterns(module, layer, [1], steps=1).shape == (1, 3, 18, 22)


def test_what_stands_behind_the_layer_need_not_fit():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 6, 2))
    assert filter_patterns(model, "0", [0], size=30, steps=1).shape == (1, 3, 30, 30)


def test_layers_called_several_times_count_as_they_are_last_used():
    model = torchvision.models.resnet18(weights=None).eval()
    block = activations(model, torch.rand(1, 3, 32, 32), ["layer1.0", "layer1.0.relu"])
    assert torch.equal(*block.values())
    found = filter_patterns(model, "layer1.0.relu", [2], size=16, steps=2)
    assert torch.allclose(found, filter_patterns(model, "layer1.0", [2], size=16, steps=2))


def test_a_model_that_cuts_its_gradients():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, images):
            with torch.no_grad():
                return self.conv(images)

    with pytest.raises(InputError, match="no gradient comes from layer 'conv'"):
        filter_patterns(Cut(), "conv", [0])


@pytest.mark.parametrize(
    ("filters", "options", "message"),
    [
        ([0, 6], {}, "layer '0' has 6 filters, 0 to 5; 6 is none of them"),
        ([-1], {}, "-1 is none of them"),
        ([], {}, "none is given"),
        ([0], {"steps": -1}, "steps must be 0 or more, got -1"),
        ([0], {"batch_size": 0}, "batch_size must be 1 or more"),
        ([0], {"seed": -1}, "seed must be 0 or more"),
        ([0], {"size": 0}, "size must be 1 or more"),
        ([0], {"mean": [0.5]}, "mean and std are 3 numbers each"),
        ([0], {"std": [1, 1, 0]}, "std above 0"),
        ([0], {"size": 2, "border": 0}, "does not run on images of 2 x 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(filters, options, message):
    with pytest.raises(InputError, match=message):
        filter_patterns(network(), "0", filters, **options)


def test_patterns_stand_row_by_row_on_black():
    patterns = torch.rand(5, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    axes = filter_grid(patterns, margin=2, title="conv1").axes[0]
    canvas = np.asarray(axes.get_images()[0].get_array())
    assert canvas.shape == (2 * 4 + 2, 3 * 6 + 2 * 2, 3)
    assert np.array_equal(canvas[6:, 8:14], patterns[4].permute(1, 2, 0).numpy())
    assert not canvas[4:6].any()
    assert not canvas[6:, 16:].any()
    assert axes.get_title() == "conv1"
    grey = filter_grid(patterns[:, :1], columns=5).axes[0].get_images()[0]
    assert grey.get_array().shape == (4, 5 * 6 + 4 * 5)
    assert grey.get_clim() == (0, 1)


@pytest.mark.parametrize("shape", [(3, 4, 4), (0, 3, 4, 4), (2, 2, 4, 4)])
def test_what_is_no_pattern_is_not_drawn(shape):
    with pytest.raises(InputError, match="takes patterns"):
        filter_grid(torch.zeros(shape))
    with pytest.raises(InputError, match="columns 1 or more"):
        filter_grid(torch.zeros(1, 3, 4, 4), columns=0)
