"""Write the pages of the site to ``build/docs``: ``python docs/pages.py && zensical build``."""

import base64
import html
import re
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from notebooks import NOTEBOOKS, RAW, REPOSITORY, ROOT, outputs, tags

DOCS, PAGES = ROOT / "docs", ROOT / "build" / "docs"


def main() -> None:
    """Copy the pages of the repository, and write a page for each notebook."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(DOCS, PAGES, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    described = {}
    for page in (PAGES / "api").glob("*.md"):
        for name in re.findall(r"(?m)^::: (\S+)", page.read_text(encoding="utf-8")):
            described[name] = page.name
    for page in PAGES.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        # On the site a notebook has a page of its own.
        text = re.sub(r"\((?:\.\./)+notebooks/(\w+)\.ipynb\)", rf"({way(page)}course/\1.md)", text)
        api = {name: f"{way(page)}api/{file}" for name, file in described.items()}
        text = re.sub(r"\((?:\.\./)+src/(dlp/\S+)\)", partial(in_api, pages=api), text)
        text = re.sub(r"(?m)^\|.*", lambda row: re.sub(r"`(dlp [^`]+)`", command, row[0]), text)
        page.write_text(text, encoding="utf-8")
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        shutil.copy(path, PAGES / "course")
        notebook = nbformat.read(path, as_version=4)
        texts = []
        for is_answer, cells in groupby(notebook.cells, lambda cell: "answer" in tags(cell)):
            page = "\n\n".join(text for cell in cells for text in blocks(cell, path.stem))
            texts.append(folded(page) if is_answer else page)
        text = "\n\n".join(texts) + "\n"
        (PAGES / "course" / f"{path.stem}.md").write_text(text, encoding="utf-8")


def command(code: re.Match[str]) -> str:
    """Return a command of a table as HTML that breaks between its words and after a slash."""
    words = [html.escape(word).replace("/", "/<wbr>") for word in code[1].split()]
    spans = [f"<span>{word}</span>" for word in words]
    return f"<code>{' '.join(spans)}</code>"


def way(page: Path) -> str:
    """Return the way from a page to the folder of all pages."""
    return "../" * (len(page.relative_to(PAGES).parts) - 1)


def in_api(link: re.Match[str], pages: dict[str, str]) -> str:
    """Return the link to what the API's pages say of a source file, else to the file.

    Args:
        link: Path of the file from ``src``, and perhaps the name of an object in it.
        pages: Page of each module or object that one describes.
    """
    path, _, name = link[1].partition("#")
    module = path.removesuffix(".py").replace("/", ".")
    short = f"{module.rpartition('.')[0]}.{name}"  # as it is imported
    if module in pages:
        return f"({pages[module]}#{module}{name and '.'}{name})"
    if short in pages:
        return f"({pages[short]}#{short})"
    return f"({REPOSITORY}/blob/main/src/{path})"


def folded(text: str) -> str:
    """Return Markdown that a click unfolds."""
    return f'<details markdown="1">\n<summary>Answer</summary>\n\n{text}\n\n</details>'


def blocks(cell: NotebookNode, name: str) -> Iterator[str]:
    """Yield the Markdown of a cell: text, or code and what it shows."""
    if cell.id == "install":
        return
    if cell.cell_type == "markdown":
        text = cell.source.replace(f"]({RAW}/docs/", "](../").replace(".ipynb)", ".md)")
        text = re.sub(r"</?details>|<summary>.*?</summary>", "", text)
        # The site loads nothing from elsewhere: a link in place of the badge.
        badge = r"\[!\[Open in Colab\]\(\S+\)\]\((\S+)\.md\)"
        links = rf"[Open in Colab](\1.ipynb) · [Download the notebook]({name}.ipynb)"
        yield re.sub(badge, links, text).strip()
    else:
        source = cell.source.removeprefix("# @title Answer\n")
        yield f"```python\n{source}\n```"
        for output in outputs(cell):
            data = output.get("data", {})
            if output.get("name") == "stdout":
                yield f"```text\n{output.text.rstrip()}\n```"
            elif "image/png" in data:
                figure = f"{name}_{cell.id}.png"
                (PAGES / "course" / figure).write_bytes(base64.b64decode(data["image/png"]))
                is_drawn = re.search(r"^(draw|figure$)", cell.source, re.M)
                style = "{.curves}" if is_drawn else ""
                yield f"![{cell.metadata['alt']}]({figure}){style}"
            elif data:
                plain = f"```text\n{data['text/plain']}\n```"
                yield re.sub(r"(?s)<style.*?</style>\s*", "", data.get("text/html", plain))


if __name__ == "__main__":
    main()
