"""The commands that are printed as the next step; each of them works as it stands."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from dlp.callbacks.checkpoints import LastCheckpoint
from dlp.checkpoint_content import read_checkpoint
from dlp.config_files import read_config
from dlp.runs.verdict import Verdict


def command(name: str, *words: str | Path) -> str:
    """Return a command line, to be pasted into a shell."""
    return shlex.join(["dlp", name, *map(str, words)])


def after_fit(
    verdict: Verdict, epochs: int, configs: Sequence[str | Path], last: Path | None = None
) -> str:
    """Return the command that does what a verdict advises.

    Args:
        verdict: What the validation curve says.
        epochs: How many there were.
        configs: What the run can be trained anew from: configs by name or path, in order.
        last: The checkpoint from which the run can go on; None where there is none.
    """
    if verdict.kind in ("improving", "short"):
        start = _configs(configs) if last is None else ["--ckpt_path", str(last)]
        return command("fit", *start, "--trainer.max_epochs", str(verdict.longer(epochs)))
    return retrain(configs, verdict.best_epoch)


def after_stop(last: LastCheckpoint | None) -> str:
    """Return what is kept of a fit that is stopped, and the command that goes on with it."""
    epoch = None if last is None else last.saved_epoch
    if last is not None and epoch is None and last.path.exists():
        # Saved in a process of ddp_spawn, which has a callback of its own.
        epoch = read_checkpoint(last.path)["epoch"] + 1
    if last is None or epoch is None:
        return "No epoch was saved."
    return f"Epoch {epoch} is saved: go on by {command('fit', '--ckpt_path', last.path)}"


def retrain(configs: Sequence[str | Path], epochs: int) -> str:
    """Return the command that trains on everything for a number of epochs."""
    return command("fit", *_configs([*configs, "retrain"]), "--trainer.max_epochs", str(epochs))


def after_folds(verdict: Verdict, epochs: int, folder: Path) -> str:
    """Return the command that does what a verdict on the mean curve of so many epochs advises."""
    if verdict.kind in ("improving", "short"):
        more = ["--trainer.max_epochs", str(verdict.longer(epochs))]
    else:
        more = ["--run_dir", str(folder), "--refit"]
    return command(*folds_words(folder, *more))


def folds_words(folder: Path, *more: str) -> list[str]:
    """Return the words, after ``dlp``, that make the folds of a cross-validation again."""
    options: list[str] = []
    for name, value in read_config(folder / "crossval.yaml").items():
        if value is not None:
            options += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    return ["crossval", "--config", str(folder / "config.yaml"), *options, *more]


def _configs(configs: Sequence[str | Path]) -> list[str]:
    return [word for config in configs for word in ("--config", str(config))]
