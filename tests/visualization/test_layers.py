"""Looks into a network: activations, heat maps and patterns of filters."""

from contextlib import nullcontext

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torchvision.models import resnet18, squeezenet1_1, vgg11
from torchvision.ops import Permute

from dlp.errors import InputError
from dlp.modules import ConvNet
from dlp.seeds import derived_seed
from dlp.visualization import GradCAM, activations, filter_patterns
from dlp.visualization.activation_maps import default_layers
from dlp.visualization.grad_cam import default_cam_layer
from dlp.visualization.images import channel_image

IMAGES = torch.rand(2, 3, 14, 12, generator=torch.Generator().manual_seed(1))
SMALL = {"size": 12, "steps": 5, "border": 2}


class Awkward(nn.Module):
    """Convnet with batch normalisation, dropout, in-place ReLU, and a failure on demand."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(4, 5, 3)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.output = nn.Linear(5, 3)
        self.unused = nn.Conv2d(1, 1, 1)
        self.fails = False

    def forward(self, images):
        maps = self.pool(self.relu(self.norm(self.conv1(images))))
        maps = self.act(self.conv2(maps))
        if self.fails:
            raise RuntimeError("out of order")
        return self.output(self.drop(maps.mean((2, 3))))


def see_heat(model):
    with GradCAM(model, "act") as cam:
        return cam(IMAGES, 1)


LOOKS = {
    "activations": lambda model: activations(model, IMAGES, ["act"])["act"],
    "heat map": see_heat,
    "default layer": lambda model: torch.tensor(
        [default_cam_layer(model, IMAGES) == "act"]
    ),
    "filters": lambda model: filter_patterns(
        model, "act", [0, 2], size=8, steps=2, border=2
    ),
}


def state(model):
    """Return all of a model that a look could change."""
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) for module in model.modules()],
        "trainable": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad for parameter in model.parameters()],
        "tensors": {
            name: tensor.tolist() for name, tensor in model.state_dict().items()
        },
        "random": torch.get_rng_state().tolist(),
        "grad_mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
def test_a_look_sees_evaluation_mode_and_leaves_no_trace(look, mode):
    model = Awkward()
    for number, module in enumerate(model.modules()):
        module.training = number % 2 == 0
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 3 == 0)
    before = state(model)
    with mode():
        seen = look(model)
    assert state(model) == before
    torch.testing.assert_close(seen, look(Awkward().eval()))


@pytest.mark.parametrize(
    "look", [LOOKS["activations"], LOOKS["heat map"], LOOKS["default layer"]]
)
def test_no_trace_is_left_when_the_model_fails(look):
    model = Awkward()
    model.fails = True
    before = state(model)
    with pytest.raises(RuntimeError, match="out of order"):
        look(model)
    assert state(model) == before


@pytest.mark.parametrize(
    "look", [activations, lambda m, i, layer: filter_patterns(m, layer, 0)]
)
def test_a_misspelt_layer_gets_a_suggestion(look):
    with pytest.raises(
        InputError, match=r"unknown layer 'conf1'\. Did you mean 'conv1'"
    ):
        look(Awkward(), IMAGES, "conf1")


def test_each_layer_gives_its_own_output_before_the_next_works_in_place():
    model = Awkward().eval()
    seen = activations(model, IMAGES, ["norm", "relu", "output"])
    expected = model.norm(model.conv1(IMAGES))
    torch.testing.assert_close(seen["norm"], expected)
    torch.testing.assert_close(seen["relu"], expected.relu())
    torch.testing.assert_close(seen["output"], model(IMAGES))


def test_the_default_layers_are_convolutions_and_poolings_by_their_activation():
    assert default_layers(Awkward()) == ["relu", "pool", "act", "unused"]
    names = [f"features.{number}" for number in (1, 2, 4, 5, 7, 9, 10, 12)]
    with torch.device("meta"):
        assert default_layers(vgg11()) == names


def test_a_channel_has_mean_128_and_deviation_64():
    values = IMAGES[0, 1] - IMAGES[0, 1].mean()
    expected = (
        (values / values.std(correction=0) * 64 + 128).clamp(0, 255).to(torch.uint8)
    )
    difference = channel_image(IMAGES[0])[1].int() - expected.int()
    assert difference.abs().max() <= 1  # a value between two bytes may be either


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_a_channel_of_one_value_is_black(value):
    assert (channel_image(torch.full((1, 4, 4), value)) == 0).all()


def convnet(num_outputs=3):
    torch.manual_seed(0)
    return ConvNet((3, 14, 12), num_outputs, channels=[4, 5], dense=[]).eval()


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (convnet(), "features.relu2"),
        (convnet(), "features.conv1"),
        (Awkward().eval(), "act"),
    ],
)
def test_the_maps_are_those_of_captum(model, layer):
    with GradCAM(model, layer) as cam:
        maps = cam(IMAGES, [2, 0])
    captum = LayerGradCam(model, model.get_submodule(layer))
    expected = captum.attribute(IMAGES, torch.tensor([2, 0])).relu()[:, 0]
    assert maps.max() > 0
    torch.testing.assert_close(maps, expected.detach())


def test_one_logit_speaks_for_class_1_and_against_class_0():
    one = convnet(1)
    two = convnet(2)
    state = one.state_dict()
    for name in ("classifier.output.weight", "classifier.output.bias"):
        state[name] = torch.cat([-state[name], state[name]])
    two.load_state_dict(state)
    for number in (0, 1):
        map_of_one = GradCAM(one)(IMAGES, number)
        map_of_two = GradCAM(two)(IMAGES, number)
        torch.testing.assert_close(map_of_one, map_of_two)


@pytest.mark.parametrize(
    ("build", "layer"),
    [(vgg11, "features.19"), (resnet18, "layer4"), (squeezenet1_1, "classifier.2")],
)  # fmt: skip
def test_the_default_layer_gives_the_last_map_before_pooling(build, layer):
    with torch.device("meta"):
        model = build()
    assert default_cam_layer(model, torch.rand(1, 3, 64, 64)) == layer


@pytest.mark.parametrize("move", [nn.Flatten(2), Permute([0, 2, 3, 1])])
def test_tokens_and_channels_that_are_last_have_no_heat_map(move):
    model = nn.Sequential(nn.Conv2d(3, 20, 4, stride=4), move)
    with pytest.raises(InputError, match="ends without maps"):
        default_cam_layer(model, IMAGES)


def test_a_layer_without_maps_is_an_error():
    with pytest.raises(InputError, match=r"'output', which returns \(2, 3\)"):
        GradCAM(Awkward(), "output")(IMAGES, 0)


def test_without_jitter_and_border_the_pattern_is_that_of_the_book():
    model = Awkward().eval()
    generator = torch.Generator().manual_seed(derived_seed(0, 1))
    pixels = torch.rand(1, 3, 12, 12, generator=generator) * 20 + 128
    for _ in range(5):
        leaf = pixels.requires_grad_()
        maps = model.pool(model.relu(model.norm(model.conv1(leaf / 255))))
        loss = model.conv2(maps)[:, 1].mean()
        (gradient,) = torch.autograd.grad(loss, leaf)
        step = gradient / gradient.square().mean().sqrt()
        pixels = (leaf + step).detach()
    pixels = pixels - pixels.mean()
    scaled = pixels / (pixels.std(correction=0) + 1e-5)
    expected = (0.1 * scaled + 0.5).clamp(0, 1)
    pattern = filter_patterns(model, "conv2", 1, size=12, steps=5, jitter=0, border=0)
    torch.testing.assert_close(pattern, expected)


def test_a_pattern_depends_on_its_filter_and_the_seed_alone():
    model = Awkward()
    several = filter_patterns(model, "conv2", [3, 0, 2], **SMALL)
    alone = filter_patterns(model, "conv2", 0, **SMALL)
    torch.testing.assert_close(several[1:2], alone)
    of_other_seed = filter_patterns(model, "conv2", [3, 0, 2], seed=1, **SMALL)
    assert not torch.equal(several, of_other_seed)


def test_layers_behind_the_layer_need_not_take_the_size():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(7, 1))
    patterns = filter_patterns(model, "0", [0, 1], channels=1, size=(9, 5), steps=1)
    assert patterns.shape == (2, 1, 9, 5)
    assert 0 <= patterns.min() <= patterns.max() <= 1
