"""Settings of the process while a recipe computes: torch's threads, Lightning's messages."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from lightning import Callback, LightningModule, Trainer

from dlp.console import quieted

#: Number of threads outside of every block of `process_settings`; None outside of them.
_own_number: int | None = None


def own_number_of_threads() -> int:
    """Return torch's number of threads without the settings of a recipe."""
    return _own_number or torch.get_num_threads()


@contextmanager
def process_settings(num_threads: int) -> Iterator[None]:
    """Compute on a number of threads and without Lightning's tips inside the block."""
    global _own_number
    own_number = _own_number
    _own_number = own_number_of_threads()
    number = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        with quieted():
            yield
    finally:
        torch.set_num_threads(number)
        _own_number = own_number


class ProcessSettings(Callback):
    """Callback that holds the settings from the start to the end of a fit, test or prediction.

    Args:
        num_threads: Number of CPU threads of torch.
    """

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads
        self._settings = ExitStack()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set them."""
        self._settings.enter_context(process_settings(self.num_threads))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore them."""
        self._settings.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore them."""
        self._settings.close()
