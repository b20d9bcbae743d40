import pytest
import torch
from helpers.awkward import IMAGES, Awkward
from hypothesis import given, settings
from hypothesis import strategies as st

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
@settings(max_examples=5, deadline=None)
@given(
    modes=st.lists(st.booleans(), min_size=10, max_size=10),
    trainable=st.lists(st.booleans(), min_size=10, max_size=10),
)
def test_no_trace_is_left(look, modes, trainable):
    model = Awkward()
    for module, mode in zip(model.modules(), modes, strict=True):
        module.training = mode
    for parameter, needed in zip(model.parameters(), trainable, strict=True):
        parameter.requires_grad_(needed)
    before = state(model)
    look(model)
    assert state(model) == before


@pytest.mark.parametrize("look", [LOOKS["activations"], LOOKS["heat map"], LOOKS["default layer"]])
def test_no_trace_is_left_when_the_model_fails(look):
    model = Awkward()
    model.fails = True
    before = state(model)
    with pytest.raises(RuntimeError, match="out of order"):
        look(model)
    assert state(model) == before


@everyone
def test_the_result_is_that_of_evaluation_mode(look):
    assert torch.equal(look(Awkward().train()), look(Awkward().eval()))


@everyone
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_caller_may_have_switched_gradients_off(look, mode):
    model = Awkward()
    with mode():
        seen = look(model)
    assert torch.equal(seen, look(Awkward()))


@pytest.mark.parametrize("look", [activations, lambda m, i, layer: filter_patterns(m, layer, 0)])
def test_a_misspelt_layer_gets_a_suggestion(look):
    with pytest.raises(InputError, match=r"unknown layer 'conf1'\. Did you mean 'conv1'"):
        look(Awkward(), IMAGES, "conf1")
