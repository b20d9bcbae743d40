"""Facts about the notebooks of the course; docs/pages.py runs them."""

import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in NOTEBOOKS}


@pytest.mark.parametrize(("number", "name"), [*enumerate(TEXTS, start=1)])
def test_a_notebook_is_short_asserts_its_number_and_names_the_next(number, name):
    title, *cells, end = TEXTS[name].removeprefix("# %% ").split("\n# %%")
    code = [cell for cell in cells if not cell.startswith(" [markdown]")]
    lines = "\n".join(cell.partition("\n")[2] for cell in code)  # without the tags of a cell
    assert title.startswith(f"[markdown]\n# # {number}. ")
    assert len(re.findall(r"^ *[^ #\n]", lines, re.M)) <= 60
    assert any(cell.startswith(' tags=["hide"]') and "\nassert " in cell for cell in code)
    assert [*TEXTS][number % len(TEXTS)] in end
    figures = [cell for cell in code if re.search(r"^\w*(draw|grid|figure)\w*\(", cell, re.M)]
    assert [cell.startswith(' alt="') for cell in figures] == [True] * len(figures) != []
