"""Facts about the notebooks of the course; docs/notebooks.py runs them and checks their outputs."""

from itertools import pairwise
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
PAIRS = list(pairwise([*NOTEBOOKS, NOTEBOOKS[0]]))


@pytest.mark.parametrize(("path", "following"), PAIRS)
def test_a_notebook_asserts_its_answers_and_names_the_next(path, following):
    cells = path.read_text(encoding="utf-8").split("\n# %%")
    parts = [cell.partition("\n") for cell in cells]
    answers = [text for head, _, text in parts if '"answer"' in head]
    asserts = [text for head, _, text in parts if '"hide"' in head and "assert " in text]
    assert len(answers) >= 3
    assert len(asserts) >= 3
    assert following.name in cells[-1]
