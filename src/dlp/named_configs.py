"""Recipes by name: where the configs lie, which there are, and what a run of them is called."""

import re
from collections.abc import Sequence
from pathlib import Path

from dlp.errors import InputError, suggestion


def config_folder() -> Path:
    """Return the folder of the project's configs: in the package, or beside a checkout's src."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "configs"


def recipes() -> dict[str, Path]:
    """Return name -> file of each complete recipe."""
    return {path.stem: path for path in sorted(config_folder().glob("*.yaml"))}


def variations() -> dict[str, Path]:
    """Return name -> file of each overlay, to be given by a second ``--config``."""
    return {path.stem: path for path in sorted((config_folder() / "variations").glob("*.yaml"))}


def about(path: Path) -> str:
    """Return the comment that a config begins with: what it is; empty where there is none."""
    comment = re.match(r"\s*#+ *(.+)", path.read_text("utf-8", errors="replace"))
    return comment[1].strip() if comment else ""


def find_config(given: str) -> Path:
    """Return the file that `given`, a path or the name of a config, stands for.

    Raises:
        InputError: There is no such file and no such name.
    """
    path = Path(given)
    if path.is_file():
        return path
    known = {**variations(), **recipes()}
    if given in known:
        return known[given]
    if path.suffix in {".yaml", ".yml", ".json"} or len(path.parts) > 1:
        name = path.stem if path.stem in known else ""
        hint = f" The recipe of that name is --config {name}." if name else ""
        raise InputError(f"there is no config file {given}.{hint}")
    raise InputError(
        f"unknown config {given!r}.{suggestion(given, known)} Recipes: {', '.join(recipes())}. "
        f"Variations: {', '.join(variations())}. A path to a YAML file is accepted too."
    )


def run_name(configs: Sequence[str]) -> str:
    """Return what runs of these configs are called: their names joined by ``+``.

    The config.yaml of a run stands for that run's name.
    """
    names = []
    for given in configs:
        path = find_config(given)
        names.append(path.resolve().parents[1].name if is_of_a_run(path) else path.stem)
    return "+".join(names) or "unnamed"


def is_of_a_run(config: Path) -> bool:
    """Whether a config is the config.yaml in the folder of a run."""
    return config.name == "config.yaml" and config.resolve().parent.name.startswith("version_")
