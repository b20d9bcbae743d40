"""Settings of the process while a recipe runs: torch's threads and Lightning's messages."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from jsonargparse import Namespace
from lightning import Callback, LightningModule, Trainer

from dlp.console import quieted

#: On two cores, layers with at most this many units are slower on two threads than on one.
_FEW_UNITS = 256
#: Torch's number of threads before the outermost `process_settings`; None while none is active.
_own_number: int | None = None


def num_threads(config: Namespace) -> int:
    """Return the number of CPU threads that torch uses while a config's command or Trainer runs.

    By default it is one thread for a dense net on a CPU whose layers have at most 256 units.
    """
    if config.threads:
        return int(config.threads)
    model = config.model
    is_small = (
        model.class_path == "dlp.modules.DenseModule"
        and max(model.init_args.hidden, default=0) <= _FEW_UNITS
    )
    if is_small and not torch.accelerator.is_available():
        return 1
    return own_number_of_threads()


def own_number_of_threads() -> int:
    """Return the number of threads that torch uses outside of a recipe."""
    return _own_number or torch.get_num_threads()


@contextmanager
def process_settings(number: int) -> Iterator[None]:
    """Set torch's number of threads and silence Lightning's tips inside the block."""
    global _own_number
    outer_own = _own_number
    outer = torch.get_num_threads()
    _own_number = own_number_of_threads()
    torch.set_num_threads(number)
    try:
        with quieted():
            yield
    finally:
        torch.set_num_threads(outer)
        _own_number = outer_own


class ProcessSettings(Callback):
    """Callback that applies `process_settings` during a fit, a test or a prediction.

    Args:
        number: Number of CPU threads of torch.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._settings = ExitStack()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Apply the settings."""
        self._settings.enter_context(process_settings(self.number))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the previous settings."""
        self._settings.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore the previous settings."""
        self._settings.close()
