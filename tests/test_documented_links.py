"""What the documents point at is there, under the name that they give it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_name_files_that_are_there(page):
    for text, target in LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        assert path.exists(), f"{page.name}: {target} is not there"
        if text.endswith((".py", ".yaml")):
            shown = Path(text).parts
            assert path.parts[-len(shown) :] == shown, f"{page.name}: {text} is {target}"


def test_the_files_that_contributors_are_sent_to_are_there():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|tests|configs|docs)/[\w/.]+)`", page)
    assert len(named) >= 8
    assert [name for name in named if not (ROOT / name).exists()] == []
