"""Find the parts and the files of a data set in a folder."""

from collections.abc import Iterable
from glob import glob
from pathlib import Path

from dlp.console import say

#: Names of folders, and of splits on the Hugging Face Hub, with the part that each one means.
PART_NAMES = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    "test": "test",
}


def part_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each part of a data set.

    If the folder has no subfolder ``train`` with subfolders of its own, the whole folder is the
    training part. Files and folders outside the parts are reported.
    """
    folders = {"train": root}
    if any(root.glob("train/[!.]*/")):  # without subfolders, "train" would be a class
        for name, part in PART_NAMES.items():
            if (root / name).is_dir():
                folders[part] = root / name
        report_unused(root, root.glob("[!.]*"), folders.values())
    return folders


def find_files(root: Path, pattern: str = "**") -> list[Path]:
    """Return the files below a folder that match a pattern, sorted and without hidden files."""
    names = glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207  # follows links
    return sorted(root / name for name in names if not (root / name).is_dir())


def report_unused(root: Path, paths: Iterable[Path], used: Iterable[Path]) -> None:
    """Print how many files or folders are not used, and the name of one of them.

    Args:
        root: Folder.
        paths: Files or folders in it.
        used: The paths that are used.
    """
    unused = set(paths).difference(used)
    if unused:
        say(f"{len(unused):,} files in {root} are not used, such as {min(unused)}")
