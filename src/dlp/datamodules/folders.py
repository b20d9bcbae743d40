"""Folders of a data set: its parts and its files."""

from collections.abc import Iterable
from glob import glob
from pathlib import Path

from dlp.console import say

#: Name of a folder or of a table of the Hub -> part.
PART_NAMES = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    "test": "test",
}


def part_folders(root: Path) -> dict[str, Path]:
    """Return the folders ``train``, ``val`` and ``test`` of a set by part; else it is ``train``."""
    folders = {"train": root}
    if any(root.glob("train/[!.]*/")):  # without subfolders, train is a class
        for name, part in PART_NAMES.items():
            if (root / name).is_dir():
                folders[part] = root / name
        report_unused(root, root.glob("[!.]*"), folders.values())
    return folders


def find_files(root: Path, pattern: str = "**") -> list[Path]:
    """Return the files that match a pattern below a folder, sorted, without hidden ones."""
    names = glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207  # follows links
    return sorted(root / name for name in names if not (root / name).is_dir())


def report_unused(root: Path, paths: Iterable[Path], used: Iterable[Path]) -> None:
    """Print how many of the files or folders below a folder are not used."""
    unused = set(paths).difference(used)
    if unused:
        say(f"{len(unused):,} files in {root} are not used, such as {min(unused)}")
