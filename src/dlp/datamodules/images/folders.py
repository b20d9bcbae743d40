"""What the folders of a set of images are: parts, classes, or a level above the classes."""

import os
from collections import Counter
from pathlib import Path

import numpy as np

from dlp.datamodules.examples import Examples
from dlp.datamodules.images.decoding import EXTENSIONS, is_image_name
from dlp.datamodules.images.files import ImageFiles, find_images
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


def files_of_classes(
    root: Path, train: str = "", val: str | None = None, may_lack: bool = False
) -> Examples:
    """Return the image files of class folders, each with its class as target; none is opened.

    Args:
        root: The folder that holds all of them.
        train: The subfolder of `root` with the class folders of the training part; empty where
            they stand in `root` itself.
        val: The same of the validation part, whose files come last; None where there is none.
        may_lack: Some classes may have no image, as in a test part.

    Raises:
        InputError: There is no such folder, class folder or image.
    """
    parts = [train] if val is None else [train, val]
    folders = [(part, name) for part in parts for name in class_folders(root / part)]
    found = find_images(root, [str(Path(*folder)) for folder in folders])
    files: list[str] = []
    classes: list[str] = []
    num_val = 0
    for (part, name), images in zip(folders, found, strict=True):
        folder = Path(part, name)
        if not images and part == train and not may_lack:
            raise InputError(
                f"the class folder {root / folder} holds no image "
                f"({', '.join(sorted(EXTENSIONS))}): fill it, or remove it."
            )
        files += [f"{folder.as_posix()}/{image}" for image in images]
        classes += [name] * len(images)
        num_val += len(images) if part == val else 0
    if not files or (val is not None and not num_val):
        home = root / (val or "")
        raise InputError(f"the class folders of {home} hold no image: fill or remove it.")
    targets = np.array(classes, dtype=object)
    return Examples(ImageFiles(root, tuple(files)), targets, num_val=num_val)


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in `folder`, sorted: none that is hidden or an archiver's."""
    with os.scandir(folder) as entries:  # knows what is a folder without opening any entry
        return sorted(entry.name for entry in entries if is_seen(entry.name) and entry.is_dir())


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
