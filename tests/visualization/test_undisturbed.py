"""The three ways to look into a network leave no trace of it, whoever calls and whatever fails."""

import lightning
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlp.errors import InputError
from dlp.modules import ConvNetModule
from dlp.visualization import GradCAM, activations, default_cam_layer, filter_patterns

IMAGES = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))


class Awkward(nn.Module):
    """Batch normalisation, dropout, noise, an in-place ReLU, a residual and a counting buffer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(4, 2)
        self.register_buffer("calls", torch.zeros(2))
        self.register_buffer("replaced", torch.zeros(1))
        self.fails = False

    def forward(self, images):
        self.calls += 1
        self.replaced = self.replaced + torch.rand(1)
        first = self.relu(self.norm(self.conv1(images)))
        if self.fails:
            raise RuntimeError("out of order")
        maps = self.relu(self.conv2(first) + first)
        return self.output(self.dropout(maps.mean((2, 3))))

    def train(self, mode=True):
        raise AssertionError("a model's own train may do more than set flags")


def see_activations(model):
    return activations(model, IMAGES, ["conv1", "relu"])["relu"]


def see_filters(model):
    return filter_patterns(model, "conv2", [0, 3], size=12, steps=2)


def see_heat(model):
    with GradCAM(model, "relu") as cam:
        return cam(IMAGES, 1)


def see_default_layer(model):
    name = default_cam_layer(model, IMAGES)
    with torch.inference_mode(False):
        return torch.tensor(list(name.encode()))


WAYS = [see_activations, see_filters, see_heat, see_default_layer]


def awkward(modes=(True, False, True, False, True, False), frozen=(True, False) * 4):
    torch.manual_seed(0)
    model = Awkward()
    for (_, layer), mode in zip(model.named_children(), modes, strict=True):
        layer.training = mode
    for parameter, is_frozen in zip(model.parameters(), frozen, strict=True):
        parameter.requires_grad_(not is_frozen)
        parameter.grad = None if is_frozen else torch.full_like(parameter, 3.0)
    return model


def state(model):
    """Return all that one could notice afterwards."""
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [
            (
                len(module._forward_hooks),
                len(module._backward_hooks),
                len(module._forward_pre_hooks),
            )
            for module in model.modules()
        ],
        "needed": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [
            None if parameter.grad is None else parameter.grad.tolist()
            for parameter in model.parameters()
        ],
        "tensors": {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        "identities": [id(tensor) for tensor in (*model.parameters(), *model.buffers())],
        "random": torch.get_rng_state().tolist(),
        "grad_mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


@pytest.mark.parametrize("see", WAYS)
@settings(max_examples=8, deadline=None)
@given(
    modes=st.lists(st.booleans(), min_size=6, max_size=6),
    frozen=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_nothing_is_left_behind(see, modes, frozen):
    model = awkward(modes, frozen)
    before = state(model)
    see(model)
    assert state(model) == before


@pytest.mark.parametrize("see", WAYS)
def test_nothing_is_left_behind_when_the_model_fails(see):
    model = awkward()
    model.fails = True
    before = state(model)
    with pytest.raises((RuntimeError, InputError), match="out of order"):
        see(model)
    assert state(model) == before


@pytest.mark.parametrize("see", WAYS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_callers_may_have_switched_gradients_off(see, mode):
    model = awkward()
    with mode():
        before = state(model)
        seen = see(model)
        assert state(model) == before
    assert torch.equal(seen, see(awkward()))
    assert not seen.is_inference()


def test_images_made_in_inference_mode_are_taken():
    model = awkward()
    with torch.inference_mode():
        images = IMAGES.clone()
        assert images.is_inference()
        with GradCAM(model, "relu") as cam:
            seen = cam(images, 1)
    assert torch.equal(seen, see_heat(awkward()))


@pytest.mark.parametrize("see", WAYS)
def test_the_result_is_that_of_evaluation_mode(see):
    evaluated = awkward(modes=(False,) * 6, frozen=(True,) * 8)
    assert torch.equal(see(awkward(modes=(True,) * 6)), see(evaluated))


@pytest.mark.parametrize("see", WAYS)
def test_compiled_models_are_seen_too(see):
    model = awkward()
    model.compile(backend="eager")
    assert torch.equal(see(model), see(awkward()))


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_a_model_that_has_run_compiled_is_seen_too(prefix):
    model = awkward(modes=(False,) * 6, frozen=(True,) * 8)
    if prefix:
        model = torch.compile(model, backend="eager")
    else:
        model.compile(backend="eager")
    for _ in range(2):  # what torch has compiled now looks at no hooks
        model(IMAGES)
    with GradCAM(model, f"{prefix}relu") as cam:
        assert torch.equal(cam(IMAGES, 1), see_heat(awkward()))


def test_a_model_in_double_precision_takes_float_images():
    model = awkward().double()
    seen = activations(model, IMAGES, "conv1")["conv1"]
    assert seen.dtype == torch.float64
    assert see_heat(model).dtype == torch.float32
    assert see_filters(model).dtype == torch.float32


class Watcher(lightning.Callback):
    """Looks into the model in the middle of validation."""

    def __init__(self):
        self.seen = []

    def on_validation_batch_end(self, trainer, module, outputs, batch, *_):
        layer = "network.features.relu1"
        with GradCAM(module, layer) as cam:
            self.seen.append(cam(batch[0]))
        self.seen.append(filter_patterns(module, layer, [1], steps=1))
        self.seen.append(activations(module, batch[0], layer)[layer])


def fit(callbacks):
    lightning.seed_everything(0)
    module = ConvNetModule((3, 12, 12), 2, channels=(4,), dense=(8,), dropout=0.5)
    batches = [(IMAGES, torch.tensor([0, 1, 1]))] * 2
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )
    trainer.fit(
        module,
        torch.utils.data.DataLoader(batches, batch_size=None),
        torch.utils.data.DataLoader(batches, batch_size=None),
    )
    return [parameter.tolist() for parameter in module.parameters()]


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_a_callback_may_look_while_lightning_validates():
    watcher = Watcher()
    assert fit([watcher]) == fit([])
    assert [tuple(seen.shape) for seen in watcher.seen[-3:]] == [
        (3, 5, 5),
        (1, 3, 12, 12),
        (3, 4, 5, 5),
    ]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"must be a batch.*use images\.unsqueeze\(0\)"),
        (IMAGES[:0], r"must be a batch"),
        ((IMAGES * 255).byte(), r"got torch\.uint8: use images\.float\(\) / 255"),
        (IMAGES * float("nan"), "not finite"),
        (IMAGES.numpy(), "got a ndarray"),
        (IMAGES[:, :1], r"3 channels, got \(., 1, 12, 12\).*images\.expand\(-1, 3, -1, -1\)"),
        (IMAGES.permute(0, 2, 3, 1), r"images\.permute\(0, 3, 1, 2\)"),
    ],
)
def test_images_that_the_model_does_not_take(images, message):
    with pytest.raises(InputError, match=message):
        activations(awkward(), images, "conv1")
    with pytest.raises(InputError, match=message), GradCAM(awkward(), "conv1") as cam:
        cam(images)
    with pytest.raises(InputError, match=message):
        default_cam_layer(awkward(), images)


def test_a_misspelt_layer_gets_a_suggestion_and_the_list():
    message = "unknown layer 'cnov2'. Did you mean 'conv2'? Accepted: conv1, norm, relu, conv2"
    with pytest.raises(InputError) as caught:
        activations(awkward(), IMAGES, ["conv1", "cnov2"])
    assert message in str(caught.value)
    with pytest.raises(InputError, match="Did you mean 'conv2'"):
        filter_patterns(awkward(), "cnov2", [0])
    with pytest.raises(InputError, match="Did you mean 'conv2'"):
        GradCAM(awkward(), "cnov2")


class Unused(nn.Module):
    """A layer that never runs, and one that gives a tuple."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Conv2d(3, 3, 1)
        self.memory = nn.LSTM(12, 2)

    def forward(self, images):
        return self.memory(images.mean(1))[0].mean(1)


@pytest.mark.parametrize(
    ("layer", "message"), [("spare", "'spare' is not called"), ("memory", "gives a tuple")]
)
def test_layers_that_give_nothing_to_see(layer, message):
    with pytest.raises(InputError, match=message):
        activations(Unused(), IMAGES, layer)
    with pytest.raises(InputError, match=message):
        filter_patterns(Unused(), layer, [0], size=12)
    with pytest.raises(InputError, match=message), GradCAM(Unused(), layer) as cam:
        cam(IMAGES)


def test_a_model_that_is_not_made_yet():
    model = nn.Sequential(nn.LazyConv2d(2, 3), nn.ReLU())
    with pytest.raises(InputError, match="made by its first batch"):
        activations(model, IMAGES, "0")
