"""Number of CPU threads of torch, set for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning import Callback, LightningModule, Trainer


@contextmanager
def num_threads(number: int) -> Iterator[None]:
    """Run a block with a number of CPU threads of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class NumThreads(Callback):
    """Number of CPU threads of torch during a fit, a validation, a test or a prediction.

    Args:
        number: Number of threads.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._before: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set the number."""
        self._before = torch.get_num_threads()
        torch.set_num_threads(self.number)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the number that was set before."""
        if self._before is not None:
            torch.set_num_threads(self._before)
            self._before = None

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore the number: Lightning calls no `teardown` after an error."""
        self.teardown(trainer, pl_module, "")
