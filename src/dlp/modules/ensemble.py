"""Ensembles: several networks that are trained together and whose predictions are averaged."""

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
    """Network that returns the logits of its members' mean prediction.

    The predictions are averaged, not the logits, so the logits of each member are converted to
    predictions first.

    Args:
        members: Networks with equal shapes of inputs and of logits.
        link: Name of the function that turns predictions into logits; see `Link`.
        scale: Standard deviation of each target, used only with ``link="log"``, where predictions
            are proportional to ``exp(scale * logits)``. None means 1.
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
        # On the meta device it would stay empty, because checkpoints do not contain this buffer.
        self.factors = nn.Buffer(torch.tensor(scale or 1.0, device="cpu"), persistent=False)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the logits (N, C) of the mean prediction for a batch of inputs."""
        return self.mean(self.member_logits(inputs))

    def member_logits(self, inputs: Inputs) -> Tensor:
        """Return the logits of each member, (M, N, C)."""
        return torch.stack([member(inputs) for member in self])

    def mean(self, logits: Tensor) -> Tensor:
        """Return the logits (N, C) of the mean prediction, given the members' logits (M, N, C)."""
        return mean_logits(logits, self.link, self.factors)


def mean_logits(logits: Tensor, link: Link, factors: Tensor | float = 1.0) -> Tensor:
    """Return the logits (N, C) of the mean prediction of M models.

    Args:
        logits: Logits of the M models, (M, N, C).
        link: Name of the function that turns predictions into logits; see `Link`.
        factors: Factor of each logit, used only with ``link="log"``; see `scale` of `EnsembleNet`.
    """
    if link == "identity":
        return logits.mean(0)
    if link == "softmax":
        return logits.log_softmax(-1).logsumexp(0)
    if link == "logit":  # log p - log(1 - p)
        return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)
    return ((logits * factors).logsumexp(0) - math.log(len(logits))) / factors


class EnsembleModule(SupervisedModule):
    """Several modules of the same class, trained together on the same batches as one module.

    Validation, test and prediction use the mean of the members' predictions; training scores are
    the mean over the members' scores. Predictions also contain ``std``, the standard deviation over
    the members.

    Args:
        make_member: Function that builds a `SupervisedModule`, such as
            ``partial(DenseModule, (13,), 1, "regression")``. A dictionary
            ``{"class_path": ..., "init_args": {...}}`` with the import path of the class and its
            plain arguments, as stored in a checkpoint, is also accepted.
        size: Number of members. The initial weights of member k, counted from 0, are drawn with the
            current seed plus k.

    Example::

        module = EnsembleModule(partial(DenseModule, (13,), 1, "regression"), size=5)
        trainer.fit(module, datamodule=data)
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
                # Only the CPU generator is seeded, because weights are drawn on the CPU, and
                # `torch.manual_seed` would also reset the generators of the GPUs.
                torch.default_generator.manual_seed(seed + number)
                modules.append(make_member())
        first = modules[0]
        for name in ("training_step", "kernels", "parameter_groups"):
            if getattr(type(first), name, None) is not getattr(SupervisedModule, name):
                raise InputError(
                    "ensemble: expected modules with the training of SupervisedModule, got "
                    f"{type(first).__name__}, which overrides {name}. Leave ensemble out."
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
        """Return the logits (N, C) of the mean prediction.

        In training mode, return the logits of all members one after another, (M * N, C), because
        each member has its own loss.
        """
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
        """Return the mean prediction, and ``std``, its standard deviation over the members."""
        logits = self.network.member_logits(inputs)
        deviation = torch.stack([self.head.predict(each) for each in logits]).std(0)
        mean = self.network.mean(logits)
        return {"std": deviation, self.head.prediction: self.predict_logits(mean)}


def _member_maker(class_path: str, init_args: Mapping[str, Any]) -> Callable[[], SupervisedModule]:
    """Return a function that builds a member.

    Its class must be imported already, because loading a checkpoint imports no code.
    """
    kind = imported_class(class_path, SupervisedModule)
    if kind is None:
        raise InputError(
            f"make_member: expected an imported SupervisedModule, got {class_path}. Import "
            "its class first, or pass a function: load_from_checkpoint(path, make_member=...)."
        )
    return partial(kind, **init_args)
