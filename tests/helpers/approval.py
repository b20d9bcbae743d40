"""Approved copies of everything users see, so that changes show in the diff of a commit."""

import re
from difflib import unified_diff
from html.parser import HTMLParser
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "approved"
ADVICE = (
    "If the change is meant, run `pytest --approve` and commit tests/approved with it."
)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(,\d{3})*(\.\d+)*(e[-+]?\d+)?")


def compare(name, text, renew=False):
    """Compare a text with its approved copy, line by line, or write the copy.

    Args:
        name: File in tests/approved.
        text: The text as it is now.
        renew: Whether the copy is written instead of compared.
    """
    path = FOLDER / name
    lines = [line.rstrip() for line in text.strip().splitlines()]
    if renew:
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        return
    expected = []
    if path.exists():
        expected = path.read_text(encoding="utf-8").splitlines()
    if lines != expected:
        diff = unified_diff(
            expected, lines, f"tests/approved/{name}", "now", lineterm="", n=2
        )
        pytest.fail("\n".join([*diff, "", ADVICE]), pytrace=False)


def without_numbers(text):
    """Replace numbers by #, backslashes in paths by slashes, and runs of spaces by two."""
    text = NUMBER.sub("#", text.replace("\\", "/"))
    return re.sub(r"(?<=\S) {2,}", "  ", text)


class _Texts(HTMLParser):
    """Collector of the texts in a page, without styles and scripts, one line per table row."""

    def __init__(self):
        super().__init__()
        self.text = ""
        self.skipped = None

    def handle_starttag(self, tag, attrs):
        if tag in ("style", "script"):
            self.skipped = tag
        if tag == "img":
            self.text += f"\n[image {dict(attrs).get('alt')}]\n"

    def handle_endtag(self, tag):
        if tag == self.skipped:
            self.skipped = None
        if tag in ("td", "th"):
            self.text += " | "
        elif tag in ("button", "h1", "h2", "p", "summary", "title", "tr"):
            self.text += "\n"

    def handle_data(self, data):
        if self.skipped is None:
            self.text += data if data.strip() else ""


def html_text(page):
    """Return the texts in a page, with [image NAME] for each image."""
    parser = _Texts()
    parser.feed(page)
    lines = [line.strip(" |") for line in parser.text.splitlines()]
    return "\n".join(line for line in lines if line)


def script_texts(page):
    """Return the texts with several words in the scripts of a page."""
    texts = []
    for script in re.findall(r"<script.*?>(.*?)</script>", page, re.S):
        for line in script.splitlines():
            texts += re.findall(r"\"[^\"]*\"|`[^`]*`", line)
    return [text for text in texts if re.search(r"[a-z}] [a-z]{2}", text)]
