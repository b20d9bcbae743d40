"""Who imports whom: only downward, and never in a circle.

Each import of `src/dlp` is an arrow from file to file, those inside functions and below
`TYPE_CHECKING` too: an import that is hidden hides the circle, not the coupling.
"""

import ast
from pathlib import Path

import pytest

import dlp

SOURCE = Path(dlp.__file__).parent

#: From the bottom up. What stands in one row does not know each other; it may import from all rows
#: below its own. A name is a package of ``dlp``, or a file beside the packages.
LAYERS = (
    (
        "__init__",
        "cores",
        "deferred_imports",
        "dense_product",
        "errors",
        "number_words",
        "seeds",
        "smoothing",
        "stops",
        "target_transforms",
    ),
    (
        "bag_of_words",
        "checkpoint_content",
        "config_files",
        "console",
        "directions",
        "files",
        "table_places",
        "text_table",
    ),
    ("cache", "frozen_features", "imports", "named_configs"),
    ("decisions", "process", "quick_steps"),
    ("datamodules.splitting",),
    ("datamodules", "modules"),
    ("datamodules.tables", "modules.pretrained"),
    ("datamodules.images", "datamodules.text"),
    ("evaluation",),
    ("runs",),
    ("visualization",),
    ("callbacks",),
    ("folds", "search"),
    ("crossval", "tune"),
    ("parsing",),
    ("recipe",),
    ("commands",),
    ("reports",),
    ("cli",),
    ("__main__",),
)

#: Arrows between rooms that point upward still. Take out what is mended; add none.
UPWARD: set[str] = set()


def exports(package: Path) -> dict[str, str]:
    """Return the name -> file of what a package's stub imports."""
    stub = package / "__init__.pyi"
    if not stub.exists():
        return {}
    here = ".".join(package.relative_to(SOURCE).parts)
    found = [node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"{here}.{node.module}" for node in found for alias in node.names}


def imported_files(path: Path, files: set[str]) -> set[str]:
    """Return the files of the project that the one at `path` imports, wherever the import is."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("dlp.") for alias in node.names} & files
        if not isinstance(node, ast.ImportFrom):
            continue
        assert node.level == 0, f"{path} imports relatively"
        if node.module is None or node.module.partition(".")[0] != "dlp":
            continue
        package = node.module.partition(".")[2]
        known = exports(SOURCE / package.replace(".", "/"))
        for alias in node.names:
            inside = f"{package}.{alias.name}".strip(".")
            found.add(inside if inside in files else known.get(alias.name, package or "__init__"))
    return found


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    """Return each file -> the files it imports; names are dotted, without ``dlp.``."""
    paths = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in SOURCE.rglob("*.py")
    }
    return {name: imported_files(path, {*paths}) - {name} for name, path in paths.items()}


def circles(arrows: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the largest sets of files that reach each other."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = arrows.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    ahead = {name: reached(name) for name in arrows}
    return {
        frozenset(other for other in ahead[name] if name in ahead[other])
        for name in arrows
        if name in ahead[name]
    }


def room_of(file: str) -> str | None:
    """Return the narrowest room of the table in which a file lies."""
    placed = {name for row in LAYERS for name in row}
    parts = file.split(".")
    rooms = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((room for room in rooms if room in placed), None)


def test_each_file_has_its_place_in_the_table(arrows):
    placed = [name for row in LAYERS for name in row]
    assert len(placed) == len(set(placed))
    assert [file for file in arrows if room_of(file) is None] == [], "give them a row in LAYERS"


def test_imports_point_downward(arrows):
    height = {name: number for number, row in enumerate(LAYERS) for name in row}
    upward = []
    for file, targets in arrows.items():
        for target in targets:
            room, other = room_of(file), room_of(target)
            is_upward = room != other and height[other] >= height[room]
            if is_upward and f"{room} -> {other}" not in UPWARD:
                upward.append(f"{file} -> {target}")
    assert sorted(upward) == [], "imports point upward:\n" + "\n".join(sorted(upward))


def test_no_files_import_each_other_in_a_circle(arrows):
    found = [sorted(circle) for circle in circles(arrows)]
    assert found == [], f"files import each other in circles: {found}"


def test_a_circle_is_found_and_a_line_is_none():
    line = {"a": {"b"}, "b": {"c"}, "c": set()}
    assert circles(line) == set()
    assert circles({**line, "c": {"b"}}) == {frozenset("bc")}
    assert circles({"a": {"a"}}) == {frozenset("a")}


def test_hidden_imports_and_exported_names_are_arrows(tmp_path):
    path = tmp_path / "hidden.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from dlp.modules import DenseModule\n"
        "def late():\n    import dlp.errors\n    from dlp.runs import folders\n"
    )
    assert imported_files(path, {"errors", "runs.folders"}) == {
        "errors", "modules.dense", "runs.folders"
    }  # fmt: skip
