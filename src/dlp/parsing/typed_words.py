"""The words of a command line as keys and values, before anything is known of the keys."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dlp.errors import InputError
from dlp.named_configs import recipes, variations


class Word(NamedTuple):
    """An option of a command line.

    Args:
        key: Its name, without dashes.
        value: Its value as YAML reads it; a list where there are several, None where there is none.
        lacks_value: Whether it has none and needs one.
    """

    key: str
    value: Any
    lacks_value: bool = False


def read_words(words: Sequence[str], options: Mapping[str, Any]) -> Iterator[Word]:
    """Yield the options of a command line in their order.

    Args:
        words: The words after the command's name.
        options: Each option's name, without dashes -> how many values it takes, as argparse has it
            (None for one). Keys that are no options take one.

    Raises:
        InputError: A word belongs to no option.
    """
    place = 0
    last: tuple[str, str] | None = None  # an option that has its one value already
    while place < len(words):
        word = words[place]
        place += 1
        if not _is_option(word):
            raise _stray(word, last)
        if word == "--":
            raise InputError("-- stands alone: an option is one word, such as --config NAME.")
        name, equals, text = word.partition("=")
        name = "config" if name == "-c" else name.lstrip("-")
        count = options.get(name)
        taken = [text] if equals else []
        most = {None: 1, "?": 1}.get(count, count if isinstance(count, int) else len(words))
        while not equals and len(taken) < most and place < len(words):
            if _is_option(words[place]):
                break
            taken.append(words[place])
            place += 1
        if not taken:
            yield Word(name, None, count not in (0, "?", "*"))
        elif count in (None, 0, "?"):
            yield Word(name, _value(taken[0]))
        else:
            yield Word(name, [_value(one) for one in taken])
        last = (name, taken[0]) if taken and count is None else None


def _is_option(word: str) -> bool:
    """Whether a word begins an option: a dash, and no negative number after it."""
    return word.startswith("-") and len(word) > 1 and not word[1:2].isdigit() and word[1] != "."


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _stray(word: str, last: tuple[str, str] | None) -> InputError:
    """Return the error for a word that belongs to no option."""
    path = Path(word)
    if word in {**recipes(), **variations()} or path.suffix in (".yaml", ".yml"):
        return InputError(f"{word} is a config: give it by --config {word}")
    if path.suffix == ".ckpt":
        return InputError(f"{word} is a checkpoint: give it by --ckpt_path {word}")
    if "=" in word:
        return InputError(f"{word!r} is no option: options begin with two dashes, --{word}")
    if last is not None and last[0] != "config":
        name, value = last
        return InputError(
            f"--{name} has its value already, {value!r}, and {word!r} follows. A list is one word: "
            f"--{name} [{value.strip('[]')},{word}]"
        )
    return InputError(f"{word!r} is no option: these begin with two dashes, as --config NAME does.")
