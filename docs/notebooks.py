"""Run the notebooks of the course, and write them with their outputs.

    python docs/notebooks.py                     # all, on the real sets
    python docs/notebooks.py 02_two_classes      # one
    python docs/notebooks.py --check             # on generated sets; writes no file

A notebook is written in ``notebooks/NAME.py``; ``NAME.ipynb`` in the same folder is made from it.
The tags of a cell say how it is treated:

- ``answer``: The cell is folded. Its output is kept only on the site, so that nobody reads it
  before the question.
- ``hide``: The cell, which contains assertions, is run and left out.
- ``real``: The cell is run only on the real sets.
"""

import argparse
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from dlp.files import find_data_dir

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: The public address of the project, and of its files.
REPOSITORY: str = PROJECT["urls"]["Repository"]
RAW = REPOSITORY.replace("github.com", "raw.githubusercontent.com") + "/main"
COLAB = REPOSITORY.replace("https://github.com", "https://colab.research.google.com/github")
#: Notebooks that need extras.
EXTRAS = {"10_your_data": "[export,serve]"}


def main() -> None:
    """Run the notebooks of the command line, each in a folder and with a cache of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="generated sets; write nothing")
    args = parser.parse_args()
    os.environ |= {"PYTHONWARNINGS": "ignore", "DLP_DATA_DIR": str(find_data_dir().resolve())}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLP_CACHE_DIR"] = folder
        setup = generate(Path(folder)) if args.check else ""
        for name in args.names or sorted(path.stem for path in NOTEBOOKS.glob("*.py")):
            notebook = read(name)
            if args.check:
                check_written(name)
                notebook.cells = [cell for cell in notebook.cells if "real" not in tags(cell)]
            execute(notebook, name, folder, setup)
            if not args.check:
                finish(notebook, name)
                nbformat.write(notebook, NOTEBOOKS / f"{name}.ipynb")
            print(f"ran {name}", flush=True)


def read(name: str) -> NotebookNode:
    """Read the source of a notebook; cells are numbered, since random ids differ in each run."""
    notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"
    return notebook


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def generate(folder: Path) -> str:
    """Write generated sets and random weights; return the code that a notebook needs first."""
    sys.path.append(str(ROOT / "tests"))
    import datasets
    import torch
    from generated_sets import write_sets
    from torchvision.models import mobilenet_v2

    datasets.disable_progress_bars()
    sha256 = write_sets(folder)
    torch.manual_seed(0)
    torch.save(mobilenet_v2().state_dict(), folder / "weights.pth")
    os.environ |= {"DLP_DATA_DIR": str(folder), "DLP_WEIGHTS": str(folder / "weights.pth")}
    return f"""
from dlp.speed.startup import import_lightning
import_lightning()  # as a command does: 4 CPU seconds less per notebook
from dlp.datamodules.text import reuters
reuters.SHA256 = {sha256!r}
"""


def execute(notebook: NotebookNode, name: str, folder: str, setup: str) -> None:
    """Run all cells, after some lines of setup; end with the name of the one that fails."""
    first = nbformat.v4.new_code_cell(setup)
    notebook.cells.insert(0, first)
    kernel = {"resources": {"metadata": {"path": folder}}, "extra_arguments": ["--log-level=ERROR"]}
    client = NotebookClient(
        notebook, timeout=600, coalesce_streams=True, record_timing=False, **kernel
    )
    try:
        client.execute()
    except CellExecutionError as error:
        executed = [cell.id for cell in notebook.cells if cell.get("execution_count")]
        sys.exit(f"{error}\n{name}: {executed[-1]} failed")
    notebook.cells.remove(first)


def finish(notebook: NotebookNode, name: str) -> None:
    """Make a notebook ready to be opened: badge, installation, addresses, folded answers."""
    notebook.cells = [cell for cell in notebook.cells if "hide" not in tags(cell)]
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"
        cell.source = cell.source.replace("](../docs/figures/", f"]({RAW}/docs/figures/")
        cell.source = re.sub(r"(\(\d\d\w+)\.py\)", r"\1.ipynb)", cell.source)
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
        if "answer" in tags(cell) and cell.cell_type == "code":
            cell.metadata |= {
                "jupyter": {"source_hidden": True, "outputs_hidden": True},
                "cellView": "form",  # of Colab
                "outputs": cell.outputs,  # for the site
            }
            cell.outputs = []
            cell.source = f"# @title Answer\n{cell.source}"
        elif "answer" in tags(cell):
            summary = "<summary>Answer</summary>"
            cell.source = f"<details>{summary}\n\n{cell.source}\n\n</details>"
    badge = "https://colab.research.google.com/assets/colab-badge.svg"
    address = f"{COLAB}/blob/main/notebooks/{name}.ipynb"
    title, _, text = notebook.cells[0].source.partition("\n")
    notebook.cells[0].source = f"{title}\n\n[![Open in Colab]({badge})]({address})\n{text}"
    requirement = f"dlp-lightning{EXTRAS.get(name, '')} @ git+{REPOSITORY}"
    install = "# Needed on Colab, and once in an environment of your own\n"
    install += f'%pip install --quiet "{requirement}"'
    notebook.cells.insert(1, nbformat.v4.new_code_cell(install, id="install"))


def check_written(name: str) -> None:
    """Exit if a notebook was not made from the source with its name, or lacks figures."""
    path = NOTEBOOKS / f"{name}.ipynb"
    expected = read(name)
    for cell in expected.cells:
        cell.outputs = []
    finish(expected, name)
    written = nbformat.read(path, as_version=4).cells if path.exists() else []
    has_figures = all(outputs(cell) for cell in written if "alt" in cell.metadata)
    if contents(written) != contents(expected.cells) or not has_figures:
        sys.exit(f"{path.name} was not made from {name}.py: run python docs/notebooks.py {name}")


def contents(cells: list[NotebookNode]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return what of the cells is made from their source."""
    return [(cell.id, cell.source, {**cell.metadata, "outputs": []}) for cell in cells]


def outputs(cell: NotebookNode) -> list[NotebookNode]:
    """Return the output of a cell, including answers."""
    return list(cell.metadata.get("outputs") or cell.outputs)


if __name__ == "__main__":
    main()
