"""The product of a dense layer by oneDNN, where it is faster than torch's own way.

Torch gives matrix products of float32 to MKL, which does not use the AVX-512 units of AMD's
processors: there oneDNN, which torch has for convolutions, takes half the time (a layer from 8,192
to 256 units on 20 rows: 0.93, 0.80 and 0.90 ms for output, gradient of the weight and of the input;
oneDNN 0.35, 0.44 and 0.47). On Intel's both are alike, and with AVX2 alone oneDNN gains a tenth:
there nothing changes. The results differ in their rounding.
"""

import platform
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

#: What oneDNN multiplies by; None where torch lacks it: `torch.nn.functional.linear` serves then.
#: Torch's compiler calls it; for plain tensors torch has no public way to it. Those to oneDNN take
#: longer: a 1 x 1 convolution 1.0 and 0.8 ms for output and gradient of the above, tensors in
#: oneDNN's layout 6.3 for both. A test looks whether it is there.
PRODUCT = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
#: Multiplications below which Python's part of the gradient takes what is gained.
_LEAST = 2**22
#: Rows below which reading the weight takes the time, whoever multiplies.
_ROWS = 8


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``torch.nn.functional.linear(input, weight, bias)``, (N, out_features).

    Args:
        input: (N, in_features).
        weight: (out_features, in_features), whichever way it lies in memory.
        bias: (out_features,).
    """
    if not _pays(input, weight, bias):
        return F.linear(input, weight, bias)
    return cast(Tensor, _Linear.apply(input, weight, bias))  # type: ignore[no-untyped-call] # torch has none


class _Linear(torch.autograd.Function):
    """``input @ weight.T + bias`` with all its products by oneDNN."""

    generate_vmap_rule = True

    @staticmethod
    def forward(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _product(input, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], _: Tensor) -> None:
        input, weight, bias = inputs
        ctx.save_for_backward(input, weight)
        ctx.save_for_forward(input, weight)
        ctx.has_bias = bias is not None

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, (input, weight) = gradients[0], ctx.saved_tensors
        of_input = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_input = _either(gradient, weight.t())
        if ctx.needs_input_grad[1] and weight.is_contiguous():
            of_weight = _either(gradient.t(), input.t())
        elif ctx.needs_input_grad[1]:  # as the weight lies
            of_weight = _either(input.t(), gradient.t()).t()
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(0)
        return of_input, of_weight, of_bias

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        (input, weight), (of_input, of_weight, of_bias) = ctx.saved_tensors, tangents
        terms = [] if of_bias is None else [of_bias.expand(len(input), -1)]
        terms += [] if of_input is None else [F.linear(of_input, weight)]
        terms += [] if of_weight is None else [F.linear(input, of_weight)]
        return torch.stack(terms).sum(0)


def _product(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    assert PRODUCT is not None
    output: Tensor = PRODUCT(input, weight, bias, "none", [], "")
    return output


def _either(input: Tensor, weight: Tensor) -> Tensor:
    """Return ``input @ weight.T``; of torch where a gradient of this gradient is wanted."""
    return F.linear(input, weight) if torch.is_grad_enabled() else _product(input, weight)


def _pays(input: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether oneDNN has the product, and is faster."""
    return (
        isinstance(input, Tensor)  # what follows a network by its symbols gives no tensor
        and not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call] # not typed
        and not torch.compiler.is_compiling()
        and input.ndim == 2
        and len(input) >= _ROWS
        and len(input) * weight.numel() >= _LEAST
        and all(_is_plain(tensor) for tensor in (input, weight, bias) if tensor is not None)
        and not torch.is_autocast_enabled("cpu")
        and bool(torch.backends.mkldnn.enabled)
        and _is_faster()
    )


def _is_plain(tensor: Tensor) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and tensor.layout == torch.strided
    )


@cache
def _is_faster() -> bool:
    """Whether MKL leaves units of this processor unused that oneDNN knows."""
    return (
        PRODUCT is not None
        and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call] # not typed
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call] # not typed
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and "AuthenticAMD" in _processor()
    )


def _processor() -> str:
    """Return what the system says of its processors, with the maker's name."""
    known = Path("/proc/cpuinfo")  # of Linux, where `platform` says no more than x86_64
    return known.read_text(encoding="utf-8") if known.is_file() else platform.processor()
