"""Arguments of a command before they are parsed: configs by name, checkpoints with their config."""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dlp.console import say
from dlp.errors import InputError
from dlp.lightning_cli.configs import find_config, read_config, run_name
from dlp.runs.folder import Run, find_checkpoint, run_of


@dataclass
class Invocation:
    """Command with its run, its arguments for the parser, and its checkpoint.

    The names are all words of the configs and arguments, by which classes are imported.
    """

    name: str
    args: list[str]
    is_dev_run: bool
    checkpoint: Path | None = None
    run: Run | None = None
    names: set[str] = field(default_factory=set)


def resolve(command: str, args: Sequence[str], takes_checkpoint: bool = True) -> Invocation:
    """Return the arguments with configs as paths, for a checkpoint with the config of its run."""
    options, rest = _scan(command, args)
    configs = [find_config(config) for config in options.config]
    contents = [read_config(path) for path in configs]
    result = Invocation(run_name(configs), rest, _is_dev_run(contents, rest))
    if any(content.get("ckpt_path") for content in contents):
        raise InputError("ckpt_path belongs on the command line: --ckpt_path last.")
    if options.ckpt_path is not None and not takes_checkpoint:
        raise InputError(f"dlp {command} takes no checkpoint; leave --ckpt_path out.")
    is_fit, is_typed = command == "fit", options.ckpt_path is not None
    needs_checkpoint = takes_checkpoint and (is_typed or not is_fit)
    if result.is_dev_run and (is_fit or not is_typed):  # of random weights
        needs_checkpoint = False
    if needs_checkpoint and not {"-h", "--help", "--print_config"} & {*rest}:
        if not is_typed and not configs:
            raise InputError(f"dlp {command} needs --config NAME or --ckpt_path PATH.")
        result.checkpoint = find_checkpoint(options.ckpt_path, result.name, resume=is_fit)
        result.run = run_of(result.checkpoint)
        if result.run is not None:
            name = run_name([result.run.config])
            if configs and name != result.name:
                raise InputError(
                    f"{result.checkpoint} belongs to a run of {name!r}, not of {result.name!r}; "
                    "leave --config out."
                )
            configs, result.name = [result.run.config], name
            contents = [read_config(path) for path in configs]
        _check_beside_checkpoint(command, rest)
        say(f"using {result.checkpoint}")
    result.names = {*re.findall(r"\w+", " ".join([*map(yaml.safe_dump, contents), *rest]))}
    result.args = [word for path in configs for word in ("--config", str(path))] + rest
    return result


def _scan(command: str, args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return configs and checkpoint, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("--ckpt_path")
    if command == "predict":
        parser.add_argument("--text", action="append")
    try:
        options, rest = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; for example --config imdb.") from error
    if texts := vars(options).get("text"):
        # YAML does not read the surrogates of emoji.
        rest += ["--data.predict_texts", json.dumps(texts, ensure_ascii=False)]
    return options, rest


def _is_dev_run(contents: Sequence[dict[str, Any]], args: Sequence[str]) -> bool:
    """Return True if ``fast_dev_run`` is set by an argument, else by a config."""
    typed = re.search(r"--trainer\.fast_dev_run(?:[= ]?)(\S*)", " ".join(args))
    if typed:
        return typed[1].lower() not in ("false", "0")
    return any((content.get("trainer") or {}).get("fast_dev_run") for content in contents)


def _check_beside_checkpoint(command: str, args: Sequence[str]) -> None:
    """Check that no argument contradicts a checkpoint."""
    groups = ("--model", "--seed_everything", *(["--data"] if command == "fit" else []))
    if typed := [word for word in args if word.startswith(groups)]:
        raise InputError(
            f"{typed[0].partition('=')[0]} has no place beside a checkpoint, whose run has its own "
            "config. Leave it out, or train anew by dlp fit without --ckpt_path."
        )
