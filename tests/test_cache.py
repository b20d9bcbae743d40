import json

import pytest

from dlp.cache import SUMS, new_folder, only_one, read_folder


def load(home):
    return (home / "part" / "text").read_text()


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "kind" / "key"
    with only_one(home), new_folder(home) as folder:
        (folder / "part").mkdir()
        (folder / "part" / "text").write_text("first")
    return home


def test_what_was_written_is_read_and_nothing_else_is_left(home):
    assert read_folder(home, load, "texts") == "first"
    assert [*json.loads((home / SUMS).read_text())] == ["part/text"]
    assert {path.name for path in home.parent.iterdir()} <= {"key", "key.lock"}


def test_where_nothing_is_nothing_is_said(tmp_path, capsys):
    assert read_folder(tmp_path / "none", load, "texts") is None
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    "damage",
    [
        lambda home: (home / "part" / "text").write_text("other"),
        lambda home: (home / "part" / "text").unlink(),
        lambda home: (home / SUMS).write_text("[]"),
        lambda home: (home / SUMS).unlink(),
    ],
)
def test_what_is_not_as_it_was_written_is_said_and_made_again(damage, home, capsys):
    damage(home)
    assert read_folder(home, load, "texts") is None
    assert f"the cached texts in {home} are damaged" in capsys.readouterr().out
    with new_folder(home) as folder:
        (folder / "part").mkdir()
        (folder / "part" / "text").write_text("second")
    assert read_folder(home, load, "texts") == "second"


def written_in_half(home):
    with new_folder(home) as folder:
        (folder / "text").write_text("half")
        raise ZeroDivisionError


def test_a_failure_leaves_what_was_there(home):
    with pytest.raises(ZeroDivisionError):
        written_in_half(home)
    assert read_folder(home, load, "texts") == "first"
    assert {path.name for path in home.parent.iterdir()} <= {"key", "key.lock"}
