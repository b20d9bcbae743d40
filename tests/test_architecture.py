"""Imports go downward; networks stand without Lightning; the code stays plain Python."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dlp

SOURCE = Path(dlp.__file__).parent
#: Rooms from the ground up. A file imports from its own room and from rows above its row here:
#: modules know no data, and datamodules no loss.
LAYERS = [
    ["errors", "reader", "seeds", "speed"],
    ["console", "configs", "hyperparameters"],
    ["bag_of_words", "files"],
    ["datamodules", "modules"],
    ["evaluation"],
    ["visualization"],
    ["callbacks"],
    ["folds", "runs"],
    ["inference"],
    ["recipes"],
    ["commands"],
    ["cli"],
    ["__main__", "__init__"],
]
FORBIDDEN = r"__new__|__init_subclass__|sys\._getframe|inspect\.stack|\bgc\.|os\._exit"
FORBIDDEN += r"|__signature__|torch\._(?![_C])\w|(?<![\w.])(?:eval|exec)\("
#: Imports in their order -> what none of them may bring; one process runs all.
LIGHT_IMPORTS = {
    "import dlp, dlp.runs.folder, dlp.cli\n"
    "dlp.cli.main(['--help'])": "torch lightning numpy pandas jsonargparse",
    "import dlp.commands.serve": "torch lightning sklearn matplotlib",
    "from dlp.reader import array, image, table, text": "torch lightning sklearn",
    "from dlp.modules import ConvNet, DenseNet, SoftmaxHead\n"
    "from dlp.modules.pretrained.network import Backbone, PretrainedNet\n"
    "from dlp.inference import Predictor": "lightning torchmetrics torchvision sklearn",
}


def name_of(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(
        ".__init__"
    )


FILES = {name_of(path): path.read_text("utf-8") for path in SOURCE.rglob("*.py")}


def imports(file, deferred=True):
    """Return the files of the project that a file imports."""
    tree = ast.parse(FILES[file])
    targets = set()
    for node in ast.walk(tree) if deferred else _top_level(tree):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                targets.add(
                    inner if inner.removeprefix("dlp.") in FILES else node.module
                )
    return {
        target.removeprefix("dlp.") for target in targets if target.startswith("dlp.")
    }


def _top_level(tree):
    """Yield the statements that run when a module is imported."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            yield from node.body
        yield node


ARROWS = {file: imports(file, deferred=False) for file in FILES}
ROWS = {room: number for number, row in enumerate(LAYERS) for room in row}


def room_of(file):
    return file.partition(".")[0]


def test_imports_go_downward_from_room_to_room():
    upward = set()
    for file in FILES:
        room = room_of(file)
        for target in imports(file):
            below = ROWS[room_of(target)] < ROWS[room]
            if room_of(target) != room and not below:
                upward.add(f"{file} -> {target}")
    assert upward == set()


def test_files_import_each_other_in_no_circle():
    order = TopologicalSorter(ARROWS).static_order()  # a circle is a CycleError
    assert set(order) >= set(ARROWS)


@pytest.mark.slow
def test_an_import_brings_no_more_than_it_needs():
    code = "import sys\n"
    for imports_, absent in LIGHT_IMPORTS.items():
        code += f"{imports_}\nprint(sorted({{*{absent.split()}}} & {{*sys.modules}}))\n"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines().count("[]") == len(LIGHT_IMPORTS)


def test_the_code_is_plain_python():
    for file, text in FILES.items():
        for line in text.splitlines():
            code = line.partition("#")[0]
            assert file.startswith("speed") or not re.search(FORBIDDEN, code), (
                file,
                line,
            )
