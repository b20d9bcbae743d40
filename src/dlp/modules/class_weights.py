"""Rare classes that count more in the loss."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.errors import InputError, hint_of_yaml, unknown
from dlp.modules.losses import LossFunction

#: ``balanced``, or name of a class -> its weight (1 where it is not named).
ClassWeight = Literal["balanced"] | dict[str, float]


class WeightedLoss(nn.Module):
    """The mean over samples of weight times loss, by the class of each sample.

    The sum is divided by the number of samples (as in Keras), not by the sum of their weights (as
    torch does it): a batch without a rare class then counts as little as it should.

    Args:
        plain: Binary cross entropy on logits, or cross entropy.
        weights: Of the C classes, (C,); of labels that are off and on, (2, C).
    """

    weights: Tensor

    def __init__(self, plain: LossFunction, weights: Tensor) -> None:
        super().__init__()
        self.plain = plain
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return a scalar, of logits and prepared targets of one batch."""
        weights = self.weights.to(logits)
        if self.plain is F.cross_entropy:
            losses = F.cross_entropy(logits, targets, weights, reduction="none")
            return losses.mean()
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return ((weights[0] + (weights[1] - weights[0]) * targets) * losses).mean()


def weighted(
    plain: LossFunction, weights: Sequence[Sequence[float]] | Sequence[float]
) -> LossFunction:
    """Return the loss with its weights.

    Raises:
        InputError: It is no loss of which the samples can be weighed one by one.
    """
    if isinstance(plain, WeightedLoss):  # weighed by an earlier fit
        plain = plain.plain
    if plain not in (F.cross_entropy, F.binary_cross_entropy_with_logits):
        name = getattr(plain, "__name__", type(plain).__name__)
        raise InputError(
            f"class_weight weighs the losses bce and cross_entropy, not {name}: leave one of the "
            "two out, or give the weights to your own loss."
        )
    return cast(LossFunction, WeightedLoss(plain, torch.tensor(weights)))


def class_weights(
    given: ClassWeight, names: Sequence[str], frequencies: Sequence[float] | None
) -> list[float]:
    """Return the weight of each of C classes.

    Args:
        given: ``balanced`` is as in scikit-learn: rows / (C x rows of the class).
        names: What the classes are called.
        frequencies: The share of each in the training part, (C,); only ``balanced`` needs it.

    Raises:
        InputError: There is no class of that name, a weight is no number of 0 or more, or nobody
            knows how frequent the classes are.
    """
    if isinstance(given, Mapping):
        for name, weight in given.items():
            if str(name) not in names:
                error = unknown("class of class_weight", str(name), names)
                raise InputError(f"{error}{hint_of_yaml(name)}")
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(f"class_weight of {name!r} must be 0 or more, got {weight}.")
        chosen = {str(name): float(weight) for name, weight in given.items()}
        return [chosen.get(name, 1.0) for name in names]
    if given != "balanced":
        raise InputError(
            f"class_weight must be balanced, or a weight for each class that is to have one, such "
            f"as {{{names[-1]}: 10}}; got {given!r}."
        )
    if frequencies is None:
        raise InputError(
            "class_weight: balanced needs to know how frequent the classes are: fit with one of "
            "the project's DataModules (datamodule=data), or give a weight for each class."
        )
    return [1 / (len(names) * share) if share else 0.0 for share in frequencies]


def label_weights(
    given: ClassWeight, names: Sequence[str], frequencies: Sequence[float] | None
) -> list[list[float]]:
    """Return the weights of C labels that are off and on, (2, C).

    ``balanced`` balances each label by itself; a weight by name is of the rows that have it.
    Arguments and errors are those of `class_weights`.
    """
    if given != "balanced" or frequencies is None:
        return [[1.0] * len(names), class_weights(given, names, frequencies)]
    pairs = [class_weights(given, ["off", "on"], [1 - share, share]) for share in frequencies]
    return [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
