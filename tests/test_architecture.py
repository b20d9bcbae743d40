"""Imports go downward; networks stand without Lightning; the code stays plain Python."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import dlp

SOURCE = Path(dlp.__file__).parent
#: Rooms from the ground up; a file imports from its own room and those in rows above it.
LAYERS = [
    ["errors", "speed", "hyperparameters", "seeds", "files", "modules.monitor", "reader"],
    ["console", "lightning_cli.configs"],
    ["bag_of_words", "runs.folder", "evaluation.verdict", "lightning_cli.parse_errors"],
    ["modules", "datamodules", "lightning_cli.invocation"],
    ["callbacks", "evaluation", "visualization", "inference"],
    ["folds", "runs"],
    ["lightning_cli"],
    ["commands"],
    ["cli"],
    ["__main__", "__init__"],
]
#: Imports within a function that point upward on purpose.
UPWARD = {"files -> console"}
FORBIDDEN = (
    r"__new__|__init_subclass__|sys\._getframe|inspect\.stack|\bgc\.|os\._exit|__signature__"
)
FORBIDDEN += r"|torch\._(?![_C])\w|(?<![\w.])(?:eval|exec)\("


def name_of(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in SOURCE.rglob("*.py")}


@cache
def parse(path):
    return ast.parse(path.read_text("utf-8"))


def imports(path, deferred=True):
    """Return the files of the project that a file imports."""
    tree = parse(path)
    nodes = ast.walk(tree) if deferred else _top_level(tree)
    targets = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names if alias.name.startswith("dlp.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dlp":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                targets.add(inner if inner.removeprefix("dlp.") in FILES else node.module)
    return {target.removeprefix("dlp.") for target in targets} & {*FILES}


def _top_level(tree):
    """Yield the statements that run when a module is imported."""
    for node in tree.body:
        is_typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not is_typing:
            yield from (node, *(node.body if isinstance(node, ast.If) else ()))


def height(file):
    rows = [
        (len(room), number)
        for number, row in enumerate(LAYERS)
        for room in row
        if file == room or file.startswith(f"{room}.")
    ]
    return max(rows)[1] if rows else None


def test_every_file_has_its_row():
    assert [file for file in FILES if height(file or "__init__") is None] == []


def test_imports_go_downward():
    upward = [
        f"{file} -> {target}"
        for file, path in FILES.items()
        for target in imports(path, deferred=False)
        if height(target) > height(file or "__init__")
    ]
    assert {*upward} - UPWARD == set()


def test_files_import_each_other_in_no_circle():
    arrows = {name: imports(path, deferred=False) for name, path in FILES.items()}

    def reached(start):
        seen, waiting = set(), [start]
        while waiting:
            new = arrows[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    assert [name for name in arrows if name in reached(name)] == []


def test_datamodules_know_no_loss_and_modules_no_data():
    for file, path in FILES.items():
        rooms = {target.split(".")[0] for target in imports(path)}
        if file.startswith("datamodules."):
            assert "modules" not in rooms, file
        if file.startswith("modules."):
            assert "datamodules" not in rooms, file


#: Imports in their order -> what none of them may bring; one process runs all.
LIGHT_IMPORTS = {
    "import dlp, dlp.runs.folder, dlp.lightning_cli.configs": "torch lightning numpy",
    "import dlp.commands.serve": "torch lightning sklearn matplotlib",
    "import dlp.datamodules.tables.encoder, dlp.datamodules.text.encoding\n"
    "from dlp.modules import ConvNet, DenseNet, SoftmaxHead\n"
    "from dlp.modules.pretrained.network import Backbone, PretrainedNet\n"
    "from dlp.inference import Predictor\n"
    "import dlp.inference.trained": "lightning torchmetrics torchvision sklearn",
}


def test_an_import_brings_no_more_than_it_needs():
    code = "import sys\n"
    for imports_, absent in LIGHT_IMPORTS.items():
        code += f"{imports_}\nprint(sorted({{*{absent.split()}}} & {{*sys.modules}}))\n"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n" * len(LIGHT_IMPORTS)


def test_the_code_is_plain_python():
    lines = [
        (file, line)
        for file, path in FILES.items()
        for line in path.read_text("utf-8").splitlines()
        if not file.startswith("speed")
    ]
    forbidden = [each for each in lines if re.search(FORBIDDEN, each[1].partition("#")[0])]
    assert forbidden == []


def test_every_public_name_is_there_and_documented():
    for package in ("", "datamodules", "modules", "callbacks", "visualization"):
        module = __import__(f"dlp.{package}".rstrip("."), fromlist=["x"])
        for name in module.__all__:
            assert getattr(module, name).__doc__, f"{package}.{name}"
