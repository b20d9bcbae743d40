"""Arguments of a command before they are parsed: configs by name, checkpoints with their config."""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from dlp.console import say
from dlp.errors import InputError
from dlp.lightning_cli.configs import find_config, read_config, read_source, read_values, run_name
from dlp.runs.folder import Run, find_checkpoint, run_of

_FAST_DEV_RUN = "--trainer.fast_dev_run"
_WITH_CHECKPOINT = ("fit", "validate", "test", "predict")
_HELP = {"-h", "--help", "--print_config"}


@dataclass
class Invocation:
    """Command with its configs, its other arguments, its run and its checkpoint.

    Args:
        command: Name of the command.
        name: Name of the runs.
        configs: Files of the configs.
        args: Arguments beside the configs.
        source: Configs as they were typed; for a checkpoint those of its run.
        is_dev_run: Whether one batch is tried and nothing is written.
        checkpoint: Checkpoint that is restored.
        run: Run of the checkpoint.
    """

    command: str
    name: str
    configs: list[Path]
    args: list[str]
    source: list[Path]
    is_dev_run: bool = False
    checkpoint: Path | None = None
    run: Run | None = None

    @property
    def words(self) -> list[str]:
        """All arguments, for the parser."""
        words = []
        for path in self.configs:
            words += ["--config", str(path)]
        return words + self.args

    @property
    def names(self) -> set[str]:
        """All words of the configs and arguments, by which classes are imported."""
        texts = [path.read_text("utf-8") for path in self.configs]
        return set(re.findall(r"\w+", " ".join(texts + self.args)))


def of_run(run: Run, checkpoint: Path | None = None) -> Invocation:
    """Return what reads the config of a run, without a command line."""
    source = read_source(run.config)
    name = run_name([run.config])
    return Invocation("", name, [run.config], [], source, checkpoint=checkpoint, run=run)


def resolve(command: str, args: Sequence[str]) -> Invocation:
    """Return the arguments with configs as paths, for a checkpoint with the config of its run."""
    options, rest = _scan(command, args)
    configs = [find_config(config) for config in options.config]
    values = read_values(configs)
    is_dev_run = bool(values.get("trainer.fast_dev_run"))
    if options.fast_dev_run is not None:
        is_dev_run = bool(yaml.safe_load(options.fast_dev_run))
        rest += [_FAST_DEV_RUN, options.fast_dev_run]
    source = list(map(Path, options.config))
    result = Invocation(command, run_name(configs), configs, rest, source, is_dev_run)
    if values.get("ckpt_path"):
        raise InputError("ckpt_path belongs on the command line: --ckpt_path last.")
    if options.ckpt_path is not None and command not in _WITH_CHECKPOINT:
        raise InputError(f"dlp {command} takes no checkpoint; leave --ckpt_path out.")
    if command in _WITH_CHECKPOINT and _needs_checkpoint(options, result):
        _find_run(options.ckpt_path, result)
        _check_beside_checkpoint(command, rest)
        say(f"using {result.checkpoint}")
    if result.run is not None:
        if options.ckpt_path in (None, "best", "last"):
            _check_same_source(source, result.run)
        result.source = read_source(result.run.config)
        result.configs = [result.run.config]
        say(f"using {result.run.config}")
    return result


def _scan(command: str, args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return configs and checkpoint, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("--ckpt_path")
    parser.add_argument(_FAST_DEV_RUN, dest="fast_dev_run", nargs="?", const="true")
    if command == "predict":
        parser.add_argument("--text", action="append")
    try:
        options, rest = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; for example --config imdb.") from error
    if command == "predict" and options.text:
        # YAML does not read the surrogates of emoji.
        rest += ["--data.predict_texts", json.dumps(options.text, ensure_ascii=False)]
    return options, rest


def _needs_checkpoint(options: argparse.Namespace, invocation: Invocation) -> bool:
    """Return True unless a fit begins, random weights are tried, or help is asked for."""
    command = invocation.command
    if _HELP & set(invocation.args):
        return False
    if command == "fit":
        return options.ckpt_path is not None and not invocation.is_dev_run
    if options.ckpt_path is None:
        if not options.config:
            raise InputError(f"dlp {command} needs --config NAME or --ckpt_path PATH.")
        return not invocation.is_dev_run
    return True


def _find_run(ckpt_path: str | None, result: Invocation) -> None:
    """Set checkpoint and run; a typed config must be that of the run."""
    checkpoint = find_checkpoint(ckpt_path, result.name, resume=result.command == "fit")
    result.checkpoint = checkpoint
    result.run = run_of(checkpoint)
    if result.run is None:
        return
    read_config(result.run.config)  # refuses a damaged one
    name = run_name([result.run.config])
    if result.configs and name != result.name:
        raise InputError(
            f"{checkpoint} belongs to a run of {name!r}, not of {result.name!r}; "
            "leave --config out."
        )
    result.name = name


def _check_beside_checkpoint(command: str, args: Sequence[str]) -> None:
    """Check that no argument contradicts a checkpoint."""
    for word in args:
        is_data = command == "fit" and word.startswith("--data")
        if is_data or word.startswith(("--model", "--seed_everything", "--ensemble")):
            raise InputError(
                f"{word.partition('=')[0]} has no place beside a checkpoint, whose run has its "
                "own config. Leave it out, or train anew by dlp fit without --ckpt_path."
            )


def _check_same_source(configs: Sequence[Path], run: Run) -> None:
    """Check that the newest run of a name is not of another file of that name."""
    for source in read_source(run.config):
        for config in configs:
            if config.stem == source.stem and config != source:
                raise InputError(
                    f"the newest run of that name, {run.folder}, is of {source}, not of {config}. "
                    f"Give --ckpt_path {run.folder} if that run is meant."
                )
