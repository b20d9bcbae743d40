"""Cross-validation has one door: nobody outside knows a file in its room."""

import ast
from pathlib import Path

import dlp
import dlp.folds

SOURCE = Path(dlp.__file__).parent


def test_others_import_from_the_room_alone():
    inner = {}
    for path in SOURCE.rglob("*.py"):
        if SOURCE / "folds" in path.parents:
            continue
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        modules = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
        if found := [name for name in modules if name and name.startswith("dlp.folds.")]:
            inner[path.name] = found
    assert inner == {}


def test_the_door_has_what_it_names():
    assert {"CrossValidation", "plan_folds", "train_folds", "read_folds"} <= {*dir(dlp.folds)}
    assert all(getattr(dlp.folds, name) is not None for name in dlp.folds.__all__)
