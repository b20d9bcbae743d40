"""How a command is stopped: Ctrl-C and SIGTERM end it in order, with a line and a true status."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

_WORDS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken as Ctrl-C is: what is open is closed on the way out."""


class Stops:
    """Listens to Ctrl-C and SIGTERM while a command runs; a handler of the user's stays.

    What a library makes of the exception on its way is no matter: `received` says what came.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._process = os.getpid()
        self._before: dict[signal.Signals, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> "Stops":
        """Begin to listen, in the main thread alone (Python gives signals to no other)."""
        if threading.current_thread() is threading.main_thread():
            usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
            for number, handler in usual.items():
                if signal.getsignal(number) == handler:
                    self._before[number] = handler
                    signal.signal(number, self._stop)
        return self

    def __exit__(self, *raised: object) -> None:
        """Put back what was there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process and number == signal.SIGTERM:  # of a forked worker
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = signal.Signals(number)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def number_of(self, error: BaseException) -> signal.Signals | None:
        """Return the signal that ends the command by `error`; None if none does."""
        if self.received is None and isinstance(error, KeyboardInterrupt):
            return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        return self.received


def words(number: signal.Signals, error: BaseException) -> str:
    """Return what to say of a command that a signal has stopped.

    Args:
        number: The signal.
        error: What it raised; its text says what is kept and how to go on.
    """
    said = str(error) if isinstance(error, KeyboardInterrupt) else ""
    return f"stopped by {_WORDS[number]}. {said}".rstrip()


def stop_again(stop: KeyboardInterrupt, message: str) -> NoReturn:
    """Raise a stop again with what is kept and how to go on; a text it has already stays.

    Raises:
        KeyboardInterrupt: Of the same kind.
    """
    raise type(stop)(str(stop) or message) from stop
