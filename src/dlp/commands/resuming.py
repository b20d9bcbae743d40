"""What a command on an earlier run does not heed: the run's own config and its optimizer count."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from jsonargparse import Namespace

from dlp.config_files import read_config
from dlp.console import say
from dlp.errors import InputError
from dlp.runs.folders import Run

#: Arguments of a model whose state a checkpoint brings along, their own values included.
_RESTORED = ("optimizer", "lr_scheduler")


def tell_edited(command: str, configs: Sequence[str], run: Run) -> None:
    """Say which values of a person's own config files are no longer those of their run.

    Args:
        command: A fit heeds the whole config, other commands the data alone.
        configs: The configs given, of which the later ones count.
        run: The run of these configs; its ``config.yaml`` is read in their place.
    """
    there = read_config(run.config)
    changes: dict[str, tuple[object, object]] = {}
    for path in (Path(config) for config in configs):
        if path.is_file():
            changes |= {
                name: (new, old)
                for name, new, old in _different(read_config(path), there)
                if command == "fit" or name.startswith("data.")
            }
    if changes:
        listed = ", ".join(
            f"{name} {new!r} (there {old!r})" for name, (new, old) in changes.items()
        )
        say(f"{run.config} counts, not {' and '.join(configs)}, which has: {listed}")


def check_optimizer(settings: Namespace, run: Run) -> None:
    """Refuse an optimizer or a schedule that a resumed fit would replace by its checkpoint's.

    Raises:
        InputError: One of its values is not that of the run.
    """
    there = (read_config(run.config).get("model") or {}).get("init_args") or {}
    here = settings.model.as_dict().get("init_args") or {}
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
    elif _holds_classes(new) and _holds_classes(old) and len(new) == len(old):
        for number, (one, other) in enumerate(zip(new, old, strict=True)):
            yield from _different(one, other, f"{name}[{number}]")
    elif not isinstance(new, Mapping | None) and not isinstance(old, Mapping | None):
        if name.endswith("class_path"):
            new, old = (str(each).rpartition(".")[2] for each in (new, old))
        if _plain(new) != _plain(old):
            yield name, new, old


def _holds_classes(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list) and any(isinstance(each, Mapping) for each in value)


def _plain(value: Any) -> object:
    """Return a value so that 1e-3, a text in YAML, is 0.001, and a list of one is that one."""
    if isinstance(value, list | tuple):
        parts = [_plain(each) for each in value]
        return parts[0] if len(parts) == 1 else parts
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
