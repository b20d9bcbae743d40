"""Build the recipe for a command line. For a restored checkpoint, use the config of its run."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import yaml

from dlp.configs import find_config, flatten, labels_text, read_config, run_name
from dlp.console import say
from dlp.errors import InputError, naming
from dlp.modules.checkpoint import Checkpoint
from dlp.recipes.parser import OF_RUNS
from dlp.recipes.recipe import Recipe
from dlp.runs.folder import Content, Run, origin_of

_FAST_DEV_RUN = "trainer.fast_dev_run"
#: Options that only apply to a new training.
_OF_TRAINING = ("--model", "--seed_everything", "--ensemble", "--init_from")
_HELP = {"-h", "--help", "--print_config"}


def typed_recipe(command: str, args: Sequence[str], function: Callable[..., object]) -> Recipe:
    """Return the recipe for a command line.

    Args:
        command: Name of the command.
        args: Words after the command.
        function: Function that runs the command. Its parameters become further options.
    """
    typed, words = _first_look(args)
    configs: list[str | Path] = typed.config
    run = None
    checkpoint = None
    if not _HELP & set(words) and _is_restored(command, typed):
        run = _restored_run(command, [find_config(config) for config in configs], typed.ckpt_path)
        checkpoint = Checkpoint(run.model())
        _check_words(command, words)
        if run.config.is_file():
            say(f"using {run.config}")
            configs = [run.config]
    return Recipe(command, configs, words, function=function, run=run, checkpoint=checkpoint)


def _first_look(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options that identify the run to restore, and all words except the configs.

    The configs are parsed before the other words, wherever they appear on the command line.
    """
    look = argparse.ArgumentParser(
        "dlp", usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False
    )
    look.add_argument("-c", "--config", action="append", default=[])
    look.add_argument("--ckpt_path")
    look.add_argument(f"--{_FAST_DEV_RUN}", nargs="?", const="true", dest="fast_dev_run")
    typed, words = look.parse_known_args(args)
    if typed.ckpt_path is not None:
        words += ["--ckpt_path", typed.ckpt_path]
    if typed.fast_dev_run is not None:
        words += [f"--{_FAST_DEV_RUN}", typed.fast_dev_run]
    return typed, words


def _is_restored(command: str, typed: argparse.Namespace) -> bool:
    """Return True if the command uses an existing run, which ``fast_dev_run`` does not need."""
    if command not in OF_RUNS:
        return False
    if typed.ckpt_path is not None or command == "fit":
        return typed.ckpt_path is not None
    if typed.fast_dev_run is not None:
        with naming(f"--{_FAST_DEV_RUN}"):
            return not yaml.safe_load(typed.fast_dev_run)
    is_trial = False
    for config in typed.config:
        keys = dict(flatten(read_config(find_config(config))))
        is_trial = bool(keys.get(_FAST_DEV_RUN, is_trial))
    return not is_trial


def _restored_run(command: str, configs: list[Path], ckpt_path: str | None) -> Run:
    """Return the run, with its checkpoint, that a path, a name or the configs identify."""
    if not configs and ckpt_path is None:
        raise InputError(f"dlp {command} needs --config NAME or --ckpt_path PATH.")
    if not configs and ckpt_path in ("best", "last"):
        raise InputError(
            f"--ckpt_path {ckpt_path} also needs --config NAME, to identify the run. Give the "
            f"config, or give the name, folder or checkpoint of a run instead of {ckpt_path}."
        )
    name = run_name(configs)
    origin = origin_of(configs)
    if ckpt_path is None:
        run = Run.find(name, origin=origin)
    elif ckpt_path in ("best", "last"):
        run = Run.find(name, cast(Content, ckpt_path), origin)
    else:
        run = Run.find(ckpt_path, "last" if command == "fit" else "models")
    checkpoint = run.model()
    say(f"using {checkpoint}")
    if not run.is_recorded:
        return run
    if not configs:
        run.check_config()
    elif run.config.is_file() and run.origin() != origin:
        raise InputError(
            f"{checkpoint} belongs to a run of {labels_text(run.origin())}, not to one of "
            f"{labels_text(origin)}. Leave out --config."
        )
    return run


def _check_words(command: str, words: Sequence[str]) -> None:
    """Refuse options that contradict the config of a restored run."""
    for word in words:
        is_data = command == "fit" and word.startswith("--data")
        if is_data or word.startswith(_OF_TRAINING):
            raise InputError(
                f"{word.partition('=')[0]} cannot be combined with a checkpoint, because the "
                "checkpoint's run has its own config. Leave out the option, or train a new model "
                "with dlp fit, without --ckpt_path."
            )
