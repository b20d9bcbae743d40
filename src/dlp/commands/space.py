"""Space of a search: the values that each key of a config may take, read from YAML."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from dlp.configs import config_folder, read_config
from dlp.errors import InputError, unknown

Space = dict[str, BaseDistribution]

#: Arguments of data and Trainer that decide which rows judge a trial.
_ROWS = {"data", "class_path", "path", "test_path", "data_dir", "name", "target", "label_column"}
_ROWS |= {"task", "val_size", "test_size", "split_seed", "stratify", "group_column", "time_column"}
_ROWS |= {"num_folds", "fold", "repeat", "drop_duplicates", "limit_val_batches", "overfit_batches"}


def read_space(space: str, monitor: str) -> Space:
    """Read a space by its path or name; keys may be nested or dotted.

    Trials are judged by `monitor` on the same rows: keys that change either are refused.
    """
    folder = config_folder() / "spaces"
    path = Path(space) if Path(space).is_file() else folder / f"{space}.yaml"
    if not path.is_file():
        raise unknown("space", space, ["a path", *(p.stem for p in sorted(folder.glob("*.yaml")))])
    ranges = {key: _distribution(key, leaf) for key, leaf in _leaves(read_config(path))}
    for key in ranges:
        group, name = key.partition(".")[0], key.rpartition(".")[2]
        if group in ("data", "trainer") and name in _ROWS:
            raise InputError(
                f"space: {key} changes the rows that judge a trial, and the luckiest rows would "
                "win; leave it out. dlp crossval --repeats tells how much rows matter."
            )
        if name in ("l1", "l2") and monitor in ("val_loss", "train_loss"):
            raise InputError(
                f"space: {monitor} includes the penalty {key}, and the smallest one would win; "
                "give --monitor val_data_loss or a metric."
            )
    return ranges


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and not {"low", "high", "choices"} & value.keys():
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _distribution(key: str, leaf: Any) -> BaseDistribution:
    try:
        if choices := leaf if isinstance(leaf, list) else leaf.get("choices"):
            texts = [c if isinstance(c, str) else json.dumps(c) for c in choices]
            return CategoricalDistribution(texts)  # it keeps no lists
        # YAML takes 1e-4 for text.
        numbers: Any = {n: float(v) if isinstance(v, str) else v for n, v in leaf.items()}
        is_whole = isinstance(numbers["low"], int) and isinstance(numbers["high"], int)
        return IntDistribution(**numbers) if is_whole else FloatDistribution(**numbers)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"space: {key} takes {{low:, high:, log:, step:}} or a list of choices; got {leaf} "
            f"({error})."
        ) from error


def suggest(trial: Trial, space: Space) -> list[str]:
    """Draw a value of each key; return them as arguments, classes before their arguments."""
    words = []
    for key in sorted(space):
        values: Any = space[key]
        if isinstance(values, CategoricalDistribution):
            value = trial.suggest_categorical(key, values.choices)
        else:
            is_whole = isinstance(values, IntDistribution)
            draw: Any = trial.suggest_int if is_whole else trial.suggest_float
            value = draw(key, values.low, values.high, step=values.step, log=values.log)
        words.append(f"--{key}={short(value)}")
    return words


def short(value: Any) -> Any:
    """Return 0.3 for 0.1 + 2 * 0.1, and other values unchanged."""
    return float(f"{value:.10g}") if isinstance(value, float) else value
