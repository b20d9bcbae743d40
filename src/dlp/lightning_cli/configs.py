"""Configs by name: recipes and variations of the project, and files of the user."""

import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from dlp.errors import InputError, unknown


def config_folder() -> Path:
    """Return the folder of the project's configs, in the package or beside ``src``."""
    packaged = Path(__file__).parents[1] / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "configs"


def recipes() -> dict[str, Path]:
    """Return the complete configs by name."""
    return {path.stem: path for path in sorted(config_folder().glob("*.yaml"))}


def variations() -> dict[str, Path]:
    """Return the overlays by name."""
    return {path.stem: path for path in sorted(config_folder().glob("variations/*.yaml"))}


def about(path: Path) -> str:
    """Return the comment at the top of a config."""
    comment = re.match(r"#+ *(.+)", path.read_text("utf-8"))
    return comment[1].strip() if comment else ""


def find_config(config: str) -> Path:
    """Return the file of a path or a name."""
    if Path(config).is_file():
        return Path(config)
    names = {**variations(), **recipes()}
    if config not in names:
        raise unknown("config", config, ["a path", *recipes(), *variations()])
    return names[config]


def run_name(configs: Sequence[Path]) -> str:
    """Return the name of the runs of some configs; a run's config.yaml has the name of its run."""
    names = []
    for path in configs:
        folder = path.resolve().parent
        is_version = folder.name.startswith("version_")
        run = folder.parent.name if is_version else folder.name
        names.append(run if path.name == "config.yaml" else path.stem)
    return "+".join(names) or "unnamed"


class _Loader(yaml.SafeLoader):
    """Loader that refuses a repeated key: YAML drops the first value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise yaml.MarkedYAMLError(problem=f"{repeated[0]!r} stands twice")
        return super().construct_mapping(node, deep)


def read_config(path: Path) -> dict[str, Any]:
    """Read a config in which each key is given once."""
    try:
        return dict(yaml.load(path.read_bytes(), _Loader) or {})
    except (yaml.YAMLError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read as a config: {reason}.") from error
