from contextlib import nullcontext

import pytest
import torch
from helpers.awkward import IMAGES, Awkward

from dlp.errors import InputError
from dlp.visualization import GradCAM, activations, filter_patterns
from dlp.visualization.grad_cam import default_cam_layer


def see_heat(model):
    with GradCAM(model, "act") as cam:
        return cam(IMAGES, 1)


LOOKS = {
    "activations": lambda model: activations(model, IMAGES, ["act"])["act"],
    "heat map": see_heat,
    "default layer": lambda model: torch.tensor([default_cam_layer(model, IMAGES) == "act"]),
    "filters": lambda model: filter_patterns(model, "act", [0, 2], size=8, steps=2, border=2),
}
everyone = pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)


def state(model):
    """Return all of a model that a look could change."""
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) for module in model.modules()],
        "trainable": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad for parameter in model.parameters()],
        "tensors": {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        "random": torch.get_rng_state().tolist(),
        "grad_mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


@everyone
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
    assert torch.equal(seen, look(Awkward().eval()))


@pytest.mark.parametrize("look", [LOOKS["activations"], LOOKS["heat map"], LOOKS["default layer"]])
def test_no_trace_is_left_when_the_model_fails(look):
    model = Awkward()
    model.fails = True
    before = state(model)
    with pytest.raises(RuntimeError, match="out of order"):
        look(model)
    assert state(model) == before


@pytest.mark.parametrize("look", [activations, lambda m, i, layer: filter_patterns(m, layer, 0)])
def test_a_misspelt_layer_gets_a_suggestion(look):
    with pytest.raises(InputError, match=r"unknown layer 'conf1'\. Did you mean 'conv1'"):
        look(Awkward(), IMAGES, "conf1")
