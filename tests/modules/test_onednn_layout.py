import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dlp.modules import onednn_layout
from dlp.modules.networks import ConvNet

fast = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available()
    or torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="oneDNN has no fast kernels for this CPU",
)
NETS = {
    "grey": ((1, 20, 20), {"channels": (4, 8, 6), "pool": (2, 2, 0)}),
    "colour": ((3, 22, 19), {"channels": (5, 16), "pool": (2, 2)}),
    "same": ((3, 16, 16), {"channels": (4, 8), "padding": "same", "kernel_size": (5, 3)}),
    "linear": ((2, 12, 12), {"channels": (4,), "activation": "linear"}),
}


def net(kind="colour"):
    torch.manual_seed(0)
    shape, arguments = NETS[kind]
    return ConvNet(shape, 3, dense=(6,), **arguments)


def batch(kind="colour", rows=6):
    images = torch.rand(rows, *NETS[kind][0], generator=torch.Generator().manual_seed(1))
    return images.contiguous(memory_format=torch.channels_last)


def plainly(network, images):
    """Run the layers as torch does by itself."""
    return network.classifier(network.features(images))


def gradients(network, logits):
    targets = torch.arange(len(logits)) % 3
    loss = F.cross_entropy(logits.float(), targets)
    return torch.autograd.grad(loss, list(network.parameters()))


@fast
@pytest.mark.parametrize("kind", NETS)
def test_logits_and_gradients_are_those_of_the_plain_layers(kind):
    network, images = net(kind), batch(kind)
    assert onednn_layout.can_run(network.features, images)
    logits = network(images)
    expected = plainly(network, images)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
    ours, theirs = gradients(network, logits), gradients(network, expected)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.layout == torch.strided
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


@fast
def test_the_first_of_equal_numbers_gets_the_gradient_in_both():
    network, images = net("grey"), torch.zeros(4, 1, 20, 20)  # equal in every window
    for mine, other in zip(
        gradients(network, network(images)),
        gradients(network, plainly(network, images)),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


@fast
@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512", reason="the plain layers serve bfloat16"
)
def test_bfloat16_is_that_of_autocast():
    network, images = net(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        assert onednn_layout.can_run(network.features, images)
        features = onednn_layout.run(network.features, images)
        expected = network.features(images)
        ours = gradients(network, network(images))
        theirs = gradients(network, plainly(network, images))
    exact = gradients(network, plainly(network, images))
    assert features.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(features, expected, rtol=0.03, atol=0.02)
    for mine, other, true in zip(ours, theirs, exact, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - true).norm() < 1.5 * (other - true).norm() + 0.01 * true.norm()


@fast
@pytest.mark.parametrize("place", ["image", "weight", "bias", "infinite"])
def test_what_is_not_a_number_stays_visible(place):
    network, images = net(), batch()
    with torch.no_grad():
        if place == "image":
            images[0, 0, 3, 3] = torch.nan
        elif place == "infinite":
            network.features.conv1.weight[0] = torch.inf
        else:
            getattr(network.features.conv1, place)[0] = torch.nan
    assert not onednn_layout.can_run(network.features, images)
    assert network(images).isnan().any()


@fast
def test_numbers_that_would_overflow_within_are_left_to_the_plain_layers():
    network = net()
    with torch.no_grad():
        network.features.conv2.weight.mul_(1e30)
    assert not onednn_layout.can_run(network.features, batch())


@fast
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize(
    "register",
    [
        lambda layer, seen: layer.register_forward_hook(lambda *given: seen.append(given[2])),
        lambda layer, seen: layer.register_forward_pre_hook(lambda _, given: seen.append(*given)),
        lambda layer, seen: layer.register_full_backward_hook(
            lambda *given: seen.append(*given[2])
        ),
        lambda layer, seen: layer.register_full_backward_pre_hook(lambda _, g: seen.append(*g)),
    ],
)
@pytest.mark.parametrize("place", ["pool1", ""])
def test_whoever_looks_into_the_layers_sees_plain_tensors(register, place):
    network, images, seen = net(), batch(), []
    hook = register(network.features.get_submodule(place), seen)
    gradients(network, network(images.requires_grad_()))
    network.zero_grad()
    network(images.detach()).sum().backward()
    assert seen
    assert {tensor.layout for tensor in seen if tensor is not None} == {torch.strided}
    hook.remove()
    assert onednn_layout.can_run(network.features, images.detach())


@fast
@pytest.mark.parametrize("mixed", [False, True])
def test_frozen_layers_may_stand_before_trained_ones(mixed):
    network, images = net(), batch()
    network.features.conv1.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        network(images).sum().backward()
    assert network.features.conv1.weight.grad is None
    assert network.features.conv2.weight.grad.abs().sum() > 0
    network.features.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        network(images).sum().backward()
    assert network.classifier.output.weight.grad.abs().sum() > 0


@fast
def test_a_hook_that_looks_at_no_numbers_changes_nothing():
    network, images, shapes = net(), batch(), []
    hook = onednn_layout.for_any_layout(lambda _, __, output: shapes.append(tuple(output.shape)))
    network.features.conv1.register_forward_hook(hook)
    assert onednn_layout.can_run(network.features, images)
    network(images)
    assert shapes == [(6, 5, 20, 17)]


@fast
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_only_training_on_what_is_computed_in_float32_or_bfloat16_is_run():
    network, images = net(), batch()
    layers = network.features
    assert onednn_layout.can_run(layers, images)
    assert not onednn_layout.can_run(layers, images.double())
    assert not onednn_layout.can_run(layers, images[:0])
    assert not onednn_layout.can_run(layers, images.clone().requires_grad_())
    assert not onednn_layout.can_run(copy.deepcopy(layers).double(), images)
    with torch.no_grad():
        assert not onednn_layout.can_run(layers, images)
    with torch.backends.mkldnn.flags(enabled=False):
        assert not onednn_layout.can_run(layers, images)
    with torch.autocast("cpu", torch.float16):
        assert not onednn_layout.can_run(layers, images)
    layers.eval()
    assert not onednn_layout.can_run(layers, images)
    for activation in ("tanh", "gelu"):
        other = ConvNet((3, 22, 19), 3, (4,), activation=activation)
        assert not onednn_layout.can_run(other.features, images)
        assert other(images).shape == (6, 3)
    even = ConvNet((3, 22, 19), 3, (4,), kernel_size=2, padding="same")
    assert not onednn_layout.can_run(even.features, images)
    normed = net()
    nn.utils.parametrizations.weight_norm(normed.features.conv1)
    assert not onednn_layout.can_run(normed.features, images)


@fast
def test_a_convnet_of_torch_func_is_trained_too():
    network, images = net(), batch()
    weights = {name: weight.detach() for name, weight in network.named_parameters()}

    def loss(weights):
        return torch.func.functional_call(network, weights, (images,)).square().mean()

    given = torch.func.grad(loss)(weights)
    expected = torch.autograd.grad(network(images).square().mean(), list(network.parameters()))
    for mine, other in zip(given.values(), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
