"""Ensembles: several networks that are trained at once and whose predictions are averaged."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.errors import InputError, check_range
from dlp.modules.heads import Link
from dlp.modules.serialization import module_component
from dlp.modules.supervised import (
    Batch,
    Inputs,
    Outputs,
    SupervisedModule,
    penalised_kernels,
)
from dlp.reader.spec import imported_class


class EnsembleNet(nn.ModuleList):
    """Network that averages the predictions of its members; its logits are those of the mean.

    Args:
        members: Networks of one shape of inputs and logits.
        link: Function from predictions to logits.
        scale: Factor of each logit of ``log``, whose predictions are proportional to
            ``exp(scale * logits)``; None is 1.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        link: Link = "identity",
        scale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(members)
        self.members = list(members)
        self.link = link
        self.scale = scale
        # No checkpoint holds it, so it is never built on the meta device.
        self.factors = nn.Buffer(torch.tensor(scale or 1.0, device="cpu"), persistent=False)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits (N, C) of a batch of inputs."""
        return self.mean(self.member_logits(inputs))

    def member_logits(self, inputs: Inputs) -> Tensor:
        """Return the logits of each member, (M, N, C)."""
        return torch.stack([member(inputs) for member in self])

    def mean(self, logits: Tensor) -> Tensor:
        """Return the logits (N, C) of the mean of the predictions of logits (M, N, C)."""
        return mean_logits(logits, self.link, self.factors)


def mean_logits(logits: Tensor, link: Link, factors: Tensor | float = 1.0) -> Tensor:
    """Return the logits (N, C) of the mean of the predictions of logits (M, N, C).

    Args:
        logits: Logits of M models.
        link: Function from predictions to logits.
        factors: Factor of each logit of ``log``; see `EnsembleNet`.
    """
    if link == "identity":
        return logits.mean(0)
    if link == "softmax":
        return logits.log_softmax(-1).logsumexp(0)
    if link == "logit":  # log p - log(1 - p)
        return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)
    return ((logits * factors).logsumexp(0) - math.log(len(logits))) / factors


class EnsembleModule(SupervisedModule):
    """Modules of one kind that are trained at once on the same batches, as one module.

    Validation, test and prediction are those of the mean of their predictions; training scores are
    the mean over the members. Predictions have also ``std``, the deviation of the members.

    Args:
        make_member: Function that builds a `SupervisedModule`, such as
            ``partial(DenseModule, (13,), 1, "regression")``; or the import path of its class and
            its plain arguments, ``{"class_path": ..., "init_args": {...}}``, as a checkpoint holds
            them.
        size: Number of members. Member k starts from the weights of the seed plus k.
    """

    network: EnsembleNet

    def __init__(
        self,
        make_member: Callable[[], SupervisedModule] | Mapping[str, Any],
        size: int = 5,
    ) -> None:
        check_range(1, ensemble=size)
        if isinstance(make_member, Mapping):
            make_member = _member_maker(**make_member)
        seed = torch.initial_seed()
        modules = []
        for number in range(size):
            with torch.random.fork_rng(devices=[]):
                # Weights are drawn on the CPU; `torch.manual_seed` would also seed each GPU.
                torch.default_generator.manual_seed(seed + number)
                modules.append(make_member())
        first = modules[0]
        for name in ("training_step", "kernels", "parameter_groups"):
            if getattr(type(first), name, None) is not getattr(SupervisedModule, name):
                raise InputError(
                    "ensemble takes modules that are trained as a SupervisedModule is; "
                    f"{type(first).__name__} differs in {name}. Leave ensemble out."
                )
        scale = None
        if first.head.link == "log":
            scale = cast(Tensor, first.head.std).tolist()
        super().__init__(
            EnsembleNet([module.network for module in modules], first.head.link, scale),
            first.head,
            class_weight=first.class_weight,
            l1=first.l1,
            l2=first.l2,
            optimizer=first.make_optimizer,
            scheduler=first.make_scheduler,
        )
        self.example_input_array = first.example_input_array
        kind = type(first)
        member = {
            "class_path": f"{kind.__module__}.{kind.__qualname__}",
            "init_args": dict(first.hparams),
        }
        self.save_hyperparameters({"make_member": member, "size": size})
        objects = module_component(first).objects
        if objects:
            described = ", ".join(f"{name}: {path}" for name, path in objects.items())
            self.object_arguments = {"make_member": f"function of objects ({described})"}

    def forward(self, inputs: Inputs) -> Tensor:
        """Return logits (N, C) of the mean; in training those of each member, (M * N, C)."""
        if self.training:
            return self.network.member_logits(inputs).flatten(0, 1)
        return super().forward(inputs)

    def kernels(self) -> list[Tensor]:
        """Return the penalised kernels of all members."""
        return [kernel for member in self.network for kernel in penalised_kernels(member)]

    def penalty(self) -> Tensor | float:
        """Return the mean penalty over the members."""
        return super().penalty() / len(self.network)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the sum of the losses of the members."""
        inputs, targets = batch
        repeated = torch.cat([targets] * len(self.network))
        return super().training_step((inputs, repeated), batch_idx) * len(self.network)

    def predictions(self, inputs: Inputs) -> Outputs:
        """Return the mean prediction, and its deviation over the members."""
        logits = self.network.member_logits(inputs)
        deviation = torch.stack([self.head.predict(each) for each in logits]).std(0)
        mean = self.network.mean(logits)
        return {"std": deviation, self.head.prediction: self.predict_logits(mean)}


def _member_maker(class_path: str, init_args: Mapping[str, Any]) -> Callable[[], SupervisedModule]:
    """Return a function that builds a member; a file brings no code, so its class is imported."""
    kind = imported_class(class_path, SupervisedModule)
    if kind is None:
        raise InputError(
            f"make_member: expected an imported SupervisedModule, got {class_path}. Import "
            "its class first, or give a function: load_from_checkpoint(path, make_member=...)."
        )
    return partial(kind, **init_args)
