"""Which configs a run is of: by what they said when it began, not by their files' names alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from dlp.config_files import leaves, read_config
from dlp.named_configs import find_config, is_of_a_run, recipes, variations
from dlp.runs.folders import Run, runs_of

#: What the first line of a run's config.yaml begins with: a comment, so that it is YAML still.
_MARK = "# Of the configs: "
#: What begins the keys that say what is trained on what.
_WHAT_IT_IS = ("data.", "model.")
#: Those among them that a run may go on with another value of.
HEEDED_OF_DATA = (
    *("data.predict_path", "data.data_dir", "data.batch_size", "data.eval_batch_size"),
    "data.num_workers",
)


def origin(configs: Sequence[str]) -> dict[str, Any]:
    """Return what each config says: name, or path -> keys; a run's config stands for its own."""
    found: dict[str, Any] = {}
    for given in configs:
        path = find_config(given)
        recorded = read_origin(path)
        found |= {_name(path): read_config(path)} if recorded is None else recorded
    plain: dict[str, Any] = json.loads(json.dumps(found, default=str))  # as it will be read back
    return plain


def origin_line(configs: Sequence[str]) -> str:
    """Return the line that says, in a run's config.yaml, of which configs the run is.

    It is empty for a run that is made again from another's config.yaml without such a line.
    """
    paths = [find_config(given) for given in configs]
    if not paths or any(is_of_a_run(path) and read_origin(path) is None for path in paths):
        return ""
    return f"{_MARK}{json.dumps(origin(configs))}\n"


def read_origin(config: Path) -> dict[str, Any] | None:
    """Return what `origin` gave when a run began; None where its config.yaml does not say it."""
    with config.open(encoding="utf-8", errors="replace") as lines:
        first = lines.readline()
    if not first.startswith(_MARK):
        return None
    found: dict[str, Any] = json.loads(first.removeprefix(_MARK))
    return found


def is_of(run: Run, configs: Sequence[str]) -> bool:
    """Whether a run is of these configs: they say the same, or are the same files, edited.

    A run of an earlier release, which does not say what they said, is so by its data and model.
    """
    theirs = read_origin(run.config) if run.config.is_file() else {}
    ours = origin(configs)
    if theirs is not None:
        return list(theirs) == list(ours) or list(theirs.values()) == list(ours.values())
    there = dict(leaves(read_config(run.config)))
    here = _flat(ours)
    both = (key for key in here.keys() & there.keys() if key.startswith(_WHAT_IT_IS))
    return all(
        key in HEEDED_OF_DATA or holds_classes(here[key]) or _same(key, here[key], there[key])
        for key in both
    )


def newest_run_of(name: str, configs: Sequence[str], which: str | None = None) -> Run | None:
    """Return the newest run of these configs that has a checkpoint (of that kind), or None.

    Args:
        name: What runs of the configs are called.
        configs: The configs.
        which: ``best`` or ``last``; None for either.
    """
    runs = (run for run in runs_of(name) if run.checkpoint(which) is not None)
    return next((run for run in runs if is_of(run, configs)), None)


def edits(run: Run, configs: Sequence[str]) -> dict[str, tuple[Any, Any]] | None:
    """Return what configs say otherwise than when a run began: key -> (now, then).

    None says that it cannot be told, since the run's config.yaml does not hold what they said.
    """
    recorded = read_origin(run.config)
    if recorded is None:
        return None
    now, then = _flat(origin(configs)), _flat(recorded)
    both = {key: (now.get(key), then.get(key)) for key in {**now, **then}}
    return {key: values for key, values in both.items() if not _same(key, *values)}


def _flat(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for tree in said.values() for key, value in leaves(tree)}


def _same(key: str, one: Any, other: Any) -> bool:
    """Whether two values are the same; a class is so with or without its package."""
    if key.endswith("class_path"):
        one, other = (str(value).rpartition(".")[2] for value in (one, other))
    return bool(one == other) or plain_value(one) == plain_value(other)


def holds_classes(value: object) -> TypeGuard[list[object]]:
    """Whether a value is a list of objects, each said by its class or its arguments."""
    return isinstance(value, list) and any(isinstance(each, Mapping) for each in value)


def plain_value(value: Any) -> object:
    """Return a value so that 1e-3, a text in YAML, is 0.001, and a list of one is that one."""
    if isinstance(value, list | tuple):
        parts = [plain_value(each) for each in value]
        return parts[0] if len(parts) == 1 else parts
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _name(path: Path) -> str:
    """Return the name of a recipe or variation, and else the path, from here where it is below."""
    for name, known in {**variations(), **recipes()}.items():
        if known == path:
            return name
    resolved, here = path.resolve(), Path.cwd().resolve()
    return (resolved.relative_to(here) if resolved.is_relative_to(here) else resolved).as_posix()
