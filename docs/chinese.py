"""Update the catalogues of the course in Chinese, and translate notebooks and figures with them.

    python docs/chinese.py            # update the catalogues from the notebooks
    python docs/chinese.py --check    # report what is wrong and write no file

``notebooks/zh/NAME.po`` has a message for each block of Markdown in ``notebooks/NAME.ipynb``, in
the same order and without the line breaks of wrapped text. The comment of a message names its cell.
Code has no messages. ``figures.po`` has the labels of the drawn figures, with the figure as the
comment. On the site, a message without a translation, or with a fuzzy one, stays English.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from copy import deepcopy
from difflib import get_close_matches
from itertools import cycle
from pathlib import Path

import nbformat
import polib
from nbformat import NotebookNode

from notebooks import NOTEBOOKS, ROOT

CATALOGUES, DOCS = NOTEBOOKS / "zh", ROOT / "docs"
#: Label in a figure.
LABEL = re.compile(r"(?<=>)[^<]+(?=</text>)")
#: What a translation must keep. Each pattern is searched in what the patterns before it left.
KEPT = {
    "code": "`[^`]+`",
    "links": r"(?<=\]\()[^)]*(?=\))",
    "numbers": r"\d+(?:[.,]\d+)*",
    "marks of bold": r"\*\*",
}


def main() -> None:
    """Update or check all catalogues."""
    messages, is_check = {}, "--check" in sys.argv
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        messages[path.stem] = [(cell.id, block) for cell in cells for block in blocks(cell)]
    labels = {name: LABEL.findall(figure) for name, figure in figures().items()}
    messages["figures"] = [(name, label) for name in labels for label in labels[name]]
    chinese = {(term, name) for name, term in glossary(DOCS / "zh")}
    problems = [f"only one glossary has {row}" for row in sorted(chinese ^ set(glossary(DOCS)))]
    for name, pairs in messages.items():
        path = CATALOGUES / f"{name}.po"
        catalogue = updated(pairs, read(path))
        if is_check:
            problems += faults(path, catalogue)
        else:
            catalogue.save(path)
    sys.exit("\n".join(problems) or 0)


def figures() -> dict[str, str]:
    """Return the drawn figures that the notebooks show, by name."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    names = re.findall(r"docs/figures/(\w+)\.svg", "".join(texts))
    return {name: (DOCS / f"figures/{name}.svg").read_text(encoding="utf-8") for name in names}


def read(path: Path) -> polib.POFile:
    """Read a catalogue. A catalogue that does not exist is empty."""
    return polib.pofile(str(path), wrapwidth=0) if path.exists() else polib.POFile(wrapwidth=0)


def updated(messages: Iterable[tuple[str, str]], catalogue: polib.POFile) -> polib.POFile:
    """Return the catalogue of messages, pairs of place and text, with the translations of another.

    A message that was changed keeps the translation of the one before, marked as fuzzy.
    """
    result = polib.POFile(wrapwidth=0)
    result.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Language": "zh_CN"}
    places: dict[str, list[str]] = {}
    for place, text in messages:
        if is_message(text):
            places.setdefault(text, []).append(place)
    gone = {old.msgid: old.msgstr for old in catalogue if old.msgstr and old.msgid not in places}
    for text, found in places.items():
        entry = catalogue.find(text) or polib.POEntry(msgid=text)
        if not entry.msgstr and (close := get_close_matches(text, gone, n=1)):
            entry.msgstr, entry.previous_msgid = gone.pop(close[0]), close[0]
            entry.flags = ["fuzzy"]
        entry.previous_msgid = entry.previous_msgid if entry.fuzzy else None
        entry.comment = ", ".join(dict.fromkeys(found))
        result.append(entry)
    return result


def blocks(cell: NotebookNode) -> Iterator[str]:
    """Yield the blocks of a Markdown cell, or the alternative text of a code cell's figure.

    Each list item, table row and paragraph is one line.
    """
    if cell.cell_type == "code":
        yield cell.metadata.get("alt", "")
        return
    for part in re.split(r"(?ms)^(```.*?^```)$", cell.source):
        if part.startswith("```"):
            yield part
        elif part.strip():
            for block in re.split(r"\n\s*\n", part.strip()):
                yield re.sub(r"\n(?!- |\d+\. |\|)\s*", " ", block)


def is_message(text: str) -> bool:
    """Return True if a text has words to translate: not for code, HTML and the badge."""
    return re.match(r"(?s)(?!```|<|\[!\[Open in Colab\]).*[A-Za-z]", text) is not None


def translated(notebook: NotebookNode, catalogue: polib.POFile) -> NotebookNode:
    """Return a notebook with its Markdown in Chinese and with unchanged code and outputs."""
    result = deepcopy(notebook)
    for cell in result.cells:
        texts = [in_chinese(block, catalogue) for block in blocks(cell)]
        if cell.cell_type == "markdown":
            cell.source = "\n\n".join(texts)
        elif "alt" in cell.metadata:
            cell.metadata["alt"] = texts[0]
    return result


def translated_figure(figure: str, catalogue: polib.POFile) -> str:
    """Return a drawn figure with its labels in Chinese, and with fonts for them."""
    fonts = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans SC"'
    figure = LABEL.sub(lambda label: in_chinese(label[0], catalogue), figure)
    return figure.replace("system-ui", fonts)


def in_chinese(text: str, catalogue: polib.POFile) -> str:
    """Return the translation of a text, or the text with a mark if it has no translation."""
    if not is_message(text):
        return text.replace("<summary>Answer</summary>", "<summary>答案</summary>")
    entry = catalogue.find(text)
    if entry and entry.translated():
        return entry.msgstr
    mark = "（未译）\n\n" if text.startswith("|") else "（未译）"
    return re.sub(r"^(#+ |- |\d+\. )?", rf"\g<0>{mark}", text, count=1)


def faults(path: Path, expected: polib.POFile) -> list[str]:
    """Return a list of what is wrong with a catalogue and its translations."""
    result, terms = [], glossary_terms()
    if not path.exists() or path.read_text(encoding="utf-8") != str(expected):
        result.append(f"{path.name} does not follow its source: run python docs/chinese.py")
    for entry in expected.translated_entries():
        for fault in differences(entry.msgid, entry.msgstr, terms):
            result.append(f"{path.name}, {entry.comment}, {entry.msgstr[:40]}: {fault}")
    return result


def differences(source: str, translation: str, terms: dict[str, list[str]]) -> list[str]:
    """Return what a translation loses, and bold terms that lack their name in the glossary."""
    result, spans = [], bold(translation)
    for before, span, after in spans:
        if (before and re.match(r"\W", span)) or (after and re.search(r"\W$", span)):
            result.append(f"no bold in Jupyter without a space or punctuation next to **{span}**")
    chinese = ",".join(span for _, span, _ in spans).replace(" ", "").lower()
    for _, term, _ in bold(source):
        names = terms.get(term.lower(), [""])
        if not any(name in chinese for name in names):
            result.append(f"{term!r} is {' or '.join(names)} in the glossary")
    for what, pattern in KEPT.items():
        old, new = (sorted(re.findall(pattern, text)) for text in (source, translation))
        if old != new:
            result.append(f"{what} {new}, but the source has {old}")
        source, translation = (re.sub(pattern, "", text) for text in (source, translation))
    return result


def bold(text: str) -> list[tuple[str, str, str]]:
    """Return the bold spans of a text, each with the letters before and after it."""
    return re.findall(r"(\w?)\*\*(.+?)\*\*(?=(\w?))", re.sub("`[^`]+`", "``", text))


def glossary_terms() -> dict[str, list[str]]:
    """Return the Chinese names of each term of the glossary, without spaces and capitals."""
    result = {}
    for column, chinese in glossary(DOCS):
        terms = re.sub(r" \(.*?\)", "", column.lower()).replace(": ", ", ").split(", ")
        names = re.split("[，：]", chinese.lower().replace(" ", ""))
        last_word = terms[-1].split()[-1]  # "validation, test set": also "validation set"
        for term, name in zip(terms, cycle(names)):
            for key in (term, f"{term}s", f"{term} {last_word}"):
                result[key] = re.findall("[^（）]+", name)
    return result


def glossary(docs: Path) -> list[tuple[str, str]]:
    """Return the first two columns of a glossary."""
    text = (docs / "course" / "glossary.md").read_text(encoding="utf-8")
    return re.findall(r"(?m)^\| (?!term \||术语|---)(.+?) \| (.+?) \|", text)


if __name__ == "__main__":
    main()
