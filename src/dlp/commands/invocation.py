"""What a command line asks for, before it is parsed in full: which run, which checkpoint."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import yaml

from dlp.commands.resuming import edited_words
from dlp.config_files import read_config
from dlp.console import say
from dlp.errors import InputError, MissingInputError
from dlp.named_configs import find_config, run_name
from dlp.recipe import Recipe
from dlp.runs.folders import Run, existing_checkpoint, newest_run, run_of
from dlp.runs.origin import newest_run_of, read_origin

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Options = TypeVar("_Options", bound="DataclassInstance")


class Invocation(NamedTuple):
    """What a command line means.

    Args:
        words: What a `Recipe` is parsed from: ``--ckpt_path`` taken out, and the config of the run
            that the checkpoint belongs to instead of that run's recipe.
        checkpoint: The checkpoint to resume or evaluate; None where there is none.
        run: The run that it belongs to.
    """

    words: list[str]
    checkpoint: Path | None = None
    run: Run | None = None


def resolve(command: str, words: Sequence[str]) -> Invocation:
    """Find the run and the checkpoint that a command line means.

    Raises:
        InputError: There is no such run or checkpoint: never random weights, never a silent
            training from scratch.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("--ckpt_path")
    parser.add_argument("--run_dir")
    if command == "predict":
        parser.add_argument("--text", action="append")
    parser.add_argument("--trainer.fast_dev_run", dest="dry", nargs="?", const="true")
    try:
        known, others = parser.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from error
    configs: list[str] = known.config
    if known.dry is not None:
        others += ["--trainer.fast_dev_run", known.dry]
    if known.run_dir is not None:
        others += ["--run_dir", known.run_dir]
    if texts := getattr(known, "text", None):
        others += ["--data.predict_texts", json.dumps(texts)]
    asks_only = {"--print_config", "-h", "--help"} & {arg.partition("=")[0] for arg in others}
    name = run_name(configs)
    plain = Invocation([*_flags(configs), *others])
    if asks_only or (command == "fit" and known.ckpt_path is None):
        return plain
    trial = _is_trial(known.dry, configs)
    if trial and command == "fit":
        say("fast_dev_run tries one batch from random weights: nothing is resumed")
        return plain
    try:
        run, checkpoint = _checkpoint(command, name, configs, known.ckpt_path, known.run_dir)
    except MissingInputError:
        if not trial:
            raise
        say("fast_dev_run without a trained model: the weights are random")
        return plain
    if run is None:
        return Invocation(plain.words, checkpoint)
    same = run_name([str(run.config)]) == name or not configs
    if same and configs:
        others = [*edited_words(command, configs, run, others), *others]
    kept = [str(run.config), *([] if same else configs)]
    return Invocation([*_flags(kept), *others], checkpoint, run)


def started(
    command: str, words: Sequence[str], options: "type[DataclassInstance] | None" = None
) -> tuple[Recipe, Path | None]:
    """Return the recipe and the checkpoint that a command line means.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        words: What stands after it.
        options: A dataclass of the command's own options.

    Raises:
        InputError: See `resolve`; or a key or a value is none that is accepted.
    """
    of_recipe, checkpoint, run = resolve(command, words)
    recipe = Recipe.parse(of_recipe, command, options)
    if checkpoint is not None:
        recipe = replace(recipe, name=recipe.name if run is None else run.name, configs=())
    return recipe, checkpoint


def started_anew(
    command: str, words: Sequence[str], options: type[_Options]
) -> tuple[Recipe, _Options]:
    """Return the recipe and the options of a command that goes on from no checkpoint.

    Args:
        command: ``crossval`` or ``tune``.
        words: What stands after it.
        options: A dataclass of the command's own options.

    Raises:
        InputError: A checkpoint is given; or a key or a value is none that is accepted.
    """
    if any(word.partition("=")[0] == "--ckpt_path" for word in words):
        raise InputError(f"{command} trains anew: --ckpt_path does not go with it.")
    recipe = Recipe.parse(words, command, options)
    return recipe, recipe.options(options)


def _is_trial(given: str | None, configs: Sequence[str]) -> bool:
    """Whether the command runs under ``fast_dev_run``, by its option or by its configs."""
    if given is not None:
        return bool(yaml.safe_load(given))
    value = False
    for config in configs:
        trainer = read_config(find_config(config)).get("trainer")
        if isinstance(trainer, Mapping):  # anything else is said where it is parsed
            value = trainer.get("fast_dev_run", value)
    return bool(value)


def _checkpoint(
    command: str, name: str, configs: list[str], given: str | None, run_dir: str | None
) -> tuple[Run | None, Path]:
    if given not in (None, "best", "last"):
        return _given_checkpoint(command, configs, given, run_dir)
    if run_dir is not None:
        run: Run | None = Run(Path(run_dir))
        where = f"the folder {run_dir} holds no run with a checkpoint"
    elif configs:
        run = newest_run_of(name, configs, given)
        where = f"no run of {name!r} below ./runs"
        if run is None and (other := newest_run(name, given)) is not None:
            theirs = " and ".join(read_origin(other.config) or ["another config of that name"])
            where = f"{other.folder} is of {theirs}, and no run below ./runs is of this config"
    else:
        raise InputError(f"dlp {command} needs --config NAME or --ckpt_path PATH.")
    found = None if run is None else run.checkpoint(given)
    if found is None:
        what = "to resume" if command == "fit" else "trained yet"
        configs = configs or ["NAME"]
        raise MissingInputError(
            f"{where} {what}: train one by dlp fit --config {' --config '.join(configs)}, or give "
            "--ckpt_path PATH."
        )
    say(f"{'resuming' if command == 'fit' else 'using'} {found}")
    return run, found


def _given_checkpoint(
    command: str, configs: list[str], given: str, run_dir: str | None
) -> tuple[Run | None, Path]:
    """Return the run and the checkpoint of a path; a fit goes on from a folder's last one."""
    checkpoint = existing_checkpoint(given, "last" if command == "fit" else None)
    run = run_of(checkpoint)
    if run is None and not configs:
        raise InputError(
            f"{given} lies in no run's folder (no config.yaml beside it): say which recipe it "
            "belongs to by --config NAME."
        )
    if run is not None and run_dir is not None and not run.is_in(run_dir):
        raise InputError(
            f"--ckpt_path {given} lies in the run {run.folder}, not in {run_dir}: leave --run_dir "
            "out, or start a new run from its weights by --init_from."
        )
    return run, checkpoint


def _flags(configs: Sequence[str]) -> list[str]:
    return [word for config in configs for word in ("--config", config)]
