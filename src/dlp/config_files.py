"""Configs as files: YAML, in UTF-8, each key once; anything else is said before it is used."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dlp.errors import InputError


def read_config(path: Path) -> dict[str, Any]:
    """Return what a config holds; an empty dict for an empty file.

    Raises:
        InputError: It cannot be read, is not UTF-8 or no YAML of keys, or a key is given twice:
            YAML would take the last one, and drop the others without a word.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        loader = yaml.SafeLoader(text)
        tree = loader.get_single_node()
        twice = [] if tree is None else [*_given_twice(tree)]  # now: construction merges keys
        read = None if tree is None else loader.construct_document(tree)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x} in line {line}): "
            "save it as UTF-8."
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
    for key, first, again in twice:
        raise InputError(
            f"{path} gives {key} twice (lines {first} and {again}), and YAML would drop the first: "
            "put both into one."
        )
    if read is not None and not isinstance(read, dict):
        raise InputError(f"{path} holds no keys, but {str(read)[:40]!r}: is it a config?")
    return read or {}


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each dotted key without ``init_args``, and its value."""
    if not isinstance(tree, Mapping):
        yield prefix, tree
        return
    for key, value in tree.items():
        inner = ".".join(part for part in (prefix, str(key)) if part and part != "init_args")
        yield from leaves(value, inner)


def _given_twice(
    node: yaml.Node, prefix: str = "", lines: dict[str, tuple[int, bool]] | None = None
) -> Iterator[tuple[str, int, int]]:
    """Yield each key that is given twice, with the lines of both, from 1.

    Keys may be dotted, and ``init_args`` is left out where it is: a value has more than one way to
    be written.

    Args:
        node: What is read.
        prefix: The dotted key that holds it, with a point.
        lines: Dotted key -> its line and whether it holds keys, as far as the file was read.
    """
    lines = {} if lines is None else lines
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _given_twice(child, prefix, {})  # each has keys of its own
    if not isinstance(node, yaml.MappingNode):
        return
    here = set[str]()
    for key, child in node.value:
        name, line = f"{prefix}{key.value}", key.start_mark.line + 1
        short = name.replace(".init_args.", ".")
        holds_keys = isinstance(child, yaml.MappingNode)
        if short in lines and (name in here or not (holds_keys and lines[short][1])):
            yield name, lines[short][0], line
        lines.setdefault(short, (line, holds_keys))
        here.add(name)
        yield from _given_twice(child, f"{name}.", lines)
