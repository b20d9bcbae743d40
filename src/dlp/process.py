"""What a command changes in its process, and puts back when it ends."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.seed import isolate_rng

from dlp.errors import InputError
from dlp.stops import Terminated

#: Lines and warnings of Lightning 2.6 that say nothing about the user's work.
_TIPS = (
    "💡 Tip",
    "GPU available: False",
    "TPU available: False",
    "`weights_only` was not set",
    "Trainer already configured with model summary",
    "\nDetected KeyboardInterrupt",  # the command says what is kept
)
_LOGGERS = ("utilities.rank_zero", "trainer.connectors.checkpoint_connector")
_WARNINGS = (
    r"\s*\S+( parameter)? was deprecated in v4\.\d+\.0 and",  # its calls of jsonargparse
    r"\s*By default only one JsonargparseDeprecationWarning",  # the preface of these
    "Be aware that when using `ckpt_path`, callbacks",  # a test needs none of the fit's callbacks
    ".*LeafSpec.*",  # Lightning calls a deprecated helper of torch's pytree
    ".*does not have many workers.*",  # our batches are slices of memory
    ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run writes where it was
)


@contextmanager
def quiet(*more: str) -> Iterator[None]:
    """Leave out Lightning's tips while a command runs, and nothing else.

    Args:
        more: Beginnings of further lines to leave out.
    """

    def wanted(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith((*_TIPS, *more))

    loggers = [logging.getLogger(f"lightning.pytorch.{name}") for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(wanted)
    with warnings.catch_warnings():
        for message in _WARNINGS:
            warnings.filterwarnings("ignore", message)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(wanted)


@contextmanager
def own_random_state() -> Iterator[None]:
    """Seed for the command alone: generators and Lightning's variables are put back after it."""
    names = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
    before = {name: os.environ.get(name) for name in names}
    try:
        with isolate_rng():
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Lightning's exits after Ctrl-C and SIGTERM back into what they were, and listen again.

    Raises:
        KeyboardInterrupt: For Ctrl-C; `Terminated` for SIGTERM.
    """
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as exit_:
        stop = Terminated() if isinstance(exit_, SIGTERMException) else exit_.__context__
        if not isinstance(stop, KeyboardInterrupt):
            raise
        raise type(stop)(*stop.args) from exit_
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def cpu_threads(number: int) -> Iterator[None]:
    """Let torch use `number` CPU threads inside the block.

    Raises:
        InputError: The number is not positive.
    """
    if number < 1:
        raise InputError(f"threads must be 1 to {os.cpu_count()}, got {number}.")
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take floats below the smallest normal one (1e-38) for zero inside the block.

    The running averages of RMSprop decay to such numbers where a unit is dead, and a CPU computes
    with them many times slower. It holds for the calling thread; where the CPU knows no such mode,
    nothing changes.
    """
    before = _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushes_denormals() -> bool:
    """Whether they are taken for zero now: torch has no call that tells."""
    smallest = torch.tensor(torch.finfo(torch.float32).tiny, dtype=torch.float32)
    return not (smallest / 2).item()
