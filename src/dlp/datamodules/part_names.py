"""What the name of a file or folder tells: which part of a set it is, or that it is no data."""

import re
from typing import Literal

NamedPart = Literal["train", "val", "test"]

_WORDS: dict[str, NamedPart] = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev", "devset"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "eval", "evaluation"), "test"),
}


def part_of(name: str) -> NamedPart | None:
    """Return the part that a name such as ``Train``, ``test_set`` or ``train-00000.csv`` tells.

    None where no word of it is such a name, or several are.
    """
    words = re.split(r"[^a-z]+", name.lower())
    found = {_WORDS[word] for word in words if word in _WORDS}
    return found.pop() if len(found) == 1 else None


def is_seen(name: str) -> bool:
    """Whether a file or folder is one of the person's own: not hidden, no ``__MACOSX``."""
    return not name.startswith(".") and name != "__MACOSX"
