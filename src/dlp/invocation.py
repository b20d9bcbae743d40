"""Arguments of a command before they are parsed: configs by name, checkpoints with their config."""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dlp.configs import find_config, read_config, run_name, variations
from dlp.console import say
from dlp.errors import InputError
from dlp.runs import find_checkpoint, run_of

#: Attributes of a DataModule that are arguments of a module.
SIZES = ("input_shape", "num_outputs", "target_mean", "target_std", "target_transform")


@dataclass
class Invocation:
    """Command with its arguments.

    Args:
        command: Name of the command.
        args: Arguments after it, for the parser.
        name: Name of the run.
        is_trial: Whether ``fast_dev_run`` is set.
        checkpoint: Checkpoint to resume, evaluate or predict with.
        texts: Texts to predict.
        typed_sizes: Arguments of the model among `SIZES`.
        words: Words of the configs and arguments, among them names of classes.
    """

    command: str
    args: list[str]
    name: str = ""
    is_trial: bool = False
    checkpoint: Path | None = None
    texts: list[str] = field(default_factory=list)
    typed_sizes: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)


def resolve(command: str, args: Sequence[str], takes_checkpoint: bool = True) -> Invocation:
    """Return a command with its configs as paths, for a checkpoint with the config of its run.

    Args:
        command: Name of the command.
        args: Arguments of the user.
        takes_checkpoint: Whether it is one of Lightning's four commands.

    Raises:
        InputError: If a config or checkpoint is missing, or contradicts the other arguments.
    """
    options, rest = _scan(command, args)
    configs = [find_config(config) for config in options.config]
    contents = [read_config(path) for path in configs]
    result = Invocation(command, rest, run_name(configs), texts=options.text)
    result.is_trial = _is_trial(contents, rest)
    if configs and {*configs} <= {*variations().values()}:
        name = options.config[0]
        raise InputError(f"{name} is a variation; give its recipe before: --config imdb, then it.")
    if any(content.get("ckpt_path") for content in contents):
        raise InputError("ckpt_path belongs on the command line: --ckpt_path last.")
    if options.ckpt_path is not None and not takes_checkpoint:
        raise InputError(f"dlp {command} takes no checkpoint; leave --ckpt_path out.")
    needs_checkpoint = takes_checkpoint and (command != "fit" or options.ckpt_path is not None)
    if {"-h", "--help", "--print_config"} & {*rest}:
        needs_checkpoint = False
    elif needs_checkpoint and result.is_trial and (command == "fit" or options.ckpt_path is None):
        say("fast_dev_run: one batch, random weights, no files")
        needs_checkpoint = False
    if needs_checkpoint:
        if options.ckpt_path is None and not configs:
            raise InputError(f"dlp {command} needs --config NAME or --ckpt_path PATH.")
        result.checkpoint = find_checkpoint(options.ckpt_path, result.name, command == "fit")
        if (run := run_of(result.checkpoint)) is not None:
            name = run_name([run.config])
            if configs and name != result.name:
                raise InputError(
                    f"{result.checkpoint} belongs to a run of {name!r}, not of {result.name!r}; "
                    "leave --config out."
                )
            configs, contents, result.name = [run.config], [read_config(run.config)], name
        _check_beside_checkpoint(command, rest)
        say(f"using {result.checkpoint}")
    result.typed_sizes = _typed_sizes(contents, rest)
    result.words = {*re.findall(r"\w+", " ".join([*map(yaml.safe_dump, contents), *rest]))}
    result.args = [word for path in configs for word in ("--config", str(path))] + rest
    return result


def _scan(command: str, args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return configs, checkpoint and texts, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("--ckpt_path")
    parser.set_defaults(text=[])
    if command == "predict":
        parser.add_argument("--text", action="append")
    try:
        options, rest = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; for example --config imdb.") from error
    if options.text:
        rest += ["--data.predict_texts", json.dumps(options.text)]
    return options, rest


def _is_trial(contents: Sequence[dict[str, Any]], args: Sequence[str]) -> bool:
    """Return True if ``fast_dev_run`` is set by an argument, else by a config."""
    typed = re.search(r"--trainer\.fast_dev_run(?:[= ]?)(\S*)", " ".join(args))
    if typed:
        return typed[1].lower() not in ("false", "0")
    trainers = [content.get("trainer") for content in contents]
    return any(isinstance(t, dict) and t.get("fast_dev_run") for t in trainers)


def _check_beside_checkpoint(command: str, args: Sequence[str]) -> None:
    """Check that no argument contradicts a checkpoint."""
    groups = ("--model", "--seed_everything", *(["--data"] if command == "fit" else []))
    if typed := [word for word in args if word.startswith(groups)]:
        raise InputError(
            f"{typed[0].partition('=')[0]} has no place beside a checkpoint, whose run has its own "
            "config. Leave it out, or train anew by dlp fit without --ckpt_path."
        )


def _typed_sizes(contents: Sequence[dict[str, Any]], args: Sequence[str]) -> set[str]:
    """Return the sizes that are set: those that the data has would be overruled without a word."""
    keys = [key for word in args for key in re.findall(r"--model\.(?:init_args\.)?(\w+)", word)]
    for model in (content.get("model") for content in contents):
        arguments = model.get("init_args") if isinstance(model, dict) else None
        keys += [key for key, value in (arguments or {}).items() if value is not None]
    return {*keys} & {*SIZES}
