"""Configs by name: recipes and variations of the project, and files of the user."""

import os
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from dlp.errors import InputError, naming, unknown


def config_folder() -> Path:
    """Return the folder of the project's configs, in the package or beside ``src``."""
    package = Path(__file__).parents[1]
    if (package / "configs").is_dir():
        return package / "configs"
    return package.parents[1] / "configs"


def named_configs(folder: str = "") -> dict[str, Path]:
    """Return the complete configs of the project by name, or those of a folder."""
    return {path.stem: path for path in sorted((config_folder() / folder).glob("*.yaml"))}


def about(path: Path) -> str:
    """Return the comment at the top of a config."""
    line, _, _ = path.read_text("utf-8").partition("\n")
    return line.strip("# ")


def find_config(config: str, names: Mapping[str, Path] | None = None) -> Path:
    """Return the file of a path, or of a name; None are the names of recipes and variations."""
    path = Path(config)
    if path.is_file():
        return path
    if names is None:
        names = named_configs() | named_configs("variations")
    if config in names:
        return names[config]
    files = [str(file) for file in sorted(path.parent.glob("*.y*ml"))]
    raise unknown("config", config, [f"a path from {Path.cwd()}", *files, *names])


def config_label(path: Path) -> str:
    """Return ``dlp:imdb`` for a config of the project, else the path from the working directory."""
    file = path.resolve()
    folder = config_folder().resolve()
    if file.is_relative_to(folder):
        return f"dlp:{file.relative_to(folder).with_suffix('').as_posix()}"
    with suppress(ValueError):  # Windows: another drive
        file = Path(os.path.relpath(file))
    return file.as_posix()


def run_name(configs: Sequence[Path]) -> str:
    """Return the name of the runs of some configs; a run's config.yaml has the name of its run."""
    names = []
    for path in configs:
        name = path.stem
        if path.name == "config.yaml":
            folder = path.resolve().parent
            if folder.name.startswith("version_"):
                folder = folder.parent
            name = folder.name
        names.append(name)
    return "+".join(names) or "unnamed"


class _Loader(yaml.SafeLoader):
    """Loader that refuses a repeated key, whose first value YAML drops."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        for key, count in Counter(key.value for key, _ in node.value).items():
            if count > 1:
                raise yaml.MarkedYAMLError(problem=f"{key!r} stands twice")
        return super().construct_mapping(node, deep)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys, without ``init_args``, and their values; a range of a space is one."""
    for name, value in tree.items():
        key = f"{prefix}{name}".replace(".init_args", "")
        if isinstance(value, Mapping) and not {"low", "high"} & set(value):
            yield from flatten(value, f"{key}.")
        elif value is None and name in ("trainer", "init_args"):
            raise InputError(f"{prefix}{name} has no keys; leave the word out.")
        else:
            yield key, value


def read_config(path: Path) -> dict[str, Any]:
    """Read a config in which each key is given once."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8: {error}. Save it in UTF-8.") from error
    with naming(f"{path} cannot be read as a config"):
        try:
            config = yaml.load(text, _Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            if mark is None or "'\\t'" not in str(error.problem):
                raise
            raise ValueError(f"line {mark.line + 1} has a tab; indent by blanks") from error
        if config is None:
            raise ValueError("it is empty")
        return dict(config)
