"""The one way the project speaks to a person: printed lines, and bars on terminals."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from lightning.pytorch.utilities import rank_zero_only
from tqdm.auto import tqdm

#: Fewer images are done before a bar could be read.
_MANY = 500

T = TypeVar("T")


@rank_zero_only
def say(message: str) -> None:
    """Print one line at once (pipes and notebooks included)."""
    print(message, flush=True)


class _Lines:
    """A file for tqdm that passes on what a bar says last, as one line."""

    def __init__(self) -> None:
        self._line = ""

    def write(self, text: str) -> None:
        """Take what overwrites the line; pass it on at its end."""
        *ended, rest = text.replace("\x1b[A", "").split("\n")
        for piece in ended:
            self._overwrite(piece)
            if self._line.strip():
                print(self._line.rstrip(), file=sys.stderr, flush=True)
            self._line = ""
        self._overwrite(rest)

    def _overwrite(self, text: str) -> None:
        _, overwrites, last = text.rpartition("\r")
        self._line = last if overwrites else self._line + last


def bar_file() -> _Lines | None:
    """Return where tqdm draws: None, its own place, on a terminal and in a notebook.

    Elsewhere (a pipe, the log of a scheduler) nothing can be overwritten: a bar is a line there,
    written when it ends.
    """
    return None if sys.stderr.isatty() or "ipykernel" in sys.modules else _Lines()


def image_bar(items: Iterable[T], title: str, unit: str, total: int, images: int) -> Iterable[T]:
    """Return `total` items, which move a bar where they are of many `images`, in one process."""
    hidden = images < _MANY or getattr(rank_zero_only, "rank", 0) > 0
    bar: Iterable[T] = tqdm(
        items, title, total, unit=unit, leave=False, disable=hidden, file=bar_file()
    )
    return bar
