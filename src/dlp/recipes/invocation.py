"""Arguments of a command before they are parsed: configs by name, checkpoints with their config."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from dlp.configs import find_config, flatten, read_config, run_name
from dlp.console import say
from dlp.errors import InputError
from dlp.runs.folder import (
    Origin,
    Run,
    checkpoint_of,
    newest_checkpoint,
    origin_of,
    origin_text,
)

_FAST_DEV_RUN = "--trainer.fast_dev_run"
_OF_TRAINED = ("validate", "test", "predict")
_HELP = {"-h", "--help", "--print_config"}


@dataclass
class Invocation:
    """Command with its configs, its other arguments and its checkpoint.

    Args:
        command: Name of the command.
        name: Name of the runs.
        typed: Configs as they were typed.
        configs: Files of the configs; for a checkpoint that of its run.
        args: Arguments beside the configs.
        is_dev_run: Whether one batch is tried and nothing is written.
        origin: Labels of the configs, for a checkpoint those of its run.
        checkpoint: Checkpoint that is restored.
    """

    command: str
    name: str
    typed: list[str]
    configs: list[Path]
    args: list[str]
    is_dev_run: bool
    origin: Origin
    checkpoint: Path | None = None

    @property
    def words(self) -> list[str]:
        """All arguments, for the parser."""
        words = []
        for path in self.configs:
            words += ["--config", str(path)]
        return words + self.args


def resolve(command: str, args: Sequence[str]) -> Invocation:
    """Return the arguments with configs as paths, for a checkpoint with the config of its run."""
    options, rest = _scan(command, args)
    configs = [find_config(config) for config in options.config]
    is_dev_run = False
    for config in configs:
        values = dict(flatten(read_config(config)))
        is_dev_run = bool(values.get("trainer.fast_dev_run", is_dev_run))
    if options.fast_dev_run is not None:
        is_dev_run = bool(yaml.safe_load(options.fast_dev_run))
        rest += [_FAST_DEV_RUN, options.fast_dev_run]
    result = Invocation(
        command,
        run_name(configs),
        options.config,
        configs,
        rest,
        is_dev_run,
        origin_of(configs),
    )
    is_restored = options.ckpt_path is not None or (command in _OF_TRAINED and not is_dev_run)
    if is_restored and not _HELP & set(rest):
        _restore(options.ckpt_path, result)
    return result


def _scan(command: str, args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return configs and checkpoint, and the other arguments."""
    parser = argparse.ArgumentParser(
        "dlp", usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False
    )
    parser.set_defaults(ckpt_path=None, text=None)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument(_FAST_DEV_RUN, dest="fast_dev_run", nargs="?", const="true")
    if command in ("fit", *_OF_TRAINED):
        parser.add_argument("--ckpt_path")
    if command == "predict":
        parser.add_argument("--text", action="append")
    options, rest = parser.parse_known_args(args)
    if options.text:
        # YAML does not read the surrogates of emoji.
        rest += ["--data.predict_texts", json.dumps(options.text, ensure_ascii=False)]
    return options, rest


def _restore(ckpt_path: str | None, result: Invocation) -> None:
    """Set the checkpoint, and the config of its run, which no other argument may contradict."""
    if not result.configs and ckpt_path is None:
        raise InputError(f"dlp {result.command} needs --config NAME or --ckpt_path PATH.")
    for word in result.args:
        is_data = result.command == "fit" and word.startswith("--data")
        if is_data or word.startswith(("--model", "--seed_everything", "--ensemble")):
            raise InputError(
                f"{word.partition('=')[0]} has no place beside a checkpoint, whose run has its "
                "own config. Leave it out, or train anew by dlp fit without --ckpt_path."
            )
    if ckpt_path in (None, "best", "last"):
        runs = Run.from_configs(result.name, result.origin)
        checkpoint = newest_checkpoint(result.name, runs, ckpt_path)
    else:
        checkpoint = checkpoint_of(ckpt_path, "last" if result.command == "fit" else None)
    say(f"using {checkpoint}")
    result.checkpoint = checkpoint
    run = Run.of(checkpoint)
    if run is None or (result.configs and not run.config.is_file()):
        return
    run.check_config()
    name = run_name([run.config])
    if result.configs and name != result.name:
        raise InputError(
            f"{checkpoint} belongs to a run of {name!r}, not of {result.name!r}; "
            "leave --config out."
        )
    origin = run.origin()
    if result.configs and not run.comes_from(result.origin):
        raise InputError(
            f"{checkpoint} belongs to a run of {origin_text(origin)}, not of "
            f"{origin_text(result.origin)}; leave --config out."
        )
    say(f"using {run.config}")
    if origin is not None or not result.configs:
        result.origin = origin
    result.name = name
    result.configs = [run.config]
