import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dlp import dense_product
from dlp.bag_of_words import BagLinear
from dlp.dense_product import linear

ROWS, INPUTS, UNITS = 10, 40, 12
AMD, INTEL = ("vendor_id : AuthenticAMD", "vendor_id : GenuineIntel")

# Torch says these of its own calls, and of other machines' units.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in ("`torch.jit", "There is a performance drop", "TF32 acceleration")
]
by_onednn = pytest.mark.skipif(
    dense_product.PRODUCT is None or not torch.backends.mkldnn.is_available(),
    reason="torch is built without oneDNN",
)


@pytest.fixture
def always(monkeypatch):
    """Let oneDNN compute small products too, on every processor."""
    monkeypatch.setattr(dense_product, "_LEAST", 1)
    monkeypatch.setattr(dense_product, "_is_faster", lambda: True)


class Operations(TorchDispatchMode):
    """Notes the operations below it."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.__name__)
        return function(*args, **(kwargs or {}))


def is_used(call):
    with Operations() as operations:
        call()
    return "_linear_pointwise.default" in operations.names


def tensors(transposed=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    input = torch.randn(ROWS, INPUTS, generator=generator)
    weight = torch.randn(UNITS, INPUTS, generator=generator)
    bias = torch.randn(UNITS, generator=generator)
    return input, weight.t().contiguous().t() if transposed else weight, bias


def test_torch_has_the_operation_where_it_has_onednn():
    assert (dense_product.PRODUCT is not None) == torch.backends.mkldnn.is_available()


@by_onednn
@pytest.mark.parametrize("transposed", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("has_bias", [False, True], ids=["no-bias", "bias"])
def test_output_and_gradients_are_those_of_torch(always, transposed, has_bias):
    both = []
    for function in (linear, F.linear):
        used = [tensor.requires_grad_() for tensor in tensors(transposed)][: 2 + has_bias]
        output = function(*used)
        (output * output.detach().cos()).sum().backward()
        assert used[1].grad.stride() == used[1].stride()  # as the optimizer reads it
        both.append([output, *(tensor.grad for tensor in used)])
    torch.testing.assert_close(*both, rtol=1e-5, atol=1e-5)
    assert is_used(lambda: linear(*tensors(transposed)))


@by_onednn
def test_gradients_are_computed_where_they_are_wanted_alone(always):
    input, weight, bias = tensors()
    weight.requires_grad_()
    with Operations() as operations:
        linear(input, weight, bias).sum().backward()
    assert operations.names.count("_linear_pointwise.default") == 2
    assert input.grad is None
    assert bias.grad is None


@by_onednn
def test_tensors_that_lie_in_any_way(always):
    input, weight, _ = tensors()
    wide = torch.stack([input, input], 2).flatten(1)
    weight = weight.repeat_interleave(2, 1)[:, ::2].requires_grad_()
    output = linear(wide[:, ::2], weight)
    torch.testing.assert_close(output, F.linear(input, weight), rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(output.sum(), weight)  # of a sum: expanded from one number
    torch.testing.assert_close(gradient, input.sum(0).expand_as(weight), rtol=1e-5, atol=1e-5)


@by_onednn
def test_what_is_no_number_stays_so(always):
    input, weight, bias = tensors()
    input[2, 3], input[4, 5] = float("nan"), float("inf")
    output, expected = linear(input, weight, bias), F.linear(input, weight, bias)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5, equal_nan=True)


@by_onednn
def test_second_gradients(always):
    input, weight, bias = tensors()
    input, weight = input.double(), weight.double()
    weight.requires_grad_()

    def norm(function):
        small = weight.float()
        output = function(input.float(), small, bias).square().sum()
        (first,) = torch.autograd.grad(output, small, create_graph=True)
        return torch.autograd.grad(first.square().sum(), weight)[0]

    torch.testing.assert_close(norm(linear), norm(F.linear), rtol=1e-5, atol=1e-5)


@by_onednn
def test_torchs_transforms_of_functions(always):
    input, weight, bias = tensors()
    more = torch.stack([input, 2 * input])

    def checked(of):
        torch.testing.assert_close(of(linear), of(F.linear), rtol=1e-4, atol=1e-4)

    checked(lambda function: torch.vmap(function, (0, None, None))(more, weight, bias))
    checked(
        lambda function: torch.func.grad(lambda w: function(input, w, bias).square().sum())(weight)
    )
    checked(
        lambda function: torch.func.jvp(
            function, (input, weight, bias), (input.sin(), weight.cos(), bias.sin())
        )
    )
    checked(
        lambda function: torch.func.vmap(
            torch.func.grad(lambda w, x: function(x, w, bias).square().sum()), (None, 0)
        )(weight, more)
    )


@by_onednn
def test_others_are_computed_by_torch(always, monkeypatch):
    input, weight, bias = tensors()
    assert is_used(lambda: linear(input, weight, bias))
    assert not is_used(lambda: linear(input.double(), weight.double(), bias.double()))
    assert not is_used(lambda: linear(input[:4], weight, bias))  # few rows
    assert not is_used(lambda: linear(input[None], weight, bias))
    assert not is_used(lambda: linear(input[0], weight, bias))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(input, weight, bias).dtype == torch.bfloat16
    with torch.backends.mkldnn.flags(enabled=False):
        assert not is_used(lambda: linear(input, weight, bias))
    meta = [tensor.to("meta") for tensor in (input, weight, bias)]
    assert linear(*meta).shape == (ROWS, UNITS)
    monkeypatch.setattr(dense_product, "_LEAST", ROWS * INPUTS * UNITS + 1)
    assert not is_used(lambda: linear(input, weight, bias))


@by_onednn
def test_a_layer_is_followed_and_traced_as_torchs(always):
    layer, (input, _, _) = BagLinear(INPUTS, UNITS), tensors()
    traced = torch.jit.trace(layer, input)
    assert "mkldnn" not in str(traced.graph)
    torch.testing.assert_close(traced(input), layer(input), rtol=1e-5, atol=1e-5)
    symbols = torch.fx.symbolic_trace(nn.Sequential(layer))
    torch.testing.assert_close(symbols(input), layer(input), rtol=1e-5, atol=1e-5)


@by_onednn
def test_a_fit_has_the_same_weights(always):
    torch.manual_seed(0)
    network = nn.Sequential(BagLinear(INPUTS, UNITS), nn.ReLU(), BagLinear(UNITS, 1))
    twin, (input, _, _) = copy.deepcopy(network), tensors()
    for each, is_plain in ((network, False), (twin, True)):
        optimizer = torch.optim.RMSprop(each.parameters(), lr=1e-3)
        for _ in range(20):
            optimizer.zero_grad()
            with torch.backends.mkldnn.flags(enabled=not is_plain):
                each(input).square().mean().backward()
            optimizer.step()
    for mine, other in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


@by_onednn
@pytest.mark.parametrize(
    ("capability", "processor", "expected"),
    [("AVX512", AMD, True), ("AVX512", INTEL, False), ("AVX2", AMD, False), ("AVX512", "", False)],
)
def test_the_processor_decides(monkeypatch, capability, processor, expected):
    monkeypatch.setattr(dense_product, "_processor", lambda: processor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert dense_product._is_faster.__wrapped__() is expected
