"""The book's optimizer, and the step of RMSprop in one pass over the weights."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import RMSprop


class KerasRMSprop(RMSprop):
    """RMSprop with the defaults of the book's Keras, which differ from torch's.

    Keras 2.0.8 steps by ``lr * g / (sqrt(v) + eps)`` with a decay of 0.9 and a learning rate of
    0.001; torch's formula is the same, its defaults are 0.99 and 0.01.

    On a CPU a step takes one pass over the weights, in a half to a quarter of the time of torch's;
    its roundings differ from those in the last bit.

    Every default is None, so that a config which names another optimizer takes over none of them.

    Args:
        params: The parameters, or groups of them.
        lr: Learning rate; None is Keras's 0.001.
        alpha: Decay of the running mean of squared gradients (Keras: rho); None is Keras's 0.9.
        eps: Added to its root; None is 1e-8 of the book's Keras.
    """

    usual_eps = 1e-8

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | None = None,
        alpha: float | None = None,
        eps: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=1e-3 if lr is None else lr,
            alpha=0.9 if alpha is None else alpha,
            eps=self.usual_eps if eps is None else eps,
        )

    @torch.no_grad()
    def step(  # type: ignore[override] # an overload less
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """Take a step.

        Args:
            closure: Computes the loss and the gradients anew.

        Returns:
            The loss of the closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not self._moves(self.param_groups):
            inspect.unwrap(RMSprop.step)(self)  # hooks of a step are called around this one
            return loss
        for group in self.param_groups:
            weights = _moved(group)
            self._move(weights, [self._mean_square(weight) for weight in weights], group)
        return loss

    def _moves(self, groups: Sequence[dict[str, Any]]) -> bool:
        """Whether `_move` does what is to be done."""
        return all(map(is_plain, groups))

    def _move(
        self, weights: Sequence[Tensor], means: Sequence[Tensor], group: dict[str, Any]
    ) -> None:
        """Move weights, given the running means of their squared gradients."""
        fused_step(weights, means, group)()

    def _mean_square(self, weight: Tensor) -> Tensor:
        """Return the running mean of a weight's squared gradients, and count the step."""
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            state["square_avg"] = torch.zeros_like(weight)
        state["step"] += 1
        mean: Tensor = state["square_avg"]
        if mean.stride() != weight.stride():  # a checkpoint of weights that lay otherwise in memory
            mean = state["square_avg"] = torch.empty_like(weight).copy_(mean)
        return mean


class Keras3RMSprop(KerasRMSprop):
    """RMSprop of Keras 3, which adds `eps` before it takes the root: ``lr * g / sqrt(v + eps)``.

    With it a run is the same optimisation as one of today's Keras. The defaults are those of
    `KerasRMSprop`, but for an `eps` of 1e-7.
    """

    usual_eps = 1e-7

    def _moves(self, groups: Sequence[dict[str, Any]]) -> bool:
        return True

    def _move(
        self, weights: Sequence[Tensor], means: Sequence[Tensor], group: dict[str, Any]
    ) -> None:
        alpha = group["alpha"]
        for weight, mean in zip(weights, means, strict=True):
            gradient = weight.grad
            assert gradient is not None
            mean.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
            weight.addcdiv_(gradient, mean.add(group["eps"]).sqrt_(), value=-group["lr"])


def is_plain(group: dict[str, Any]) -> bool:
    """Whether `fused_step` does what `torch.optim.RMSprop` does for a group of parameters."""
    chosen = ("momentum", "centered", "weight_decay", "maximize", "capturable", "differentiable")
    return (
        not any(group[name] for name in chosen)
        and group["foreach"] is None
        and not isinstance(group["lr"], Tensor)
        and _FUSED is not None
        and all(_is_dense_on_cpu(weight) for weight in _moved(group))
    )


# Torch gives the kernel no public name. The public ways take longer: a step of one net of 4 and of
# 100 Boston nets takes it 8 and 166 microseconds, torch.optim.adam.adam(fused=True) 17 and 180,
# RMSprop.step 37 and 390; the gradients take 33 and 150. A test looks whether it is there.
_FUSED = getattr(torch, "_fused_adam_", None)
#: The count of steps after which each correction of Adam's is exactly 1.
_LATE = torch.tensor(1e9)


def fused_step(
    weights: Sequence[Tensor], means: Sequence[Tensor], group: dict[str, Any]
) -> Callable[[], None]:
    """Return a step of plain RMSprop in one pass over the weights, which have gradients.

    It is Adam without its first moment and its corrections for the first steps, for which torch
    has a fused kernel: the moment is the gradient itself. The step may be taken again as long as
    each gradient stays the tensor that it is, if that lies in memory as its weight does.

    Args:
        weights: Parameters on the CPU, as `is_plain` asks.
        means: The running mean of the squared gradients of each, which lies as it does in memory.
        group: ``lr``, ``alpha`` and ``eps``, which are read at each step.
    """
    fused, lying = _FUSED, [_in_memory_order(*both) for both in zip(weights, means, strict=True)]
    if not lying or fused is None:
        return lambda: None
    moved = [weight for weight, _, _ in lying]
    gradients = [gradient for _, gradient, _ in lying]
    squares, late = [mean for _, _, mean in lying], [_LATE] * len(lying)

    def step() -> None:
        fused(
            moved,
            gradients,
            gradients,
            squares,
            [],
            late,
            lr=group["lr"],
            beta1=0.0,
            beta2=group["alpha"],
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    return step


def _moved(group: dict[str, Any]) -> list[Tensor]:
    """Return the weights of a group that a step moves; what is frozen has no gradient."""
    return [weight for weight in group["params"] if weight.grad is not None]


def _in_memory_order(weight: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a weight, its gradient and `mean` with the axis of the longest stride first.

    The kernel takes tensors as they lie in memory: those that lie otherwise than their weight it
    would mix up. It copies what is not contiguous: a kernel with its channels last, or a dense
    weight that lies transposed, would take it 2 to 3 times as long.
    """
    gradient = weight.grad
    assert gradient is not None
    if gradient.stride() != weight.stride():
        gradient = torch.empty_like(weight).copy_(gradient)
    if weight.is_contiguous():
        return weight, gradient, mean
    axes = _axes_in_memory(weight)
    return weight.permute(axes), gradient.permute(axes), mean.permute(axes)


def _axes_in_memory(tensor: Tensor) -> list[int]:
    strides = tensor.stride()
    return sorted(range(tensor.ndim), key=lambda axis: -strides[axis])


def _is_dense_on_cpu(weight: Tensor) -> bool:
    """Whether the kernel takes a parameter, which has no gaps in memory, and its gradient."""
    kinds = (torch.float32, torch.float64)
    gradient = weight.grad
    return (
        weight.device.type == "cpu"
        and weight.dtype in kinds
        and (weight.is_contiguous() or weight.permute(_axes_in_memory(weight)).is_contiguous())
        and (gradient is None or (gradient.dtype == weight.dtype and not gradient.is_sparse))
    )
