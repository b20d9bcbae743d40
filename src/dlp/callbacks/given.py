"""The callbacks a person gave: what goes with them, what they make needless, what cannot be."""

from collections.abc import Sequence

from lightning import Callback, LightningModule
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    DeviceStatsMonitor,
    EarlyStopping,
    LearningRateMonitor,
    ThroughputMonitor,
)

from dlp.console import say
from dlp.errors import InputError

#: They write to a logger and nowhere else.
_LOGGING = (DeviceStatsMonitor, LearningRateMonitor, ThroughputMonitor)


def listed(given: Callback | Sequence[Callback] | None) -> list[Callback]:
    """Return the callbacks of a config, which may be one without a list, or none."""
    return [given] if isinstance(given, Callback) else list(given or [])


def check_patience(given: Sequence[Callback]) -> None:
    """Refuse a patience below 0: Lightning stops at once, and many expect that it never does.

    Raises:
        InputError: There is one.
    """
    for callback in given:
        if isinstance(callback, EarlyStopping) and callback.patience < 0:
            raise InputError(
                f"EarlyStopping: patience must be 0 or more, got {callback.patience}. Leave the "
                "callback out to train all epochs."
            )


def without_validation(given: Sequence[Callback]) -> list[Callback]:
    """Return the callbacks that make sense where nothing is validated; say what is left out."""
    kept = [one for one in given if not str(getattr(one, "monitor", "")).startswith("val_")]
    for one in given:
        if one not in kept:
            say(f"refit: nothing is validated, so {type(one).__name__} is left out")
    return kept


def need_a_logger(given: Sequence[Callback]) -> bool:
    """Whether a callback writes to a logger alone: Lightning's default has one, ours has none."""
    return any(isinstance(callback, _LOGGING) for callback in given)


def check_finetuning(given: Sequence[Callback], model: LightningModule) -> None:
    """Refuse Lightning's fine-tuning where the model has not what it takes.

    Raises:
        InputError: It is the abstract class, or there is no ``model.backbone``.
    """
    advice = "Unfreeze trains the deepest stages of a PretrainedModule from an epoch on."
    for callback in given:
        if type(callback) is BaseFinetuning:
            raise InputError(f"BaseFinetuning says not what to train: name a subclass. {advice}")
        if isinstance(callback, BackboneFinetuning) and not hasattr(model, "backbone"):
            raise InputError(
                f"BackboneFinetuning trains model.backbone, and {type(model).__name__} has no "
                f"attribute of that name. {advice}"
            )
