"""Drawing in a process beside a command's own."""

import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from types import SimpleNamespace

import pytest

from dlp.errors import InputError
from dlp.visualization import beside
from dlp.visualization.curves import learning_curves

HISTORY = {"train_loss": [3.0, 2.0, 1.5], "val_loss": [3.5, 2.5, 2.75]}


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Popen[bytes]]:
    """The process, which ends with the test."""
    monkeypatch.setattr(beside, "_helper", None)
    monkeypatch.setattr(beside, "_allowed", False)
    monkeypatch.setattr(beside, "num_cores", lambda: 2)
    unloaded = SimpleNamespace(executable=sys.executable, modules={})
    monkeypatch.setattr(beside, "sys", unloaded)
    beside.begin()
    assert beside._helper is None  # nobody has said that this process is a command's own
    beside.allow()
    beside.begin()
    process = beside._helper
    assert process is not None
    yield process
    with process:  # closes what it reads and writes, and waits
        pass


def test_it_draws_the_same_picture_and_ends_with_its_input(
    helper: Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        with monkeypatch.context() as patch:  # nothing is drawn here
            patch.setattr(beside, "save_drawing", None)
            beside.draw(tmp_path / name, learning_curves, HISTORY, 2, title="a run")
    assert helper.communicate(timeout=20) == (b"", None)
    assert helper.returncode == 0
    monkeypatch.setattr(beside, "_helper", None)
    beside.draw(tmp_path / "here", learning_curves, HISTORY, 2, title="a run")
    pictures = {(tmp_path / name).read_bytes() for name in ("first", "second", "here")}
    assert len(pictures) == 1
    assert pictures.pop().startswith(b"\x89PNG")


def test_what_it_cannot_draw_is_drawn_here_or_said(helper: Popen[bytes], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        beside.draw(tmp_path, learning_curves, HISTORY)
    helper.wait(timeout=20)  # it ended without a word
    beside.draw(tmp_path / "curves.png", learning_curves, HISTORY)
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_whoever_has_loaded_matplotlib_draws_here(
    helper: Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "sys", sys)  # these tests have, and may have set how to draw
    monkeypatch.setattr(beside, "_is_drawn", None)
    beside.draw(tmp_path / "curves.png", learning_curves, HISTORY)
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_without_a_second_core_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_helper", None)
    monkeypatch.setattr(beside, "_allowed", True)
    monkeypatch.setattr(beside, "num_cores", lambda: 1)
    beside.begin()
    assert beside._helper is None


def test_naming_a_function_that_draws_loads_no_matplotlib() -> None:
    code = "import sys, dlp.visualization.curves as c; sys.exit('matplotlib' in sys.modules)"
    with Popen([sys.executable, "-c", code]) as process:
        assert process.wait(timeout=60) == 0
