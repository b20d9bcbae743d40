import pytest

chinese = pytest.importorskip("chinese", reason="needs the extra docs")
new = chinese.nbformat.v4
SOURCE = "The **loss** of `fit` is 0.29 ([next](02_two_classes.ipynb))."
CHINESE = "`fit` 的**损失**是 0.29（[下一节](02_two_classes.ipynb)）。"
WRONG = "fit 的**代价（loss）**和**它**是 0.3（[下一节](03_many_classes.ipynb)）。"


def translated(text):
    """Return the catalogue of a text, which follows one of the source alone, and its Chinese."""
    cell, before = new.new_markdown_cell(text), f'msgid "{SOURCE}"\nmsgstr "{CHINESE}"'
    messages = [("cell-1", block) for block in chinese.blocks(cell)]
    catalogue = chinese.updated(messages, chinese.polib.pofile(before))
    notebook = new.new_notebook(cells=[cell])
    return catalogue, chinese.translated(notebook, catalogue).cells[0].source


def test_blocks_are_translated_without_their_wrapping_or_marked_and_code_stays():
    text = (
        SOURCE.replace(" is", "\nis")
        + "\n\n- one\n  item\n- two\n\n| a |\n| --- |\n\n## Why?\n"
    )
    _, result = translated(text + "```\nx\n\ny\n```\n\n<summary>Answer</summary>")
    marked = (
        "- （未译）one item\n- two\n\n（未译）\n\n| a |\n| --- |\n\n## （未译）Why?"
    )
    assert (
        result
        == f"{CHINESE}\n\n{marked}\n\n```\nx\n\ny\n```\n\n<summary>答案</summary>"
    )


def test_labels_of_a_figure_are_translated():
    figure = (
        f'<style>font: 9px system-ui;</style><text x="1">{SOURCE}</text><text>3</text>'
    )
    result = chinese.translated_figure(figure, translated(SOURCE)[0])
    assert result.endswith(
        f'"Noto Sans SC";</style><text x="1">{CHINESE}</text><text>3</text>'
    )


def test_a_changed_block_is_a_fault_becomes_fuzzy_and_stays_english(tmp_path):
    same, (changed, result) = translated(SOURCE)[0], translated("Now " + SOURCE)
    same.save(path := tmp_path / "name.po")
    assert chinese.faults(path, same) == []
    assert chinese.faults(path, changed)[0].endswith("run python docs/chinese.py")
    assert (changed[0].msgstr, changed[0].previous_msgid) == (CHINESE, SOURCE)
    assert result == "（未译）Now " + SOURCE
    assert translated("Gone.")[0][0].msgstr == ""


def test_a_translation_keeps_numbers_code_links_and_terms():
    assert chinese.differences(SOURCE, CHINESE, chinese.glossary_terms()) == []
    found = "\n".join(chinese.differences(SOURCE, WRONG, chinese.glossary_terms()))
    for fault in (
        "numbers",
        "code",
        "links",
        "marks of bold",
        "in Jupyter",
        "'loss' is 损失 in",
    ):
        assert fault in found
