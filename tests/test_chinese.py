import sys
from pathlib import Path

import pytest

pytest.importorskip("polib", reason="needs the extra docs")
pytest.importorskip("jupytext", reason="needs the extra docs")
import nbformat
import polib

sys.path.append(str(Path(__file__).parents[1] / "docs"))
import chinese

BLOCK = "The **loss** of `fit` is\n0.29 ([next](02_two_classes.ipynb))."
SOURCE = "The **loss** of `fit` is 0.29 ([next](02_two_classes.ipynb))."
CHINESE = "`fit` 的**损失**是 0.29（[下一节](02_two_classes.ipynb)）。"


def notebook(*blocks):
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("\n\n".join(blocks), id="cell-1")]
    )


def catalogue(*blocks):
    result = chinese.updated(notebook(*blocks), polib.POFile(wrapwidth=0))
    for entry in result:
        entry.msgstr = CHINESE if entry.msgid == SOURCE else ""
    return result


def test_messages_are_blocks_without_their_wrapping():
    code = "```python\nx = 1\n\ny = 2\n```"
    texts = ["# 3.4 Title", BLOCK, "- one\n  item\n- two", "| a |\n| --- |", f"Why?\n{code}"]
    messages = [entry.msgid for entry in catalogue(*texts)]
    assert messages == ["# 3.4 Title", SOURCE, "- one item\n- two", "| a |\n| --- |", "Why?"]


def test_a_rewrapped_block_keeps_its_translation_and_a_changed_one_becomes_fuzzy():
    rewrapped = chinese.updated(notebook(SOURCE), catalogue(BLOCK))
    assert [entry.msgstr for entry in rewrapped.translated_entries()] == [CHINESE]
    stale = chinese.updated(notebook(SOURCE.replace("0.29", "0.31")), catalogue(BLOCK))
    assert stale[0].fuzzy
    assert stale[0].previous_msgid == SOURCE
    assert chinese.updated(notebook("Gone."), stale)[0].msgstr == ""


def test_what_has_no_current_translation_stays_english_and_is_marked():
    texts = [BLOCK, "## New", "- new", "| new |", "```python\nx\n```", "<summary>Answer</summary>"]
    result = chinese.translated(notebook(*texts), catalogue(BLOCK)).cells[0].source
    marked = ["## （未译）New", "- （未译）new", "（未译）", "| new |", "```python\nx\n```"]
    assert result.split("\n\n") == [CHINESE, *marked, "<summary>答案</summary>"]
    stale = chinese.updated(notebook("Now " + SOURCE), catalogue(BLOCK))
    result = chinese.translated(notebook("Now " + SOURCE), stale).cells[0].source
    assert result == "（未译）Now " + SOURCE


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("0.29", "0.3", "numbers"),
        ("`fit`", "fit", "code"),
        ("02_two_classes", "03_many_classes", "links"),
        ("**损失**", "损失", "0 bold spans"),
        ("**损失**", "**损失（loss）**", "in Jupyter"),
        ("损失", "代价", "'loss' is 损失 in the glossary"),
    ],
)
def test_a_translation_keeps_numbers_code_links_and_terms(before, after, fault):
    terms = chinese.glossary_terms()
    assert chinese.differences(SOURCE, CHINESE, terms) == []
    assert fault in "\n".join(chinese.differences(SOURCE, CHINESE.replace(before, after), terms))


def test_a_catalogue_that_does_not_follow_its_notebook_is_a_fault(tmp_path):
    path = tmp_path / "name.po"
    catalogue(BLOCK).save(path)
    assert chinese.faults(path, chinese.updated(notebook(BLOCK), chinese.read(path))) == []
    changed = chinese.updated(notebook("New. " + SOURCE), chinese.read(path))
    assert "run python docs/chinese.py" in chinese.faults(path, changed)[0]
