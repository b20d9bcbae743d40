"""Drawing in a process beside a command's own: Matplotlib loads there while this one trains.

Importing Matplotlib and drawing learning curves take half a second, a fifth of a short command.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from dlp.cores import num_cores
from dlp.visualization.files import save_drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_P = ParamSpec("_P")
_DRAWN = b"+"
_allowed = False
_helper: subprocess.Popen[bytes] | None = None


def allow() -> None:
    """Allow `begin` to start a process: in that of the console script nothing else runs."""
    global _allowed
    _allowed = True


def begin() -> None:
    """Start the process, where one is allowed and has a core of its own.

    It ends when this one does, however that is, since nothing more comes to its input. Ctrl-C is
    for this process alone.
    """
    global _helper
    words = [sys.executable, "-P", "-c", "from dlp.visualization.beside import serve; serve()"]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    if _allowed and _helper is None and num_cores() > 1:
        with suppress(OSError):  # no more processes are allowed: this one draws
            _helper = subprocess.Popen(
                words, 0, stdin=pipe, stdout=pipe, stderr=nothing, start_new_session=True
            )


def draw(path: Path, make: "Callable[_P, Figure]", *args: _P.args, **kwargs: _P.kwargs) -> None:
    """Write the figure that a function makes: in the process beside this one, if there is one.

    Args:
        path: Of the file.
        make: Of a module that needs no torch.
        args: What it is given, which can be pickled.
        kwargs: See `args`.

    Raises:
        InputError: It cannot be written there.
    """
    if "matplotlib" in sys.modules or not _is_drawn((path.absolute(), make, args, kwargs)):
        save_drawing(make(*args, **kwargs), path)  # as it was told to, or to say why it cannot


def _is_drawn(request: object) -> bool:
    """Ask the process beside this one, and return whether it has done it."""
    if _helper is None or _helper.stdin is None or _helper.stdout is None:
        return False
    rest = memoryview(pickle.dumps(request))
    with suppress(OSError):
        while rest:
            rest = rest[_helper.stdin.write(rest) :]
        return _helper.stdout.read(1) == _DRAWN
    return False


def serve() -> None:
    """Draw what is asked for on the standard input, until it ends."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401 - loaded ahead of the first request

    answers = os.dup(1)
    os.dup2(2, 1)  # what is printed is no answer
    with suppress(EOFError):
        while True:
            path, make, args, kwargs = pickle.load(sys.stdin.buffer)
            save_drawing(make(*args, **kwargs), path)
            os.write(answers, _DRAWN)
