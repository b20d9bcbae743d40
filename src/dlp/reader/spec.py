"""Spec of a trained model, the same in a checkpoint and in an export."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Self

from .answer import Answer
from .encoder import AnyEncoder, Encoder, PlainValues
from .rows import MissingCodeError, ReaderError

FORMAT = 3


@dataclass(frozen=True)
class Component:
    """Class and arguments of an object, by which it is built again.

    Args:
        path: Import path of the class.
        arguments: Plain arguments by name.
        missing: What a message calls each argument that a file cannot hold, by its name.
    """

    path: str
    arguments: PlainValues
    missing: Mapping[str, str] = field(default_factory=dict)

    def given(self, objects: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments that a file cannot hold, from objects by name.

        Raises:
            MissingCodeError: If one of them is missing.
        """
        for name, described in self.missing.items():
            if name not in objects:
                raise MissingCodeError(
                    f"the model was trained with an argument {name!r} that a file does not hold "
                    f"({described}). Give it: Predictor.load(path, {name}=...)."
                )
        return {name: objects[name] for name in self.missing}

    def missing_class(self) -> MissingCodeError:
        """Return the error of a class that was not imported."""
        module, _, _ = self.path.rpartition(".")
        return MissingCodeError(
            f"the model was trained with {self.path}, whose code a file cannot bring. Import "
            f"{module} first."
        )


@dataclass(frozen=True)
class FittedComponent(Component):
    """Encoder with what it learned.

    Args:
        state: What it learned, `Encoder.state`.
    """

    state: PlainValues = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """Facts about a training.

    Args:
        data: Name of the DataModule.
        rows: Number of rows of each part.
        epoch: Number of epochs that were trained.
        versions: Versions of packages that predictions depend on.
    """

    data: str
    rows: Mapping[str, int]
    epoch: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class ModelSpec:
    """Spec of a trained model: what it is built from, but for the weights.

    Args:
        module: LightningModule, whose weights are in the same checkpoint.
        head: Import path of the class of its head, for which the weights were trained.
        encoder: Encoder of the rows.
        answer: Steps from scores to the answer.
        card: Facts about the training.
        threshold: Threshold of the training; that of the answer may be one of a calibration.
        format: Version of the spec.
    """

    module: Component
    head: str
    encoder: FittedComponent
    answer: Answer
    card: Card
    threshold: float = 0.5
    format: int = FORMAT

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
            encoder=FittedComponent(**content["encoder"]),
            answer=Answer(**content["answer"]),
            card=Card(**content["card"]),
            threshold=content["threshold"],
        )


def encoder_component(encoder: AnyEncoder) -> FittedComponent:
    """Return the component of an encoder, with what it learned."""
    kind = type(encoder)
    path = f"{kind.__module__}.{kind.__qualname__}"
    return FittedComponent(path, encoder.arguments(), encoder.objects(), encoder.state())


def build_encoder(component: FittedComponent, **objects: object) -> AnyEncoder:
    """Build an encoder from its component.

    Its class is one of this package, or one that the program has imported: a file imports nothing
    and calls only encoders. The copy of this package in an export also imports a module
    that lies next to it.

    Args:
        component: Component of the encoder.
        **objects: Arguments that a file cannot hold, by name. Others are not used.

    Raises:
        MissingCodeError: If the class is not imported, or one of its arguments is missing.
    """
    module, _, name = component.path.rpartition(".")
    if module.startswith("dlp.reader."):
        module = f"{__package__}.{module.rpartition('.')[2]}"
        import_module(module)
    elif __package__ == "reader":
        module = module.rpartition(".")[2]
        if Path(__file__).parents[1].joinpath(f"{module}.py").is_file():
            import_module(module)
    kind = getattr(sys.modules.get(module), name, None)
    if not isinstance(kind, type) or not issubclass(kind, Encoder):
        raise component.missing_class()
    encoder = kind(**component.arguments, **component.given(objects))
    encoder.load_state(component.state)
    return encoder
