"""What may stand at a key of a config, read from the signatures of classes."""

import collections.abc
import inspect
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Any

from jsonargparse import ArgumentParser

from dlp.errors import InputError, suggestion
from dlp.imports import imported
from dlp.parsing.short_names import import_public


@dataclass(frozen=True)
class Place:
    """A key that may hold an object of a class.

    Args:
        key: The dotted key, without ``init_args``.
        annotation: What may stand there.
        default: What stands there if nothing is given.
        itself: The class whose arguments stand in the key directly, as the Trainer's do.
    """

    key: str
    annotation: Any
    default: Any = None
    itself: type | None = None

    @property
    def classes(self) -> list[type]:
        """The classes of which an object may stand here."""
        kinds = [kind for kind in _leaves(self.annotation) if isinstance(kind, type)]
        return [kind for kind in kinds if kind.__module__ != "builtins"]

    @property
    def record(self) -> type | None:
        """The dataclass that may stand here by its fields alone, without ``class_path``."""
        records = [kind for kind in self.classes if is_dataclass(kind)]
        return records[0] if len(records) == 1 else None

    @property
    def wanted(self) -> list[str]:
        """The values that are accepted here, or their types, in words."""
        return list(dict.fromkeys(_in_words(self.annotation)))

    @property
    def takes_texts(self) -> bool:
        """Whether what names no class may be right here too."""
        plain = (Any, str, int, float)
        return any(kind in plain or not isinstance(kind, type) for kind in _leaves(self.annotation))


def find_class(place: Place, name: str, is_class: bool = True) -> type | None:
    """Return the class that is named by its import path, or by its last word alone.

    None stands for what is no class: a function that returns an object.

    Args:
        place: Where it is to stand.
        name: The name.
        is_class: Whether nothing but a class may be meant: the error names all that there are.

    Raises:
        InputError: There is no such class, there are several, or it is of another kind.
    """
    wanted = place.classes
    if "." in name:
        found = imported(place.key, name)
        if not isinstance(found, type):
            return None
        if not issubclass(found, tuple(wanted)):
            kinds = " or ".join(kind.__name__ for kind in wanted)
            raise InputError(
                f"{place.key}: {name} is not of the kind that is wanted here, {kinds}."
            )
        return found
    import_public([name])
    known = _by_name(wanted)
    if is_class and name not in known:
        import_public()
        known = _by_name(wanted)
    if any(kind.__name__ == name and inspect.isabstract(kind) for kind in wanted):
        raise InputError(
            f"{place.key}: {name} is abstract: name one of {', '.join(sorted(known))}."
        )
    if name not in known:
        raise InputError(f"{place.key}: there is no class {name!r}.{suggestion(name, known)}")
    if len(known[name]) > 1:
        raise InputError(
            f"{place.key}: several classes are called {name}: name one of {', '.join(known[name])}"
        )
    return next(iter(known[name].values()))


def _by_name(kinds: Sequence[type]) -> dict[str, dict[str, type]]:
    """Return name -> import path -> class of the descendants of some classes."""
    known: dict[str, dict[str, type]] = {}
    for kind in descendants(kinds):
        known.setdefault(kind.__name__, {})[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return known


@cache
def parameters(kind: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class by name, those that a ``**kwargs`` hands on among them.

    What is handed on is found by jsonargparse, in the source; its type and its default are those of
    the class above that names it.
    """
    named = inspect.signature(kind).parameters
    found = {
        name: parameter
        for name, parameter in named.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in named.values()):
        for name in ArgumentParser().add_class_arguments(kind, fail_untyped=False):
            if name not in found and (handed_on := _inherited(kind, name)) is not None:
                found[name] = handed_on
    return found


def _inherited(kind: type, name: str) -> inspect.Parameter | None:
    """Return an argument as the nearest class above names it."""
    for above in kind.__mro__[1:]:
        parameter = inspect.signature(above).parameters.get(name)
        if parameter is not None:
            return parameter
    return None


def takes_anything(kind: type) -> bool:
    """Whether a class has arguments of which nobody knows the names."""
    named = inspect.signature(kind).parameters
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in named.values())
    return is_open and not {*parameters(kind)} - {*named}


def argument(place: Place, kind: type, name: str) -> Place | None:
    """Return the place of an argument of the class at `place`; None if it has none of the name."""
    found = parameters(kind).get(name)
    if found is None:
        return None
    annotation = Any if found.annotation is found.empty else found.annotation  # of a person's own
    return Place(f"{place.key}.{name}", annotation, found.default)


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield what may stand where an annotation is: its parts, and of a callable what it returns."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is collections.abc.Callable:
        yield from _leaves(inner[-1] if inner else None)
    elif origin is typing.Literal or not inner:
        yield annotation
    else:
        for each in inner:
            yield from _leaves(each)


def _in_words(annotation: Any) -> Iterator[str]:
    """Yield the values, or else the types, that an annotation names."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        yield from map(str, inner)
    elif origin in (typing.Union, types.UnionType):
        for each in inner:
            yield from _in_words(each)
    elif isinstance(origin, type) and issubclass(origin, collections.abc.Collection):
        of = " or ".join(dict.fromkeys(_in_words(inner[0])))
        yield "a mapping" if issubclass(origin, Mapping) else f"a list of {of}"
    elif origin is collections.abc.Callable:
        yield from _in_words(inner[-1] if inner else None)
    elif isinstance(annotation, type) and annotation is not type(None):
        yield annotation.__name__


def own_arguments(place: Place, kind: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class that a config may give.

    The first ones of a callable's, such as an optimizer's parameters, are its caller's.
    """
    passed = 0
    for each in (place.annotation, *typing.get_args(place.annotation)):
        inner = typing.get_args(each)
        if typing.get_origin(each) is collections.abc.Callable and isinstance(inner[0], list):
            passed = len(inner[0])
    return dict([*parameters(kind).items()][passed:])


def descendants(kinds: Sequence[type]) -> Iterator[type]:
    """Yield the classes that may be named by one word: public ones of which objects can be made."""
    for kind in kinds:
        path = f"{kind.__module__}.{kind.__qualname__}"
        if not inspect.isabstract(kind) and "._" not in path and "<locals>" not in path:
            yield kind
        yield from descendants(kind.__subclasses__())
