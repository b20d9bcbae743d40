"""Keep the catalogues of the course in Chinese, and translate its notebooks by them.

    python docs/chinese.py            # catalogues follow the notebooks
    python docs/chinese.py --check    # end with what is wrong; nothing is written

``notebooks/zh/NAME.po`` has a message for each block of Markdown of ``notebooks/NAME.ipynb``, in
its order, without the line breaks of a wrapped text; its comment is the cell. Code is no message.
A block without a translation, or whose translation is fuzzy, stays English on the site.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path

import nbformat
import polib
from nbformat import NotebookNode

from notebooks import NOTEBOOKS, ROOT

CATALOGUES = NOTEBOOKS / "zh"
COURSE = ROOT / "docs" / "course"
UNTRANSLATED = "（未译）"


def main() -> None:
    """Update or check the catalogues of all notebooks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with the faults")
    args = parser.parse_args()
    problems = glossary_faults() if args.check else []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        catalogue = CATALOGUES / f"{path.stem}.po"
        expected = updated(nbformat.read(path, as_version=4), read(catalogue))
        if args.check:
            problems += faults(catalogue, expected)
        else:
            expected.save(catalogue)
    sys.exit("\n".join(problems) or 0)


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
        if part.startswith("```"):
            yield part
        elif part.strip():
            for block in re.split(r"\n\s*\n", part.strip()):
                yield unwrapped(block)


def unwrapped(block: str) -> str:
    """Return a block with a line for the whole of a paragraph or item, and for a row."""
    if block.startswith("|"):
        return block
    is_list = re.match(r"- |\d+\. ", block)
    return re.sub(r"\n(?!- |\d+\. )\s*" if is_list else r"\n\s*", " ", block)


def is_message(block: str) -> bool:
    """Return whether a block has words to translate: no code, no HTML, not the badge."""
    return bool(block) and not block.startswith(("```", "<", "[![Open in Colab]"))


def translated(notebook: NotebookNode, catalogue: polib.POFile) -> NotebookNode:
    """Return a notebook with its Markdown in Chinese; code and outputs stay as they are."""
    words = {entry.msgid: entry.msgstr for entry in catalogue.translated_entries()}
    result = deepcopy(notebook)
    for cell in result.cells:
        texts = [in_chinese(block, words) for block in blocks(cell)]
        if cell.cell_type == "markdown":
            cell.source = "\n\n".join(texts)
        elif "alt" in cell.metadata:
            cell.metadata["alt"] = texts[0]
    return result


def in_chinese(block: str, words: dict[str, str]) -> str:
    """Return the translation of a block, or else the block, marked."""
    if not is_message(block):
        return block.replace("<summary>Answer</summary>", "<summary>答案</summary>")
    if block in words:
        return words[block]
    if block.startswith("|"):
        return f"{UNTRANSLATED}\n\n{block}"
    return re.sub(r"^(#+ |- |\d+\. )?", rf"\g<0>{UNTRANSLATED}", block, count=1)


def faults(path: Path, expected: polib.POFile) -> list[str]:
    """Return what is wrong with a catalogue and its translations."""
    result = []
    if not path.exists() or path.read_text(encoding="utf-8") != str(expected):
        result.append(f"{path.name} does not follow its notebook: run python docs/chinese.py")
    terms = glossary_terms()
    for entry in expected.translated_entries():
        found = differences(entry.msgid, entry.msgstr, terms)
        result += [f"{path.name}, {entry.comment}: {fault}" for fault in found]
    return result


def differences(source: str, translation: str, terms: dict[str, list[str]]) -> list[str]:
    """Return what a translation does not keep of its source.

    Args:
        source: A block in English.
        translation: The same in Chinese.
        terms: Chinese names of each term, which a term in bold must have.
    """
    before, after = details(source), details(translation)
    result = []
    for what, values in before.items():
        if values != after[what]:
            result.append(f"{what} {after[what]}, but the source has {values}: {translation[:40]}")
    bold, chinese_bold = bold_spans(source), bold_spans(translation)
    if len(bold) != len(chinese_bold):
        result.append(f"{len(chinese_bold)} bold spans for {bold}: {translation[:40]}")
    for span in unseen_bold(translation):
        result.append(f"a space or other punctuation is needed for {span} to be bold in Jupyter")
    for term in bold:
        names = terms.get(term.lower()) or terms.get(term.lower().removesuffix("s"), [])
        if names and not any(is_in(name, span) for name in names for span in chinese_bold):
            result.append(f"{term!r} is {' or '.join(names)} in the glossary: {translation[:40]}")
    return result


def details(text: str) -> dict[str, list[str]]:
    """Return the code spans, links and numbers of a text, each sorted: their order may differ."""
    code = re.findall(r"`[^`]+`", text)
    text = re.sub(r"`[^`]+`", "", text)
    links = re.findall(r"\]\(([^)]*)\)", text)
    numbers = re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"\]\([^)]*\)", "", text))
    return {"code": sorted(code), "links": sorted(links), "numbers": sorted(numbers)}


def bold_spans(text: str) -> list[str]:
    """Return what a text has in bold."""
    return re.findall(r"\*\*(.+?)\*\*", re.sub(r"`[^`]+`", "", text))


def unseen_bold(text: str) -> list[str]:
    """Return spans that CommonMark does not take as bold: punctuation inside, a word outside."""
    text = re.sub(r"`[^`]+`", "``", text)
    result = []
    for span in re.finditer(r"\*\*(.+?)\*\*", text):
        before, after = text[: span.start()], text[span.end() :]
        is_opened = not (re.search(r"\w$", before) and re.match(r"\W", span[1]))
        is_closed = not (re.search(r"\W$", span[1]) and re.match(r"\w", after))
        if not (is_opened and is_closed):
            result.append(span[0])
    return result


def is_in(name: str, text: str) -> bool:
    """Return whether a text has a name, whatever its spaces and case."""
    return name.replace(" ", "").lower() in text.replace(" ", "").lower()


def glossary_terms() -> dict[str, list[str]]:
    """Return the Chinese names of each term of the glossary."""
    result = {}
    for column, chinese in glossary(COURSE):
        terms = re.sub(r" \(.*?\)", "", column).replace(": ", ", ").split(", ")
        names = re.split("[，：]", chinese)
        last_word = terms[-1].split()[-1]  # "validation, test set": also "validation set"
        for number, term in enumerate(terms):
            name = names[number] if len(names) == len(terms) else names[0]
            for key in (term, f"{term} {last_word}"):
                result[key.lower()] = re.split("[（）]", name.removesuffix("）"))
    return result


def glossary(folder: Path) -> list[tuple[str, str]]:
    """Return the first two columns of a glossary."""
    text = (folder / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (.+?) \| (.+?) \|", text)
    return [row for row in rows if row[0] not in ("term", "术语", "---")]


def glossary_faults() -> list[str]:
    """Return the terms that the two glossaries do not have in common."""
    chinese = {(term, name) for name, term in glossary(COURSE.parent / "zh" / "course")}
    unequal = chinese ^ set(glossary(COURSE))
    return [f"only one glossary has {term}, {name}" for term, name in sorted(unequal)]


if __name__ == "__main__":
    main()
