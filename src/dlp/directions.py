"""Whether less or more of a metric is better: the one place that says so; nothing needs torch."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dlp.errors import InputError, suggestion

#: Lightning's and torchmetrics's words: ``min`` where less is better, ``max`` where more is.
Mode = Literal["min", "max"]

#: Metrics that their short names define.
_NAMED: dict[str, Mode] = {
    **dict.fromkeys(("mae", "mse", "rmse"), "min"),
    **dict.fromkeys(("acc", "accuracy", "top5_acc", "f1", "precision", "recall"), "max"),
    **dict.fromkeys(("auroc", "r2", "balanced_acc", "average_precision"), "max"),
}
#: What Lightning adds to a name: how it was reduced (`on_step`, `on_epoch`), and of which loader.
_ADDED = re.compile(r"((_epoch|_step)|/dataloader_idx_\d+)+$")


def direction(metric: str, known: Mapping[str, Mode] | None = None) -> Mode | None:
    """Return whether less or more of a logged metric is better; None if nobody can know.

    In order: what `known` says; a loss (its name ends with the word) falls by definition; the
    short names of the heads' own metrics (``val_acc``, ``test_mae``).

    Args:
        metric: The name it is logged by.
        known: Logged name -> direction: of a model (`metric_directions`), a history or a run.
    """
    short = _ADDED.sub("", metric)
    for name in (metric, short):
        if known and name in known:
            return known[name]
    words = re.split(r"[\W_]+", short.lower())
    if words[-1] == "loss":
        return "min"
    return _NAMED.get(re.sub(r"^(train|val|test)[_/]", "", short))


def needed_direction(metric: str, known: Mapping[str, Mode] | None = None) -> Mode:
    """Return the direction of a metric by which something is to be chosen.

    Raises:
        InputError: Nobody can know it.
    """
    found = direction(metric, known)
    if found is None:
        if near := suggestion(metric, known or ()):
            raise InputError(
                f"{metric!r} is not known to be logged.{near} Of a metric of your own, say whether "
                "less or more is better: --monitor_mode min or --monitor_mode max (in Python: "
                "monitor_mode or mode)."
            )
        raise InputError(
            f"nothing says whether less or more {metric} is better: it is no loss, and no "
            "torchmetrics object with higher_is_better. Say so: --monitor_mode min or "
            "--monitor_mode max (in Python: monitor_mode or mode)."
        )
    return found


def directions_of(model: object) -> dict[str, Mode]:
    """Return logged name -> direction, as a model knows it.

    Ours do; a LightningModule of one's own may have such a dict as `metric_directions`.
    """
    return dict(getattr(model, "metric_directions", {}))


def best_index(values: Sequence[float], mode: Mode) -> int | None:
    """Return the place of the first best finite number; None if there is none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    return list(values).index(min(finite) if mode == "min" else max(finite))


def contradictions(trainer: Any, known: Mapping[str, Mode]) -> list[str]:
    """Return a sentence for each callback or scheduler that takes worse numbers for better ones.

    Args:
        trainer: A Trainer that has begun to fit.
        known: See `direction`.
    """
    watchers = [(one, getattr(one, "monitor", None)) for one in trainer.callbacks]
    watchers += [(config.scheduler, config.monitor) for config in trainer.lr_scheduler_configs]
    found = []
    for watcher, monitor in watchers:
        mode = getattr(watcher, "mode", None)
        right = direction(monitor, known) if isinstance(monitor, str) else None
        if right is not None and mode in ("min", "max") and mode != right:
            better = "less" if right == "min" else "more"
            found.append(
                f"{type(watcher).__name__} watches {monitor} with mode: {mode}, and {better} of it "
                f"is better: give it mode: {right}"
            )
    return found
