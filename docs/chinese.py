"""Keep the catalogues of the course in Chinese, and translate its notebooks by them.

    python docs/chinese.py            # catalogues follow the notebooks
    python docs/chinese.py --check    # end with what is wrong; nothing is written

``notebooks/zh/NAME.po`` has a message for each block of Markdown of ``notebooks/NAME.ipynb``, in
its order, without the line breaks of a wrapped text; its comment is the cell. Code is no message.
"""

import argparse
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import nbformat
import polib
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
CATALOGUES = NOTEBOOKS / "zh"


def main() -> None:
    """Update or check the catalogues of all notebooks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        catalogue = CATALOGUES / f"{path.stem}.po"
        updated(nbformat.read(path, as_version=4), read(catalogue)).save(catalogue)


def read(path: Path) -> polib.POFile:
    """Read a catalogue; one that does not exist is empty."""
    return polib.pofile(str(path), wrapwidth=0) if path.exists() else polib.POFile(wrapwidth=0)


def updated(notebook: NotebookNode, catalogue: polib.POFile) -> polib.POFile:
    """Return the catalogue of a notebook, with the translations of an earlier one.

    A block that was changed keeps the translation of the block before, marked as fuzzy.
    """
    result = polib.POFile(wrapwidth=0)
    result.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Language": "zh_CN"}
    entries = {entry.msgid: entry for entry in catalogue if not entry.obsolete}
    cells: dict[str, list[str]] = {}
    for cell in notebook.cells:
        for block in blocks(cell):
            if is_message(block):
                cells.setdefault(block, []).append(cell.id)
    gone = {text: entry for text, entry in entries.items() if text not in cells and entry.msgstr}
    for text, ids in cells.items():
        entry = polib.POEntry(msgid=text, comment=", ".join(dict.fromkeys(ids)))
        if text in entries:
            entry.msgstr, entry.flags = entries[text].msgstr, entries[text].flags
            entry.previous_msgid = entries[text].previous_msgid if entry.fuzzy else None
        elif close := get_close_matches(text, gone, n=1):
            entry.msgstr, entry.flags = gone.pop(close[0]).msgstr, ["fuzzy"]
            entry.previous_msgid = close[0]
        result.append(entry)
    return result


def blocks(cell: NotebookNode) -> Iterator[str]:
    """Yield the blocks of a cell of Markdown, or what the figure of a cell of code shows."""
    if cell.cell_type == "code":
        yield cell.metadata.get("alt", "")
        return
    for part in re.split(r"(?ms)^(```.*?^```)$", cell.source):
        for block in [part] if part.startswith("```") else re.split(r"\n\s*\n", part.strip()):
            yield unwrapped(block)


def unwrapped(block: str) -> str:
    """Return a block with a line for the whole of a paragraph or item, and for a row."""
    if block.startswith(("```", "|")):
        return block
    is_list = re.match(r"- |\d+\. ", block)
    return re.sub(r"\n(?!- |\d+\. )\s*" if is_list else r"\n\s*", " ", block)


def is_message(block: str) -> bool:
    """Return whether a block has words to translate: no code, no HTML, not the badge."""
    return bool(block) and not block.startswith(("```", "<", "[![Open in Colab]"))


if __name__ == "__main__":
    main()
