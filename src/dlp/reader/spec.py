"""Description of a trained model, the same in a checkpoint, an export, a card and a server."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from .answer import Answer
from .rows import Spec

FORMAT = 2


@dataclass(frozen=True)
class Component:
    """Network or head: its class, and the plain arguments by which it is built again.

    Args:
        path: Import path of the class.
        arguments: Plain arguments by name.
        missing: Names of other arguments, which a file cannot hold.
    """

    path: str
    arguments: Mapping[str, Any]
    missing: Sequence[str] = ()


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
    """Description of a trained model.

    Args:
        network: Network that returns logits.
        head: Head that turns logits into scores.
        inputs: What the encoder of the rows learned, `Encoder.spec`.
        answer: Steps from scores to the answer.
        card: Facts about the training.
        format: Version of this description.
    """

    network: Component
    head: Component
    inputs: Spec
    answer: Answer
    card: Card
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain values.

        `inputs` is not copied: it contains every word of a text model, which the state of the
        encoder in the same checkpoint shares.
        """
        small = replace(self, inputs={})
        return {**asdict(small), "inputs": self.inputs}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the description of which `to_dict` gave the plain values.

        Raises:
            ValueError: If a later version wrote them.
        """
        if content["format"] > FORMAT:
            raise ValueError(f"written in format {content['format']}; update dlp to read it")
        return cls(
            network=Component(**content["network"]),
            head=Component(**content["head"]),
            inputs=content["inputs"],
            answer=Answer(**content["answer"]),
            card=Card(**content["card"]),
        )
