"""Build the pages of the course: run each notebook, write Markdown, figures and an .ipynb.

python docs/pages.py [NAME ...]: those of notebooks/NAME.py, or of all, into docs/course.
"""

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

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
COURSE = Path(__file__).parent / "course"


def main(names: list[str]) -> None:
    """Build the pages of some notebooks, without names of all."""
    os.environ["PYTHONWARNINGS"] = "ignore"
    COURSE.mkdir(exist_ok=True)
    for path in [NOTEBOOKS / f"{name}.py" for name in names] or sorted(NOTEBOOKS.glob("*.py")):
        notebook = jupytext.read(path)
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        for number, cell in enumerate(notebook.cells, start=1):
            cell.id = f"cell-{number}"  # a random one differs in each build
            if cell.cell_type == "markdown":
                cell.source = re.sub(r"(\(\d\d_\w+)\.py\)", r"\1.ipynb)", cell.source)
        jupytext.write(notebook, COURSE / f"{path.stem}.ipynb")
        execute(notebook, path.stem)
        page = "\n\n".join(block for cell in notebook.cells for block in blocks(cell, path.stem))
        (COURSE / f"{path.stem}.md").write_text(page + "\n", encoding="utf-8")
        print(f"built {path.stem}", flush=True)


def execute(notebook: NotebookNode, name: str) -> None:
    """Run all cells in a temporary folder; name the one that fails."""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            outputs = [cell.get("outputs", []) for cell in notebook.cells]
            failed = ["error" in {output.output_type for output in cell} for cell in outputs]
            sys.exit(f"{error}\n{name}: cell {failed.index(True) + 1} failed")


def blocks(cell: NotebookNode, name: str) -> Iterator[str]:
    """Yield the Markdown of a cell: text, code, and what it has shown; no stderr."""
    if cell.cell_type == "markdown":
        text = cell.source.replace("](../docs/", "](../").replace(".ipynb)", ".md)")
        title, _, rest = text.partition("\n")
        yield text if not title.startswith("# ") else f"{title}\n\n[Notebook]({name}.ipynb)\n{rest}"
        return
    if "hide" in cell.metadata.get("tags", []):
        return
    yield f"```python\n{cell.source}\n```"
    for output in cell.outputs:
        if output.output_type == "stream":
            if output.name == "stdout":
                yield f"```text\n{output.text.rstrip()}\n```"
        elif "image/png" in output.data:
            figure = COURSE / f"{name}_{cell.id}.png"
            figure.write_bytes(base64.b64decode(output.data["image/png"]))
            yield f"![{cell.metadata['alt']}]({figure.name})"
        elif "text/html" in output.data:
            yield re.sub(r"<style.*?</style>\s*", "", output.data["text/html"], flags=re.DOTALL)
        else:
            yield f"```text\n{output.data['text/plain']}\n```"


if __name__ == "__main__":
    main(sys.argv[1:])
