"""Ensembles: several networks whose predictions are averaged."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Function from the predictions of a head to its logits.
Link = Literal["identity", "log", "logit", "softmax"]


class MemberInputs(list[Any]):
    """Batches of inputs, one per member."""


class EnsembleNet(nn.Module):
    """Mean of networks: its logits are those of the mean of their predictions.

    Args:
        members: Networks of one shape of inputs and logits.
        link: Function from predictions to logits; predictions of ``log`` are
            ``exp(scale * logits)``, but for a factor.
        scale: Factor of each logit of ``log``; None is 1.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        link: Link = "identity",
        scale: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.link = link
        self.scale = scale
        # Never on meta: a checkpoint brings none.
        self.factors = nn.Buffer(torch.tensor(scale or 1.0, device="cpu"), persistent=False)

    def forward(self, inputs: Any) -> Tensor:
        """Return logits (N, C) of a batch of inputs; of `MemberInputs` those of each."""
        if isinstance(inputs, MemberInputs):
            pairs = zip(self.members, inputs, strict=True)
            return torch.cat([member(batch) for member, batch in pairs])
        return self.mean(self.member_logits(inputs))

    def member_logits(self, inputs: Any) -> Tensor:
        """Return the logits of each member, (M, N, C)."""
        return torch.stack([member(inputs) for member in self.members])

    def mean(self, logits: Tensor) -> Tensor:
        """Return the logits (N, C) of the mean of the predictions of logits (M, N, C)."""
        if self.link == "identity":
            return logits.mean(0)
        if self.link == "softmax":
            return logits.log_softmax(-1).logsumexp(0)
        if self.link == "logit":  # log p - log(1 - p)
            return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)
        return ((logits * self.factors).logsumexp(0) - math.log(len(logits))) / self.factors


def members_of(network: nn.Module) -> list[nn.Module]:
    """Return the members of an ensemble, or the network itself."""
    if isinstance(network, EnsembleNet):
        return list(network.members)
    return [network]
