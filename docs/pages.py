"""Run notebooks of the course and write their pages: ``python docs/pages.py [NAME ...]``."""

import base64
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from dlp.files import data_dir

NOTEBOOKS, COURSE = Path(__file__).parents[1] / "notebooks", Path(__file__).parent / "course"


def main(names: list[str]) -> None:
    """Build the pages in a temporary folder, with a new cache: no page tells of an earlier run."""
    os.environ |= {"PYTHONWARNINGS": "ignore", "DLP_DATA_DIR": str(data_dir().resolve())}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLP_CACHE_DIR"] = folder
        for name in names or sorted(path.stem for path in NOTEBOOKS.glob("*.py")):
            notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
            notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
            for number, cell in enumerate(notebook.cells, start=1):
                cell.id = f"cell-{number}"  # a random one differs in each build
                cell.source = re.sub(r"(\(\d\d_\w+)\.py\)", r"\1.ipynb)", cell.source)
            jupytext.write(notebook, COURSE / f"{name}.ipynb")
            execute(notebook, name, folder)
            page = "\n\n".join(text for cell in notebook.cells for text in blocks(cell, name))
            (COURSE / f"{name}.md").write_text(page + "\n", encoding="utf-8")
            print(f"built {name}", flush=True)


def execute(notebook: NotebookNode, name: str, folder: str) -> None:
    """Run all cells; end with the name of the one that fails."""
    kernel = {"resources": {"metadata": {"path": folder}}, "extra_arguments": ["--log-level=ERROR"]}
    try:
        NotebookClient(notebook, timeout=600, coalesce_streams=True, **kernel).execute()
    except CellExecutionError as error:
        executed = [cell.id for cell in notebook.cells if cell.get("execution_count")]
        sys.exit(f"{error}\n{name}: {executed[-1]} failed")


def blocks(cell: NotebookNode, name: str) -> Iterator[str]:
    """Yield the Markdown of a cell: text, or code and what it shows; no stderr."""
    if cell.cell_type == "markdown":
        text = cell.source.replace("](../docs/", "](../").replace(".ipynb)", ".md)")
        yield re.sub(r"\A# .*", rf"\g<0>\n\n[Download the notebook]({name}.ipynb)", text)
    elif "hide" not in cell.metadata.get("tags", []):
        yield f"```python\n{cell.source}\n```"
        for output in cell.outputs:
            data = output.get("data", {})
            if output.get("name") == "stdout":
                yield f"```text\n{output.text.rstrip()}\n```"
            elif "image/png" in data:
                figure = COURSE / f"{name}_{cell.id}.png"
                figure.write_bytes(base64.b64decode(data["image/png"]))
                yield f"![{cell.metadata['alt']}]({figure.name})"
            elif data:
                plain = f"```text\n{data['text/plain']}\n```"
                yield re.sub(r"(?s)<style.*?</style>\s*", "", data.get("text/html", plain))


if __name__ == "__main__":
    main(sys.argv[1:])
