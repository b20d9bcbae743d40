"""Spec of a trained model, the same in a checkpoint and in an export."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from typing import Self, TypeVar

from .answer import Answer
from .encoder import AnyEncoder, Encoder, PlainValues
from .rows import MissingCodeError, ReaderError

FORMAT = 3
#: Module of an export with the class of an encoder outside of the project.
OWN_ENCODER = "own_encoder"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Component:
    """Object of a trained model in a file: its class and plain values.

    Args:
        class_path: Import path of the class.
        arguments: Plain arguments by name.
        objects: What a message calls each of the other arguments, by name. A file cannot contain
            such an object, so the user passes it again.
        state: What the object learned. The weights of a module are in the same checkpoint instead.
    """

    class_path: str
    arguments: PlainValues
    objects: Mapping[str, str] = field(default_factory=dict)
    state: PlainValues = field(default_factory=dict)

    def missing(self, base: type, objects: Mapping[str, object]) -> str | None:
        """Return a sentence that names what is missing to build the object, or None.

        Args:
            base: Class of which the object's class is a subclass.
            objects: Objects that are given, by name.
        """
        paths = {self.class_path: base}
        for name, value in self.arguments.items():
            is_described = isinstance(value, dict) and "class_path" in value
            if is_described and name not in objects:  # the members of an ensemble
                paths[value["class_path"]] = object
        for path, kind in paths.items():
            if imported_class(path, kind) is None:
                return (
                    f"the model was trained with {path}, whose code a file cannot bring. "
                    f"Import {path.rpartition('.')[0]} first."
                )
        for name, described in self.objects.items():
            if name not in objects:
                return (
                    f"the model was trained with an argument {name!r} that a file does not hold "
                    f"({described}). Give it: Predictor.load(path, {name}=...)."
                )
        return None

    def imported(self, base: type[_T], objects: Mapping[str, object]) -> type[_T]:
        """Return the class of the object.

        Raises:
            MissingCodeError: If something is `missing`.
        """
        sentence = self.missing(base, objects)
        kind = imported_class(self.class_path, base)
        if sentence is not None or kind is None:
            raise MissingCodeError(str(sentence))
        return kind


def imported_class(path: str, base: type[_T]) -> type[_T] | None:
    """Return a subclass of `base`, if it is one of the project or the program has imported it.

    A file imports nothing else, and its values reach the constructor of no other class. An export
    contains the class of an encoder outside of the project in a module of its own.
    """
    module, _, name = path.rpartition(".")
    if module.startswith("dlp.reader."):
        module = f"{__package__}.{module.rpartition('.')[2]}"
    elif __package__ == "reader":  # in an export
        module = OWN_ENCODER
    elif not module.startswith(("dlp.modules.", "dlp.datamodules.")):
        return _subclass(module, name, base)
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # a package that the module needs
    return _subclass(module, name, base)


def _subclass(module: str, name: str, base: type[_T]) -> type[_T] | None:
    """Return a class of an imported module if it is a subclass of `base`."""
    kind = getattr(sys.modules.get(module), name, None)
    if isinstance(kind, type) and issubclass(kind, base):
        return kind
    return None


@dataclass(frozen=True)
class Card:
    """Facts about a training.

    Args:
        data: Name of the DataModule.
        num_rows: Number of rows of each part.
        epoch: Number of epochs that were trained.
        versions: Versions of packages that predictions depend on.
    """

    data: str
    num_rows: Mapping[str, int]
    epoch: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class ModelSpec:
    """Spec of a trained model: what it is built from, except for the weights.

    Args:
        module: LightningModule, whose weights are in the same checkpoint.
        head: Import path of the class of its head, for which the weights were trained.
        encoder: Encoder of the rows.
        answer: Steps from scores to the answer.
        card: Facts about the training.
        threshold: Threshold of the training; the answer may have another one from a calibration.
        format: Version of the spec.
    """

    module: Component
    head: str
    encoder: Component
    answer: Answer
    card: Card
    threshold: float = 0.5
    format: int = FORMAT

    def missing(self, base: type, objects: Mapping[str, object]) -> str | None:
        """Return a sentence about the class or object that the model lacks; None if it lacks none.

        Args:
            base: Class of which the module's class is a subclass.
            objects: Objects that are given, by the names of arguments.
        """
        return self.encoder.missing(Encoder, objects) or self.module.missing(base, objects)

    def to_dict(self) -> PlainValues:
        """Return the spec as plain values.

        The state of the encoder is not copied: it contains every word of a text model, and the
        state of the data in the same checkpoint shares it.
        """
        small = replace(self, encoder=replace(self.encoder, state={}))
        content = asdict(small)
        content["encoder"]["state"] = self.encoder.state
        return content

    @classmethod
    def from_dict(cls, content: PlainValues) -> Self:
        """Return the spec of which `to_dict` gave the plain values.

        Raises:
            ReaderError: If another version wrote them.
        """
        if content["format"] < FORMAT:
            raise ReaderError(
                f"it was written in format {content['format']} by dlp 1.2 or earlier, which reads "
                "it; train again to use it here."
            )
        if content["format"] > FORMAT:
            raise ReaderError(f"it was written in format {content['format']}; update dlp.")
        return cls(
            module=Component(**content["module"]),
            head=str(content["head"]),
            encoder=Component(**content["encoder"]),
            answer=Answer(**content["answer"]),
            card=Card(**content["card"]),
            threshold=content["threshold"],
        )


def encoder_component(encoder: AnyEncoder) -> Component:
    """Return the component of an encoder, with what it learned."""
    kind = type(encoder)
    return Component(
        class_path=f"{kind.__module__}.{kind.__qualname__}",
        arguments=encoder.arguments(),
        objects=encoder.objects(),
        state=encoder.state(),
    )


def build_encoder(component: Component, **objects: object) -> AnyEncoder:
    """Build an encoder from its component.

    Args:
        component: Component of the encoder.
        **objects: Arguments that a file cannot contain, by name. Others are not used.

    Raises:
        MissingCodeError: If its class is not imported, or one of its arguments is missing.
    """
    kind = component.imported(Encoder, objects)  # type: ignore[type-abstract]  # any subclass
    given = {name: objects[name] for name in component.objects}
    encoder = kind(**component.arguments, **given)
    encoder.load_state(component.state)
    return encoder
