"""Weights of 16 bits, and layers that work with their channels last, are looked into rightly."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from dlp.modules import ConvNet, PretrainedModule
from dlp.visualization import GradCAM, activations, filter_patterns
from dlp.visualization.layer_hooks import layers_of
from dlp.visualization.undisturbed import in_full_precision

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SHORT = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


def convnet():
    torch.manual_seed(0)
    return ConvNet((3, 32, 32), 3, channels=(8, 6), dense=(8,))


def swin():
    torch.manual_seed(0)
    return torchvision.models.SwinTransformer([2, 2], 8, [1, 1], [2, 2], [4, 4], num_classes=3)


def convnext():
    torch.manual_seed(0)
    return torchvision.models.ConvNeXt(
        [torchvision.models.convnext.CNBlockConfig(8, 16, 1)] * 1
        + [torchvision.models.convnext.CNBlockConfig(16, None, 1)],
        num_classes=3,
    )


def shortened(dtype):
    """Return a network of 16 bits, and one of 32 with the same values."""
    short = convnet().to(dtype)
    return short, copy.deepcopy(short).float()


# Precision -------------------------------------------------------------------------------------


@SHORT
def test_filter_patterns_of_short_weights_are_those_of_their_values(dtype):
    """Float16's gradients vanish into 0 / 0, and bfloat16's pixels move in steps of 1."""
    short, long = shortened(dtype)
    ours, theirs = (filter_patterns(model, "features.conv2", 3, steps=5) for model in (short, long))
    assert torch.equal(ours, theirs)
    assert ours.std() > 0.05


@SHORT
def test_heat_maps_of_short_weights_are_those_of_their_values(dtype):
    short, long = shortened(dtype)
    with GradCAM(short, "features.conv1") as ours, GradCAM(long, "features.conv1") as theirs:
        assert torch.equal(ours(IMAGES, 1), theirs(IMAGES, 1))


@SHORT
def test_weights_and_buffers_are_the_same_ones_afterwards(dtype):
    tied = nn.Linear(4, 4)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.LSTM(4, 4), tied, nn.Linear(4, 4)
    )
    model[4].weight = tied.weight
    model.to(dtype)
    held = [*model.parameters(), *model.buffers()]
    values = [tensor.clone() for tensor in held]

    def look():
        with in_full_precision(model):
            assert {weight.dtype for weight in model.parameters()} == {torch.float32}
            assert model[4].weight is model[3].weight
            assert model[2](torch.zeros(2, 1, 4))[0].dtype == torch.float32
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look()
    assert all(a is b for a, b in zip(held, [*model.parameters(), *model.buffers()], strict=True))
    assert all(map(torch.equal, held, values))
    assert model[2]._flat_weights[0] is model[2].weight_ih_l0


def test_a_network_made_in_inference_mode_is_looked_into_as_any_other():
    with torch.inference_mode():
        strict = convnet()
        patterns = filter_patterns(strict, "features.conv2", 2, steps=2)
        with GradCAM(strict, "features.conv1") as cam:
            maps = cam(IMAGES, 1)
    usual = convnet()
    assert torch.equal(patterns, filter_patterns(usual, "features.conv2", 2, steps=2))
    with GradCAM(usual, "features.conv1") as cam:
        assert torch.equal(maps, cam(IMAGES, 1))
    assert all(weight.is_inference() for weight in strict.parameters())


# Layout ----------------------------------------------------------------------------------------

LAYERS = {
    "swin": (swin, {"features.1": 8, "features.1.0.mlp.0": 32, "norm": 16}),
    "convnext": (convnext, {"features.1.0.block.3": 32, "features.1.0.block.2": 8}),
}


def as_it_is(model, layer):
    """Return what a layer gives, by a hook of its own."""
    outputs = []
    hook = model.get_submodule(layer).register_forward_hook(lambda *given: outputs.append(given[2]))
    with torch.no_grad():
        model(IMAGES)
    hook.remove()
    return outputs[0]


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_with_channels_last_give_channels_first(kind):
    build, layers = LAYERS[kind]
    model = build().eval()
    raw = {name: as_it_is(model, name) for name in layers}
    for name, maps in activations(model, IMAGES, list(layers)).items():
        assert maps.shape[1] == layers[name] == raw[name].shape[3]
        assert torch.equal(maps, raw[name].permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (convnet, "features"),
        (convnet, "features.relu1"),
        (swin, "features.0.0"),
        (swin, "permute"),
        (convnext, "features.1"),
        (lambda: torchvision.models.resnet18(num_classes=2), "layer2"),
    ],
)
def test_other_layers_stay_as_they_are(build, layer):
    model = build().eval()
    assert torch.equal(activations(model, IMAGES, layer)[layer], as_it_is(model, layer))


def test_a_dense_layer_within_a_net_of_one_size_has_its_channels_last():
    class OneSize(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 5)

        def forward(self, images):
            assert images.shape[2:] == (32, 32)
            return self.dense(self.conv(images).permute(0, 2, 3, 1)).mean((1, 2))

    assert activations(OneSize(), IMAGES, "dense")["dense"].shape == (2, 5, 32, 32)


def test_a_heat_map_with_channels_last_is_that_of_the_turned_layer():
    model = swin()
    with GradCAM(model, "norm") as last, GradCAM(model, "permute") as first:
        maps = last(IMAGES, 2)
        assert maps.shape == (2, 8, 8)
        torch.testing.assert_close(maps, first(IMAGES, 2))


def test_a_filter_of_a_layer_with_channels_last_is_a_channel():
    model = swin().eval()
    patterns = filter_patterns(model, "norm", [0, 15], size=32, steps=10, jitter=0, border=0)
    noise = filter_patterns(model, "norm", [0, 15], size=32, steps=0)
    for row, channel in enumerate((0, 15)):
        before, after = (
            activations(model, images, "norm")["norm"][row, channel].mean()
            for images in (noise, patterns)
        )
        assert after > before + 0.1


def test_a_pretrained_swin_is_seen_stage_by_stage():
    model = PretrainedModule((3, 32, 32), 2, "sigmoid", "swin_t", weights=None)
    seen = activations(model, IMAGES, ["network.backbone.model.features.3", "network.backbone"])
    assert [tuple(maps.shape) for maps in seen.values()] == [(2, 192, 4, 4), (2, 768, 1, 1)]


def test_the_list_of_layers_has_channels_first():
    layers = layers_of(swin(), (3, 32, 32))
    assert layers["features.1"].shape == (8, 16, 16)
    assert layers["norm"].shape == layers["permute"].shape == (16, 8, 8)
    assert layers["head"].shape == (3,)
