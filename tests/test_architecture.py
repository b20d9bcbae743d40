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
#: Rooms from the ground up; a file imports from its own room and those in rows above it.
LAYERS = [
    [
        "errors",
        "speed",
        "hyperparameters",
        "seeds",
        "files",
        "modules.monitor",
        "reader",
    ],
    ["console", "lightning_cli.configs"],
    ["bag_of_words", "runs.folder", "evaluation.verdict", "lightning_cli.parse_errors"],
    ["modules", "datamodules", "lightning_cli.invocation"],
    ["callbacks", "evaluation", "visualization", "inference"],
    ["folds", "runs"],
    ["lightning_cli"],
    ["runs.restoring", "runs.image_models"],
    ["commands"],
    ["cli"],
    ["__main__", "__init__"],
]
#: Imports that point upward on purpose.
UPWARD = {"files -> console", "cli -> __main__"}
FORBIDDEN = r"__new__|__init_subclass__|sys\._getframe|inspect\.stack|\bgc\.|os\._exit"
FORBIDDEN += r"|__signature__|torch\._(?![_C])\w|(?<![\w.])(?:eval|exec)\("
#: Imports in their order -> what none of them may bring; one process runs all.
LIGHT_IMPORTS = {
    "import dlp, dlp.runs.folder, dlp.cli\n"
    "dlp.cli.main(['--help'])": "torch lightning numpy pandas jsonargparse",
    "import dlp.commands.serve": "torch lightning sklearn matplotlib",
    "import dlp.datamodules.tables.encoder, dlp.datamodules.text.encoding\n"
    "from dlp.modules import ConvNet, DenseNet, SoftmaxHead\n"
    "from dlp.modules.pretrained.network import Backbone, PretrainedNet\n"
    "from dlp.inference import Predictor\n"
    "import dlp.inference.trained": "lightning torchmetrics torchvision sklearn",
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


def height(file):
    """Return the row of the innermost room that a file is in."""
    room = file
    while room not in ROWS:
        assert room, f"no row has {file}"
        room = room.rpartition(".")[0]
    return ROWS[room]


def test_every_file_has_its_row_and_imports_go_downward():
    heights = {file: height(file) for file in FILES}
    upward = {
        f"{file} -> {target}"
        for file, targets in ARROWS.items()
        for target in targets
        if heights[target] > heights[file]
    }
    assert upward <= UPWARD


def test_files_import_each_other_in_no_circle():
    order = TopologicalSorter(ARROWS).static_order()  # a circle is a CycleError
    assert set(order) >= set(ARROWS)


def test_datamodules_know_no_loss_and_modules_no_data():
    others = {"datamodules": "modules", "modules": "datamodules"}
    for file in FILES:
        other = others.get(file.partition(".")[0])
        if other is not None:
            assert other not in {
                target.partition(".")[0] for target in imports(file)
            }, file


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
