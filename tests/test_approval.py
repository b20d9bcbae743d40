"""The comparison with approved copies."""

import pytest

from helpers import approval
from helpers.approval import compare, html_text, script_texts, without_numbers


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Approve two lines in a folder of the test; return the name of the copy."""
    monkeypatch.setattr(approval, "FOLDER", tmp_path)
    compare("card.md", "first\nExample row", renew=True)
    return "card.md"


def test_a_text_that_equals_its_copy_passes_also_with_spaces_at_the_ends(copy):
    compare(copy, "\nfirst  \nExample row\n\n")


def test_a_deleted_line_is_shown_with_the_way_to_approve_it(copy):
    with pytest.raises(pytest.fail.Exception) as failure:
        compare(copy, "first")
    message = str(failure.value)
    assert "-Example row" in message
    assert "pytest --approve" in message


def test_a_text_without_a_copy_fails(copy):
    with pytest.raises(pytest.fail.Exception, match=r"\+new"):
        compare("other.md", "new")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("val_loss 0.5362, epoch 3", "val_loss #, epoch #"),
        ("train 72, val 1,024", "train #, val #"),
        ("6.7e-08 on -24 rows, 87.5% right", "# on # rows, #% right"),
        ("runs\\points\\version_0", "runs/points/version_0"),
        ("   x      12", "   x  #"),
    ],
)
def test_numbers_and_widths_are_replaced(text, expected):
    assert without_numbers(text) == expected


def test_the_text_of_a_page_has_a_line_per_row_and_neither_styles_nor_scripts():
    page = "<style>p</style><h1>Run</h1><tr><td>a</td><td>1</td></tr><script>x</script><img alt=c>"
    assert html_text(page) == "Run\na | 1\n[image c]"


def test_the_texts_of_scripts_are_those_of_several_words():
    page = '<script>make("input", "No answer") + `and ${count} more`</script>'
    assert script_texts(page) == ['"No answer"', "`and ${count} more`"]
