"""One stacked step beside the model's own, and what the models of one stack have in common."""

import warnings
from collections.abc import Hashable

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from dlp.folds.stacked.blocks import blocks_of
from dlp.folds.stacked.network import StackedNet, widened
from dlp.modules.base import SupervisedModule

#: Rows that the two steps are compared on.
_ROWS = 64
#: How far they may be apart, as a share of the largest number: rounding is a thousandth of that.
_TOLERANCE = 1e-3
#: Most steps of a schedule that are looked at.
_STEPS = 1000


def differs(model: SupervisedModule, inputs: Tensor, targets: Tensor) -> bool:
    """Whether a stacked step gives other logits or gradients than the model's own step.

    Nothing is dropped in either, and the model is left as it was.

    Args:
        model: A model in training mode, of which nothing else is known to keep it from a stack.
        inputs: Its training inputs, of which the first rows are taken.
        targets: Their targets.

    Raises:
        InputError: The targets do not fit the head.
    """
    inputs, targets, head = inputs[:_ROWS], targets[:_ROWS], model.head
    weights = [*model.parameters()]
    before = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    model.eval()
    try:
        logits = model(inputs)
        head.check(logits, targets)
        targets = head.prepare(targets)
        penalty = torch.as_tensor(model.penalty())
        (head.loss(logits, targets) + penalty).backward()  # type: ignore[no-untyped-call] # torch has no types for it
        theirs = [block.linear.weight.grad for block in blocks_of(model.network)]
        theirs += [block.linear.bias.grad for block in blocks_of(model.network)]
    finally:
        model.train()
        for weight, gradient in zip(weights, before, strict=True):
            weight.grad = gradient
    with torch.no_grad():
        net = StackedNet([model.network], head.loss, model.l1, model.l2)
        net.bind(len(inputs))
        found = torch.empty_like(logits).unsqueeze(0)
        targets = widened(targets, logits.shape[1]).to(logits).unsqueeze(0)
        net.gradient(inputs.flatten(1).to(logits).unsqueeze(0), targets, found)
        views = net.gradients()
    ours = [kernel[0].t() for kernel, _ in views] + [bias[0, 0] for _, bias in views]
    pairs = [(logits, found[0]), (penalty, net.penalty()[0]), *zip(theirs, ours, strict=True)]
    return not all(mine is not None and _is_close(mine, other) for mine, other in pairs)


def _is_close(mine: Tensor, other: Tensor) -> bool:
    scale = float(mine.detach().abs().nan_to_num().max()) or 1.0
    return torch.allclose(mine, other, rtol=0, atol=_TOLERANCE * scale, equal_nan=True)


def stack_kind(model: SupervisedModule, max_epochs: int) -> Hashable:
    """Return what models of one stack have in common: all but weights, seeds and target scaling.

    Args:
        model: A model that can be stacked.
        max_epochs: How far a schedule is looked at.
    """
    head, weight = model.head, nn.Parameter(torch.zeros(1, 1))
    optimizer = model.make_optimizer([weight])
    options: list[object] = [options_of(optimizer)]
    if model.make_scheduler is not None:
        scheduler = model.make_scheduler(optimizer)
        options += [type(scheduler), options_of(optimizer)]
        steps = max_epochs
        if isinstance(scheduler, OneCycleLR | CyclicLR):
            steps = getattr(scheduler, "total_steps", _STEPS) - 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fit says again what a schedule warns of
            for _ in range(min(steps, _STEPS)):
                optimizer.step()
                scheduler.step()
                options.append(options_of(optimizer))
    blocks = tuple(block.kind for block in blocks_of(model.network))
    metrics = tuple(model.meters["val"].metrics)
    objective = type(head), head.num_logits, head.loss, model.l1, model.l2, metrics
    return blocks, objective, type(optimizer), tuple(options)


def options_of(optimizer: torch.optim.Optimizer) -> tuple[tuple[str, object], ...]:
    """Return the options of an optimizer with one group of parameters."""
    (group,) = optimizer.param_groups
    return tuple((name, value) for name, value in group.items() if name != "params")
