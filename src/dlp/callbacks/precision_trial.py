"""Saying, at the start of a fit in float32, what bfloat16 would bring on this CPU."""

import copy
import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from dlp.console import say
from dlp.datamodules.loader import BatchLoader
from dlp.process import cpu_threads

#: Units for products of bfloat16, as torch calls them.
_UNITS = ("amx_bf16", "avx512_bf16")
#: Fewer steps end before the trial has paid.
_STEPS = 200
#: Less is not worth a word.
_GAIN = 1.25
#: About how long a step of the trial takes, in seconds: of a larger batch some rows are tried.
_SECONDS = 0.1


class PrecisionTrial(Callback):
    """Try a convnet's step in float32 and in bfloat16, and say in one line what is gained.

    Nothing is tried, or said, where the CPU has no units for bfloat16, where the fit is short or
    not in float32 on a CPU, or where the network trains no convolutions on images. The trial takes
    about a second, on a copy of the network; weights, statistics and random numbers stay.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try it on the first rows of the training part."""
        network, images = getattr(pl_module, "network", None), first_images(trainer)
        if images is None or not isinstance(network, nn.Module) or not trains_convolutions(network):
            return
        gain = bfloat16_gain(network, images)
        if gain is not None and gain >= _GAIN:
            say(
                f"this CPU computes in bfloat16 too: --trainer.precision bf16-mixed would make a "
                f"step {gain:.1f} times as fast (tried just now)"
            )


def first_images(trainer: Trainer) -> Tensor | None:
    """Return a batch (N, C, H, W) to try, where a trial makes sense; else None."""
    loader: Any = trainer.train_dataloader
    if (
        trainer.precision != "32-true"
        or trainer.strategy.root_device.type != "cpu"
        or trainer.fast_dev_run  # type: ignore[attr-defined] # set by a connector
        or not trainer.is_global_zero
        or trainer.estimated_stepping_batches < _STEPS
        or not isinstance(loader, BatchLoader)
        or not has_units()
    ):
        return None
    rows = torch.arange(min(loader.batch_size, len(loader.inputs)))
    images = loader.inputs_of(rows, epoch=0)
    return images if isinstance(images, Tensor) and images.ndim == 4 and len(images) else None


def has_units() -> bool:
    """Whether this CPU has units for bfloat16, as far as this torch can tell."""
    tell = getattr(torch.cpu, "get_capabilities", None)  # since 2.9
    return tell is not None and any(tell().get(unit, False) for unit in _UNITS)


def trains_convolutions(network: nn.Module) -> bool:
    """Whether a step computes gradients of convolutions."""
    layers = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return any(layer.weight.requires_grad for layer in layers)


def bfloat16_gain(network: nn.Module, images: Tensor) -> float | None:
    """Return how many times faster forward and backward are in bfloat16 than in float32.

    None where the network cannot be copied, or does not compute in bfloat16.

    Args:
        network: Stays as it is.
        images: Float32 (N, C, H, W).
    """
    with isolate_rng(), cpu_threads(1):
        try:
            twin = copy.deepcopy(network).train()
            some = images[:2]
            _step(twin, some, mixed=False)  # the first one prepares kernels
            share = _SECONDS / _step(twin, some, mixed=False)
            some, repeats = images[: max(2, int(2 * share))], max(1, min(3, int(3 * share)))
            full, mixed = (_fastest(twin, some, kind, repeats) for kind in (False, True))
        except Exception:  # of a network of others anything: the fit itself will say what it is
            return None
    return full / mixed


def _fastest(network: nn.Module, images: Tensor, mixed: bool, repeats: int) -> float:
    _step(network, images, mixed)
    return min(_step(network, images, mixed) for _ in range(repeats))


def _step(network: nn.Module, images: Tensor, mixed: bool) -> float:
    """Return the seconds that one thread computes forward and backward for.

    Time on the clock, and several threads, would tell of what else the machine does.
    """
    began = time.thread_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        logits = network(images)
    logits.float().square().mean().backward()
    return time.thread_time() - began
