"""The arguments that every DataModule takes, said once."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, get_args, get_type_hints

from dlp.errors import InputError, suggestion


class SharedArguments(TypedDict, total=False):
    """What every DataModule takes, by keyword; `SupervisedDataModule` says what each one means.

    A DataModule takes them as ``**shared: Unpack[SharedArguments]`` and hands them on to its base.
    Where a default is another one than the base's, its class says so in `defaults`.
    """

    batch_size: int
    eval_batch_size: int
    val_size: int | float | None
    train_size: int | float | None
    split_seed: int | None
    stratify: bool | None
    num_folds: int | None
    fold: int
    repeat: int
    drop_duplicates: bool


def completed(owner: str, given: SharedArguments, defaults: SharedArguments) -> SharedArguments:
    """Return the shared arguments that were given to a class, and the defaults of the others.

    Raises:
        TypeError: One is none of them: at run time Python takes every keyword.
        InputError: A batch would hold no row.
    """
    arguments: SharedArguments = {**defaults, **given}
    if strange := [name for name in arguments if name not in defaults]:
        raise TypeError(
            f"{owner} has no argument {strange[0]!r}.{suggestion(strange[0], defaults)}"
        )
    for name in ("batch_size", "eval_batch_size"):
        if (size := arguments[name]) < 1:
            raise InputError(f"{name} must be at least 1, got {size}.")
    return arguments


def spell_out(function: Callable[..., Any], defaults: Mapping[str, Any]) -> None:
    """Let the signature of a function name each key of its ``**shared: Unpack[...]``.

    A type checker knows these keys; ``inspect.signature``, ``help()`` and the command line know
    them and their defaults by this alone.

    Args:
        function: It is changed: it gets a ``__signature__``, as decorators give one.
        defaults: Key -> default; a key without one is required.
    """
    signature = inspect.signature(function)
    *own, last = signature.parameters.values() or (None,)
    if last is None or last.kind is not last.VAR_KEYWORD:
        return
    unpacked = last.annotation
    if isinstance(unpacked, str):  # from __future__ import annotations
        unpacked = eval(unpacked, function.__globals__)
    if not get_args(unpacked):  # **kwargs of another kind
        return
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(name, inspect.Parameter.empty),
            annotation=annotation,
        )
        for name, annotation in get_type_hints(get_args(unpacked)[0]).items()
    ]
    function.__signature__ = signature.replace(  # type: ignore[attr-defined] # see PEP 362
        parameters=[*own, *shared]
    )
