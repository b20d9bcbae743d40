"""Configs are found by name or path, and read strictly."""

from pathlib import Path

import pytest

from dlp.configs import find_config, flatten, read_config, run_name
from dlp.errors import InputError


@pytest.mark.parametrize(
    ("paths", "name"),
    [
        (["imdb.yaml", "x/dropout.yaml"], "imdb+dropout"),
        (["runs/a+b/version_3/config.yaml"], "a+b"),
        (["here/config.yaml"], "here"),
        ([], "unnamed"),
    ],
)
def test_a_run_is_called_as_its_configs(paths, name):
    assert run_name([Path(path) for path in paths]) == name


def test_a_config_is_a_path_or_a_name():
    Path("own.yaml").touch()
    assert find_config("own.yaml") == Path("own.yaml")
    assert find_config("imdb").name == "imdb.yaml"
    assert find_config("dropout").parent.name == "variations"
    for name, hint in (("smaler", "smaller"), ("imdb.yaml", "imdb")):
        with pytest.raises(InputError, match=f"Did you mean '{hint}'"):
            find_config(name)
    with pytest.raises(InputError, match=r"'nothing'\. Accepted: a path from /"):
        find_config("nothing")
    with pytest.raises(InputError, match=r"Did you mean 'own\.yaml'"):
        find_config("own.yml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"trainer: {max_epochs: 3}\ntrainer: {}", "'trainer' is given twice"),
        (b"a: [{b: 1, b: 2}]", "'b' is given twice"),
        (b"trainer: {max_epochs: 3", "cannot be read as a config: while parsing"),
        ("# café".encode("latin-1"), r"x\.yaml is not in UTF-8: .* Save it as UTF-8"),
        (b"trainer:\n\tmax_epochs: 3", "line 2 has a tab; indent with spaces"),
        (b"- imdb", "cannot be read as a config"),
        (b"# imdb", "cannot be read as a config: it is empty."),
        (b"[" * 600, "cannot be read as a config: maximum recursion depth exceeded"),
    ],
)
def test_a_config_that_is_none_is_refused(content, message):
    Path("x.yaml").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_config(Path("x.yaml"))


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("trainer:\n  # max_epochs: 3", "trainer"),
        ("model: {init_args: }", "model.init_args"),
    ],
)
def test_a_word_whose_keys_are_comments_is_refused(content, key):
    Path("x.yaml").write_text(content, "utf-8")
    with pytest.raises(InputError, match=f"^{key}: expected keys below it"):
        dict(flatten(read_config(Path("x.yaml"))))


def test_a_byte_order_mark_is_no_content():
    Path("x.yaml").write_bytes("a: 1".encode("utf-8-sig"))
    assert read_config(Path("x.yaml")) == {"a": 1}
