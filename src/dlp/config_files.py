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


def _given_twice(node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, int, int]]:
    """Yield each key that stands twice in one mapping, with the lines of both, from 1."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _given_twice(child, prefix)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, child in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            yield f"{prefix}{name}", lines[name], line
        lines[name] = line
        yield from _given_twice(child, f"{prefix}{name}.")
