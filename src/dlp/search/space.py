"""The space of a search: which values each key of a config may take, read from a YAML file."""

import itertools
import json
import math
import random
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from dlp.config_files import read_config
from dlp.errors import InputError, suggestion
from dlp.named_configs import config_folder

#: The words of a leaf.
WORDS = ("low", "high", "log", "step", "choices")
_LEAF = "a leaf is {low:, high:, log:, step:}, {choices: [...]} or a list of choices"
#: What decides how a search is done, or is the same for all of its trials.
_FIXED = (
    *("config", "ckpt_path", "run_dir", "monitor", "monitor_mode", "seed_everything"),
    *("test_after_fit", "output", "smoothing", "threads", "print_config"),
    "trainer.fast_dev_run",
)

_Range = FloatDistribution | IntDistribution

#: One trial's values, by key: numbers of ranges, and choices as words of a command line.
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Space:
    """The keys of a search and where each is looked for.

    Args:
        distributions: Dotted key of a config -> its range or choices. Choices are words of a
            command line (``[16, 16]``, ``null``, ``tanh``), since Optuna keeps no lists.
    """

    distributions: dict[str, BaseDistribution]

    def keys(self, parameters: Parameters) -> dict[str, str]:
        """Return key -> word of a trial, as a command line has them: classes before arguments."""
        keys = sorted(parameters, key=lambda key: plain(key).split("."))
        return {key: _word(self.distributions[key], parameters[key]) for key in keys}

    def values(self, parameters: Parameters) -> dict[str, Any]:
        """Return key -> value of a trial: numbers, and choices as they were given."""
        return {key: _value(self.distributions[key], value) for key, value in parameters.items()}

    def probes(self) -> Iterator[dict[str, Any]]:
        """Yield trials in which each bound and each choice occurs."""
        ranges = {key: v for key, v in self.distributions.items() if isinstance(v, _Range)}
        choices = {
            key: [*v.choices]
            for key, v in self.distributions.items()
            if isinstance(v, CategoricalDistribution)
        }
        first = {key: words[0] for key, words in choices.items()}
        lowest = {key: values.low for key, values in ranges.items()} | first
        yield lowest
        if ranges:
            yield {key: values.high for key, values in ranges.items()} | first
        for key, words in choices.items():
            for word in words[1:]:
                yield {**lowest, key: word}

    def grid(self, seed: int) -> list[dict[str, Any]]:
        """Return every trial there can be, in an order drawn from `seed`.

        Raises:
            InputError: A range of floats has no step, so that there is no end of them.
        """
        values = [_all_values(key, found) for key, found in self.distributions.items()]
        points = [
            dict(zip(self.distributions, point, strict=True))
            for point in itertools.product(*values)
        ]
        random.Random(seed).shuffle(points)
        return points

    def text(self) -> str:
        """Return the space as YAML; equal spaces give equal texts."""
        leaves: dict[str, Any] = {}
        for key, values in sorted(self.distributions.items()):
            if isinstance(values, CategoricalDistribution):
                leaves[key] = {"choices": [yaml.safe_load(str(word)) for word in values.choices]}
            elif isinstance(values, _Range):
                leaf = {"low": values.low, "high": values.high, "log": values.log}
                leaves[key] = leaf if values.log else {**leaf, "step": values.step}
        return yaml.safe_dump(leaves, default_flow_style=None, sort_keys=False)


def plain(key: str) -> str:
    """Return a key without ``init_args`` and a last ``class_path``: one name for each argument."""
    parts = [part for part in key.split(".") if part != "init_args"]
    return ".".join(parts[:-1] if parts[-1] == "class_path" and len(parts) > 1 else parts)


def spaces() -> dict[str, Path]:
    """Return name -> file of each space that comes with the project."""
    return {path.stem: path for path in sorted((config_folder() / "spaces").glob("*.yaml"))}


def find_space(given: str) -> Path:
    """Return the file that `given`, a path or the name of a space, stands for.

    Raises:
        InputError: There is no such file and no such name.
    """
    if (path := Path(given)).is_file():
        return path
    known = spaces()
    if given in known:
        return known[given]
    raise InputError(
        f"there is no space {given!r}.{suggestion(given, known)} Accepted: the path of a YAML "
        f"file, or one of {', '.join(known)}."
    )


def read_space(path: Path) -> Space:
    """Read a space; keys may be nested as in configs, or dotted.

    Raises:
        InputError: It is no YAML, a key is given twice, or a leaf makes no sense.
    """
    if not (tree := read_config(path)):
        raise InputError(f"{path} holds no space: keys of a config, each with a leaf; {_LEAF}.")
    return space_of(tree)


def space_of(tree: Mapping[str, Any]) -> Space:
    """Return the space of a tree of keys and leaves.

    Raises:
        InputError: A leaf makes no sense, or a key occurs twice or cannot be searched.
    """
    found: dict[str, BaseDistribution] = {}
    seen: dict[str, str] = {}
    for key, leaf in _leaves(tree, ""):
        name = plain(key)
        if name in _FIXED:
            raise InputError(f"space: {key} is the same for all trials; give it by --{key}.")
        if name in seen:
            raise InputError(f"space: {seen[name]} and {key} are the same argument; give one.")
        seen[name] = key
        found[key] = _distribution(key, leaf)
    return Space(found)


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and not _is_leaf(value):
            yield from _leaves(value, f"{key}.")
        elif isinstance(value, list | Mapping):
            yield key, value
        else:
            near = suggestion(str(name), WORDS) if prefix else ""
            raise InputError(
                f"space: {key} is neither a range nor a list of choices, but {value!r}.{near} "
                f"({_LEAF}; what is fixed belongs in the config.)"
            )


def _is_leaf(value: Mapping[str, Any]) -> bool:
    bounds = [value[word] for word in ("low", "high", "choices") if word in value]
    return bool(bounds) and not any(isinstance(bound, Mapping) for bound in bounds)


def _distribution(key: str, leaf: list[Any] | dict[str, Any]) -> BaseDistribution:
    """Return what Optuna draws from for a leaf."""
    if isinstance(leaf, list):
        leaf = {"choices": leaf}
    for word in leaf:
        if word not in WORDS:
            raise InputError(
                f"space: unknown word {word!r} at {key}.{suggestion(str(word), WORDS)} Accepted: "
                f"{', '.join(WORDS)}."
            )
    if "choices" in leaf:
        return _choices(key, leaf)
    return _range(key, leaf)


def _choices(key: str, leaf: dict[str, Any]) -> CategoricalDistribution:
    choices = leaf["choices"]
    if len(leaf) > 1:
        raise InputError(f"space: {key} has choices; these go with no other word.")
    if not isinstance(choices, list) or not choices:
        raise InputError(f"space: choices of {key} must be a list of one or more; got {choices!r}.")
    words = [choice if isinstance(choice, str) else json.dumps(choice) for choice in choices]
    if twice := next((word for word in words if words.count(word) > 1), None):
        raise InputError(f"space: {twice} occurs twice among the choices of {key}.")
    return CategoricalDistribution(words)


def _range(key: str, leaf: dict[str, Any]) -> _Range:
    if missing := [word for word in ("low", "high") if word not in leaf]:
        raise InputError(f"space: {key} lacks {' and '.join(missing)}; {_LEAF}.")
    low, high = (_number(key, word, leaf[word]) for word in ("low", "high"))
    step = None if leaf.get("step") is None else _number(key, "step", leaf["step"])
    log = leaf.get("log", False)
    if not isinstance(log, bool):
        raise InputError(f"space: log of {key} must be true or false; got {log!r}.")
    if low >= high:
        raise InputError(f"space: low of {key} must be below high; got {low} and {high}.")
    if log and low <= 0:
        raise InputError(f"space: low of {key} must be above 0 for a log scale; got {low}.")
    if log and step is not None:
        raise InputError(f"space: log and step of {key} do not go together; leave one out.")
    if step is not None and not 0 < _decimal(step) <= _decimal(high) - _decimal(low):
        raise InputError(
            f"space: step of {key} must be above 0 and at most high - low; got {step}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # steps that do not end at high end below it
        if isinstance(low, int) and isinstance(high, int):
            if isinstance(step, float):
                raise InputError(f"space: step of {key} must be a whole number, as its bounds are.")
            return IntDistribution(low, high, log=log, step=step or 1)
        return FloatDistribution(float(low), float(high), log=log, step=step and float(step))


def _decimal(value: float) -> Decimal:
    """Return a number as it was typed: 0.3 - 0.2 is 0.1 then."""
    return Decimal(str(value))


def _number(key: str, word: str, value: Any) -> int | float:
    if isinstance(value, str):  # YAML takes 1e-4, without a point, for text
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"space: {word} of {key} must be a number.")
    return value


def _word(values: BaseDistribution, value: Any) -> str:
    """Return a value as it would be typed: 0.3 for 0.1 + 2 * 0.1."""
    if isinstance(values, FloatDistribution) and values.step is not None:
        first, width = _decimal(values.low), _decimal(values.step)
        value = float(first + round((_decimal(value) - first) / width) * width)
    return value if isinstance(value, str) else repr(value)


def _value(values: BaseDistribution, value: Any) -> Any:
    """Return a value as an object: a list for ``[16, 16]``."""
    if not isinstance(values, CategoricalDistribution):
        return float(_word(values, value)) if isinstance(values, FloatDistribution) else value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _all_values(key: str, values: BaseDistribution) -> list[Any]:
    if isinstance(values, CategoricalDistribution):
        return list(values.choices)
    if isinstance(values, IntDistribution) and not values.log:
        return list(range(values.low, values.high + 1, values.step))
    if isinstance(values, FloatDistribution) and values.step is not None:
        first, width = _decimal(values.low), _decimal(values.step)
        count = round((_decimal(values.high) - first) / width)
        return [float(first + index * width) for index in range(count + 1)]
    raise InputError(
        f"a grid needs a finite space: give {key} a step or choices, or use --sampler tpe or "
        "random."
    )
