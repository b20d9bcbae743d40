"""What a command on an earlier run heeds of an edited config, and what it does not."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dlp.config_files import read_config
from dlp.console import say
from dlp.errors import InputError
from dlp.parsing.run_options import takes
from dlp.recipe import Recipe
from dlp.runs.folders import Run
from dlp.runs.origin import HEEDED_OF_DATA, edits, holds_classes, plain_value
from dlp.runs.record import read_results

#: Arguments of a model whose state a checkpoint brings along, their own values included.
_RESTORED = ("optimizer", "lr_scheduler")
#: Keys beside the Trainer's that a run may go on with another value of.
_HEEDED = (*HEEDED_OF_DATA, "threads", "baselines", "smoothing")


def edited_words(command: str, configs: Sequence[str], run: Run, typed: Sequence[str]) -> list[str]:
    """Return the edits of a person's configs that a command on their run can heed; tell all.

    Args:
        command: A fit heeds the whole config, other commands the data alone.
        configs: The configs given; the run's ``config.yaml`` is read instead of them.
        run: The run of these configs.
        typed: The words of the command line: what is typed counts more than what is in a config.

    Returns:
        Words of a command line: ``--data.predict_path=new.csv``.
    """
    changes = edits(run, configs)
    told = _against_run(configs, run) if changes is None else changes
    options = {word.partition("=")[0] for word in typed}
    heeded = {
        key: now
        for key, (now, _) in ({} if changes is None else changes).items()
        if takes(command, key) and _can_be_heeded(key, now) and f"--{key}" not in options
    }
    others = [
        f"{key} {now!r} (there {then!r})"
        for key, (now, then) in told.items()
        if key not in heeded and (command == "fit" or key.startswith("data."))
    ]
    named = " and ".join(configs)
    if heeded:
        listed = ", ".join(f"{key} {now!r} (there {told[key][1]!r})" for key, now in heeded.items())
        say(f"{named} has been edited since {run.folder} began, and counts: {listed}")
    if others:
        say(f"{run.config} counts, not {named}, which has: {', '.join(others)}")
    return [
        f"--{key}={now if isinstance(now, str) else json.dumps(now)}" for key, now in heeded.items()
    ]


def _can_be_heeded(key: str, value: object) -> bool:
    """Whether a value may be another one than when the run began: the weights do not hang on it."""
    if isinstance(value, list | Mapping) or (value is None and key != "data.predict_path"):
        return False
    of_trainer = key.startswith("trainer.") and key.count(".") == 1
    return key in _HEEDED or (of_trainer and key != "trainer.fast_dev_run")


def _against_run(configs: Sequence[str], run: Run) -> dict[str, tuple[object, object]]:
    """Return where configs differ from the run's own, in what both of them say."""
    there = read_config(run.config)
    return {
        name: (new, old)
        for path in map(Path, configs)
        if path.is_file()
        for name, new, old in _different(read_config(path), there)
    }


def check_resumed(recipe: Recipe, run: Run) -> None:
    """Refuse to go on with a run in a way that its checkpoint does not allow.

    Raises:
        InputError: The results of the run are damaged, it goes by another metric, or has another
            optimizer or schedule.
    """
    read_results(run.folder)
    config = read_config(run.config)
    known = config.get("monitor", "val_loss")
    if (given := recipe.run.monitor) != known:
        raise InputError(
            f"{run.folder} goes by {known}: its best epoch by {given} was not kept. Leave "
            f"--monitor {given} out, or train a new run with it."
        )
    there = (config.get("model") or {}).get("init_args") or {}
    here = recipe.config.model.as_dict().get("init_args") or {}
    for name in _RESTORED:
        for key, new, old in _different({name: here.get(name)}, {name: there.get(name)}):
            raise InputError(
                f"model.{key} is {old!r} in the run that is resumed, and its checkpoint brings it "
                f"along: {new!r} would do nothing. Leave it out, or start a new run from the "
                f"weights: --init_from {run.folder}."
            )


def _different(new: object, old: object, name: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield the name and both values of what differs; what one of both leaves open does not."""
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        for key in new.keys() & old.keys():
            short = name if key == "init_args" else f"{name}.{key}".strip(".")
            yield from _different(new[key], old[key], short)
    elif holds_classes(new) and holds_classes(old) and len(new) == len(old):
        for number, (one, other) in enumerate(zip(new, old, strict=True)):
            yield from _different(one, other, f"{name}[{number}]")
    elif not isinstance(new, Mapping | None) and not isinstance(old, Mapping | None):
        if name.endswith("class_path"):
            new, old = (str(each).rpartition(".")[2] for each in (new, old))
        if plain_value(new) != plain_value(old):
            yield name, new, old
