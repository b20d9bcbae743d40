"""Drawing in a process beside a command's own: Matplotlib loads there while torch loads here.

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

from dlp.visualization.files import save_drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_P = ParamSpec("_P")
_DRAWN = b"+"
_helper: subprocess.Popen[bytes] | None = None


def begin() -> None:
    """Start the process, where it has a core of its own.

    It ends when this one does, however that is, since nothing more comes to its input. Ctrl-C is
    for this process alone.
    """
    global _helper
    words = [sys.executable, "-P", "-c", "from dlp.visualization.beside import serve; serve()"]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"  # of the processes of one fit
    if is_first and (os.cpu_count() or 1) > 1:
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
    if _helper is not None and _helper.stdin is not None and _helper.stdout is not None:
        with suppress(OSError):
            _helper.stdin.write(pickle.dumps((path.absolute(), make, args, kwargs)))
            if _helper.stdout.read(1) == _DRAWN:
                return
    save_drawing(make(*args, **kwargs), path)  # or says why it cannot be done


def serve() -> None:
    """Draw what is asked for on the standard input, until it ends."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401

    with os.fdopen(os.dup(1), "wb", buffering=0) as answers, suppress(EOFError):
        while True:
            path, make, args, kwargs = pickle.load(sys.stdin.buffer)
            save_drawing(make(*args, **kwargs), path)
            answers.write(_DRAWN)
