"""What Lightning does around each step, with less ado: of a step of 1 ms it takes a tenth."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lightning import LightningModule
from lightning.pytorch.profilers import PassThroughProfiler

_NOTHING: AbstractContextManager[None] = nullcontext()


class QuickModule(LightningModule):
    """A `LightningModule` whose plain attributes are given words at once."""

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


class NoProfiler(PassThroughProfiler):
    """Measures nothing, as Lightning's ``PassThroughProfiler``, and makes no generators for it.

    Lightning enters a profiler's context some 70 times a step: of 1,000 microseconds it takes 50.
    """

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override] # Lightning's says it is a generator
        """Return a context that does nothing."""
        return _NOTHING
