"""Whether the trials of a search can be compared: judged on the same rows, in the same unit."""

from collections.abc import Iterable, Iterator

from jsonargparse import Namespace

from dlp.errors import InputError

#: Arguments of data that decide which rows judge a trial, or what is predicted of them.
_OF_ROWS = (
    *("class_path", "path", "test_path", "data_dir", "source", "subset", "revision", "name"),
    *("version", "target", "label_column", "image_column", "task", "class_names"),
    *("positive_class", "val_size", "test_size", "split_seed", "stratify", "group_column"),
    *("time_column", "num_folds", "fold", "repeat", "drop_duplicates", "drop_unlabelled"),
    *("per_class", "on_corrupt"),
)
_OF_TRAINER = ("limit_val_batches", "overfit_batches")
#: Arguments that change what a loss is a mean of.
_OF_LOSSES = {
    "model": ("loss", "head", "class_weight"),
    "data": ("target_scaling", "target_transform"),
}
#: Penalties, which a loss holds unless it is a ``*_data_loss``.
_PENALTIES = ("l1", "l2")


def check_rows(trials: Iterable[Namespace]) -> None:
    """Refuse a space by which trials would be judged on different rows.

    Args:
        trials: The settings of trials in which each bound and each choice occurs.

    Raises:
        InputError: They differ in an argument that decides the rows.
    """
    looked_at = [("data", name) for name in _OF_ROWS] + [("trainer", name) for name in _OF_TRAINER]
    for key in _differing(trials, looked_at):
        raise InputError(
            f"space: {key} changes the rows that trials are judged on, so that the luckiest rows "
            "would win: leave it out. How much the rows matter, dlp crossval --repeats shows."
        )


def check_unit(trials: Iterable[Namespace], monitor: str, others: Iterable[str]) -> None:
    """Refuse a space in which the monitored value is not the same quantity in each trial.

    Args:
        trials: See `check_rows`.
        monitor: The metric that trials are judged by.
        others: Metrics that are logged beside the losses.

    Raises:
        InputError: They differ in an argument that the metric depends on.
    """
    settings = list(trials)
    better = ", ".join(others) or "a metric that is no loss"
    if monitor.endswith("loss"):
        looked_at = [(part, name) for part, names in _OF_LOSSES.items() for name in names]
        for key in _differing(settings, looked_at):
            raise InputError(
                f"space: {key} changes what {monitor} measures, so that trials cannot be compared "
                f"by it: give a --monitor that does not depend on it ({better})."
            )
        if not monitor.endswith("data_loss"):
            for key in _differing(settings, [("model", name) for name in _PENALTIES]):
                raise InputError(
                    f"space: {monitor} holds the penalty of {key}, so that the smallest one would "
                    f"win: give --monitor {monitor.removesuffix('loss')}data_loss, which is "
                    f"without it, or another ({better})."
                )
    else:
        for key in _differing(settings, [("model", "metrics")]):
            raise InputError(
                f"space: {key} may change what {monitor} measures: leave it out of the space."
            )


def _differing(trials: Iterable[Namespace], looked_at: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the arguments that differ from trial to trial, as ``data.split_seed``."""
    settings = list(trials)
    for part, name in looked_at:
        if len({repr(_value(trial, part, name)) for trial in settings}) > 1:
            yield f"{part}.{name}"


def _value(settings: Namespace, part: str, name: str) -> object:
    given = settings[part]
    inner = part if part == "trainer" or name == "class_path" else f"{part}.init_args"
    found = settings.get(f"{inner}.{name}") if given is not None else None
    return found.as_dict() if isinstance(found, Namespace) else found
