"""What the folders of a set of images are: parts, classes, or a level above the classes."""

import os
from collections import Counter
from pathlib import Path

from dlp.datamodules.images.decoding import is_image_name
from dlp.datamodules.part_names import NamedPart, is_seen, part_of
from dlp.errors import InputError, MissingInputError, suggestion

_NAMES: dict[NamedPart, str] = {"train": "training", "val": "validation", "test": "test"}


def part_folders(root: Path) -> tuple[dict[NamedPart, str], list[str]]:
    """Return which subfolders of `root` are its parts (none: all are classes), and what to say.

    Raises:
        InputError: Two folders are named as one part, or one is beside classes.
    """
    names = subfolders(root) if root.is_dir() else []
    named = {name: part for name in names if (part := part_of(name)) is not None}
    whole = {name: part for name, part in named.items() if subfolders(root / name)}
    if "train" not in whole.values():
        if whole:
            name, part = next(iter(whole.items()))
            raise InputError(
                f"{root / name} is named as a {_NAMES[part]} part and holds folders, and beside it "
                "is no folder train: move the classes into train, or move it away and give it by "
                "test_path."
            )
        if "train" not in named.values() or len(named) < len(names):
            return {}, []  # images of trains, among other classes
        whole = named
    unlabelled = [name for name in named if name not in whole and _holds_images(root / name)]
    used = {name: part for name, part in named.items() if name not in unlabelled}
    twice = [name for name, part in used.items() if [*used.values()].count(part) > 1]
    if twice:
        raise InputError(
            f"{root}: {' and '.join(twice[:2])} are both named as the {_NAMES[used[twice[0]]]} "
            "part: rename one, or move it away."
        )
    lines = [", ".join(f"{name} is the {_NAMES[part]} part" for name, part in used.items())]
    if others := [name for name in names if name not in named]:
        lines.append(f"other folders, left out: {', '.join(others)}")
    if unlabelled:
        lines.append(
            f"{unlabelled[0]} holds images without class folders and is left out (predict them "
            f"by predict_path: {root / unlabelled[0]})"
        )
    return {part: name for name, part in used.items()}, lines


def class_folders(folder: Path) -> list[str]:
    """Return the names of the subfolders of `folder`, each a class.

    Raises:
        InputError: There are none, or they are a level above the classes.
    """
    if not folder.is_dir():
        raise missing("folder", folder)
    names = subfolders(folder)
    if not names:
        raise InputError(
            f"{folder} has no subfolders. Accepted: a folder with a subfolder a class (cats/1.jpg, "
            "dogs/7.jpg), or with train and perhaps val and test, each with a subfolder a class. "
            "For images without classes use predict_path."
        )
    lower = [name.lower() for name in names]
    if twice := [name for name in names if lower.count(name.lower()) > 1]:
        raise InputError(
            f"the class folders {' and '.join(twice[:2])} of {folder} differ in upper and lower "
            "case alone: put their images together, or rename one."
        )
    below = {name: subfolders(folder / name) for name in names if not _holds_images(folder / name)}
    for name, inner in below.items():
        same = {each.lower() for each in inner} & {name.lower()}
        parts = [each for each in inner if part_of(each) and subfolders(folder / name / each)]
        if inner and (len(names) == 1 or same or parts or name.lower() == folder.name.lower()):
            raise InputError(
                f"{folder / name} holds no images but folders ({', '.join(inner[:5])}): it is a "
                f"level above the classes. Give {folder / name} as path, or move its folders up."
            )
    counts = Counter(each.lower() for inner in below.values() for each in inner)
    if repeated := [name for name, count in counts.items() if count > 1]:
        above = [name for name, inner in below.items() if inner]
        raise InputError(
            f"{folder}: {', '.join(above[:5])} hold no images but folders of the same names "
            f"({', '.join(repeated[:5])}), so that nobody can tell which are the classes: give a "
            "folder whose subfolders are the classes, or a table of paths and classes."
        )
    return names


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in `folder`, sorted: none that is hidden or an archiver's."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and is_seen(path.name))


def _holds_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image_name(entry.name) and is_seen(entry.name) for entry in entries)


def missing(what: str, path: Path) -> MissingInputError:
    """Return the error for a path that is not there, with the nearest one beside it."""
    siblings = sorted(other.name for other in path.parent.glob("*"))
    beside = ", ".join(siblings[:10]) or "nothing"
    return MissingInputError(
        f"there is no {what} {path} (looked from {Path.cwd()}).{suggestion(path.name, siblings)} "
        f"{path.parent} holds: {beside}{' ...' if len(siblings) > 10 else ''}."
    )
