"""What Lightning asks of a module many times a step, with less ado."""

from typing import Any

from lightning import LightningModule
from torch.optim import Optimizer


class QuickModule(LightningModule):
    """A `LightningModule` for steps so short that what is done around them shows."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute.

        Before and after each of its hooks Lightning notes the hook's name here, 50 times a step.
        ``nn.Module`` looks each time whether it is a parameter, a module or a buffer, for 60 of
        1,000 microseconds; a plain attribute stays one when it is given a word.
        """
        if (value is None or type(value) is str) and name in vars(self):
            vars(self)[name] = value
        else:
            super().__setattr__(name, value)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Let go of the gradients; torch's own way tells a profiler too, for 20 microseconds."""
        if getattr(optimizer.zero_grad, "__func__", None) is not Optimizer.zero_grad:
            optimizer.zero_grad()
            return
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = None
