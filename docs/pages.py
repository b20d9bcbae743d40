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
from chinese import CATALOGUES, figures, read, translated, translated_figure
from nbformat import NotebookNode
from PIL import Image

from notebooks import NOTEBOOKS, RAW, REPOSITORY, ROOT, outputs, tags

DOCS, PAGES = ROOT / "docs", ROOT / "build" / "docs"
#: Pixels above which a figure does not fit on a phone.
WIDTH_OF_PHONES = 400
#: Words that the site adds to the page of a notebook, in each language.
WORDS = {
    "": ("Open in Colab", "Download the notebook", "Answer"),
    "zh/": ("在 Colab 打开（英文）", "下载 notebook", "答案"),
}


def main() -> None:
    """Copy the pages of the repository, and write pages for each notebook in both languages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(DOCS, PAGES, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    described = {}
    for page in (PAGES / "api").glob("*.md"):
        for name in re.findall(r"(?m)^::: (\S+)", page.read_text(encoding="utf-8")):
            described[name] = page.name
    for page in PAGES.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        # On the site each notebook has its own page.
        course = f"{way(page)}{language(page)}course"
        text = re.sub(r"\((?:\.\./)+notebooks/(\w+)\.ipynb\)", rf"({course}/\1.md)", text)
        api = {name: f"{way(page)}api/{file}" for name, file in described.items()}
        text = re.sub(r"\((?:\.\./)+src/(dlp/[^\s)]+)\)", partial(in_api, pages=api), text)
        text = re.sub(r"(?m)^\|.*", lambda row: re.sub(r"`(dlp [^`]+)`", command, row[0]), text)
        page.write_text(text, encoding="utf-8")
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        write_notebook(notebook, PAGES / "course" / path.stem)
        catalogue = read(CATALOGUES / f"{path.stem}.po")
        write_notebook(translated(notebook, catalogue), PAGES / "zh" / "course" / path.stem)
    (PAGES / "zh" / "figures").mkdir()
    labels = read(CATALOGUES / "figures.po")
    for name, figure in figures().items():
        drawn = translated_figure(figure, labels)
        (PAGES / "zh" / "figures" / f"{name}.svg").write_text(drawn, encoding="utf-8")
    for page in PAGES.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        picture = r"!\[[^]]*\]\(([^)\s]+\.(?:png|jpg))\)(?:\{(.*?)\})?"
        text = re.sub(picture, partial(marked_if_wide, folder=page.parent), text)
        page.write_text(text, encoding="utf-8")
    for page in PAGES.glob("zh/**/*.md"):
        original = PAGES / page.relative_to(PAGES / "zh")
        if original.exists():
            link_translation(page, original)
            link_translation(original, page)


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook for download, and its page; the path has no suffix."""
    nbformat.write(notebook, f"{path}.ipynb")
    texts = []
    for is_answer, cells in groupby(notebook.cells, lambda cell: "answer" in tags(cell)):
        page = "\n\n".join(text for cell in cells for text in blocks(cell, path))
        texts.append(folded(page, WORDS[language(path)][2]) if is_answer else page)
    Path(f"{path}.md").write_text("\n\n".join(texts) + "\n", encoding="utf-8")


def link_translation(page: Path, other: Path) -> None:
    """Write the address of the page in the other language into a page; the theme links to it."""
    address = f"{way(page)}{other.relative_to(PAGES).with_suffix('.html').as_posix()}"
    text = page.read_text(encoding="utf-8")
    page.write_text(f"---\ntranslation: {address}\n---\n\n{text}", encoding="utf-8")


def command(code: re.Match[str]) -> str:
    """Return a command in a table as HTML that breaks only between words and after a slash."""
    words = [html.escape(word).replace("/", "/<wbr>") for word in code[1].split()]
    spans = [f"<span>{word}</span>" for word in words]
    return f"<code>{' '.join(spans)}</code>"


def marked_if_wide(picture: re.Match[str], folder: Path) -> str:
    """Return the Markdown of a picture, with the class ``wide`` if it is wider than a phone."""
    with Image.open(folder / picture[1]) as image:
        is_wide = image.width > WIDTH_OF_PHONES
    classes = " ".join(filter(None, [picture[2], ".wide" if is_wide else None]))
    return picture[0].partition("{")[0] + (f"{{{classes}}}" if classes else "")


def way(page: Path) -> str:
    """Return the relative path from a page to the folder of all pages."""
    return "../" * (len(page.relative_to(PAGES).parts) - 1)


def language(page: Path) -> str:
    """Return the folder of a page's language; English pages are in the folder of all pages."""
    return "zh/" if "zh" in page.relative_to(PAGES).parts else ""


def in_api(link: re.Match[str], pages: dict[str, str]) -> str:
    """Return a link to the API page that describes a source file, or to the file itself.

    Args:
        link: Path of the file from ``src``, and perhaps the name of an object in it.
        pages: API page that describes a module or object, by its name.
    """
    path, _, name = link[1].partition("#")
    module = path.removesuffix(".py").replace("/", ".")
    short = f"{module.rpartition('.')[0]}.{name}"  # the name under which it is imported
    if module in pages:
        return f"({pages[module]}#{module}{name and '.'}{name})"
    if short in pages:
        return f"({pages[short]}#{short})"
    return f"({REPOSITORY}/blob/main/src/{path})"


def folded(text: str, title: str) -> str:
    """Return Markdown that unfolds when a reader clicks on the title."""
    return f'<details markdown="1">\n<summary>{title}</summary>\n\n{text}\n\n</details>'


def blocks(cell: NotebookNode, path: Path) -> Iterator[str]:
    """Yield the Markdown of a cell: its text, or its code and outputs."""
    opens, downloads, _ = WORDS[language(path)]
    if cell.id == "install":
        return
    if cell.cell_type == "markdown":
        # A drawn figure has labels in the language of the page.
        drawn = rf"]({way(path)}{language(path)}\1"
        text = re.sub(rf"\]\({RAW}/docs/(figures/\w+\.svg)", drawn, cell.source)
        text = text.replace(f"]({RAW}/docs/", f"]({way(path)}").replace(".ipynb)", ".md)")
        text = re.sub(r"</?details>|<summary>.*?</summary>", "", text)
        # The site loads nothing from elsewhere: a link in place of the badge.
        badge = r"\[!\[Open in Colab\]\(\S+\)\]\((\S+)\.md\)"
        links = rf"[{opens}](\1.ipynb) · [{downloads}]({path.name}.ipynb)"
        yield re.sub(badge, links, text).strip()
    else:
        source = cell.source.removeprefix("# @title Answer\n")
        yield f"```python\n{source}\n```"
        for output in outputs(cell):
            data = output.get("data", {})
            if output.get("name") == "stdout":
                yield f"```text\n{output.text.rstrip()}\n```"
            elif "image/png" in data:
                figure = f"{path.name}_{cell.id}.png"
                path.with_name(figure).write_bytes(base64.b64decode(data["image/png"]))
                is_drawn = re.search(r"^(draw|figure$)", cell.source, re.M)
                style = "{.curves}" if is_drawn else ""
                yield f"![{cell.metadata['alt']}]({figure}){style}"
            elif data:
                plain = f"```text\n{data['text/plain']}\n```"
                yield re.sub(r"(?s)<style.*?</style>\s*", "", data.get("text/html", plain))


if __name__ == "__main__":
    main()
