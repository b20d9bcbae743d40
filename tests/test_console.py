"""Lines and bars."""

import sys

import pytest
from tqdm.auto import tqdm

from dlp.console import bar_file


def draw() -> None:
    for _ in tqdm(range(3), "digits", file=bar_file(), mininterval=0):
        for _ in tqdm(range(2), "strokes", file=bar_file(), leave=False, mininterval=0):
            pass


def test_off_a_terminal_a_bar_is_one_line_when_it_ends(capsys):
    draw()
    said = capsys.readouterr().err
    assert "\r" not in said
    assert "\x1b" not in said
    (line,) = [line for line in said.splitlines() if "3/3" in line]
    assert line.startswith("digits: 100%")


def test_a_bar_that_leaves_nothing_says_nothing_off_a_terminal(capsys):
    for _ in tqdm(range(3), "strokes", file=bar_file(), leave=False, mininterval=0):
        pass
    assert capsys.readouterr().err == ""


def test_on_a_terminal_bars_are_drawn_as_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert bar_file() is None
