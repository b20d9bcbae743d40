"""Facts about the notebooks of the course; docs/notebooks.py runs them and checks their outputs."""

import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
SECTIONS = ["2.1", "3.4", "3.5", "3.6", "4.4", "4.5", "5.1, 5.2", "5.3", "5.4", "Your data:"]


def cells(path):
    """Return the cells of a notebook: what stands after ``# %%``, and the text below."""
    pieces = path.read_text(encoding="utf-8").removeprefix("# %%").split("\n# %%")
    return [tuple(piece.split("\n", 1)) for piece in pieces]


@pytest.mark.parametrize(
    ("number", "path"), list(enumerate(NOTEBOOKS)), ids=[path.stem for path in NOTEBOOKS]
)
def test_a_notebook_names_its_section_and_the_next_and_asserts_its_answers(number, path):
    parts = cells(path)
    text = "\n".join(body for _, body in parts)
    code = [(head, body) for head, body in parts if "[markdown]" not in head]
    assert parts[0][1].startswith(f"# # {SECTIONS[number]} ")
    assert re.findall(
        r"^# \*\*(\d)\. (?:Predict, then run|Change one thing|Find the mistake)", text, re.M
    ) == ["1", "2", "3"]
    answers = [body for head, body in parts if '"answer"' in head]
    assert len(answers) >= 3
    asserts = [body for head, body in code if '"hide"' in head and "\nassert " in f"\n{body}"]
    assert len(asserts) >= 3
    assert NOTEBOOKS[(number + 1) % len(NOTEBOOKS)].name in parts[-1][1]
    summary = text.partition("# ## Summary\n")[2].partition("**On the command line**")[0]
    assert len(re.findall(r"^# - ", summary, re.M)) == 5
    figures = [head for head, body in code if re.search(r"^\w*(draw|grid|figure)\w*\(", body, re.M)]
    assert ['alt="' in head for head in figures] == [True] * len(figures) != []
