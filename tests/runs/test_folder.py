from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlp.errors import InputError
from dlp.lightning_cli.configs import find_config, flatten, read_config, run_name
from dlp.runs.folder import Run, checkpoint_of, new_run, run_of, runs_of, shared_run


def checkpoint(folder, name="last"):
    path = Path(folder) / "checkpoints" / f"{name}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    (Path(folder) / "config.yaml").touch()
    return path


def test_runs_are_numbered_and_the_newest_comes_first():
    assert [new_run("a").folder.name for _ in range(11)][-1] == "version_10"
    Path("runs/a/version_x").mkdir()
    assert [run.folder.name for run in runs_of("a")][:2] == ["version_10", "version_9"]
    assert runs_of("a.yaml") == runs_of("a")
    Path("runs/a/version_10").rmdir()
    assert new_run("a").folder.name == "version_10"


def test_each_of_many_that_start_at_once_has_its_own_folder():
    with ThreadPoolExecutor(8) as threads:
        assert len({*threads.map(new_run, ["a"] * 16)}) == 16


def test_results_that_are_added_at_once_are_all_kept():
    run = new_run("a")
    names = [f"result {number}" for number in range(40)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: run.add_results(**{name: 1}), names))
    assert sorted(run.results()) == sorted(names)
    visible = [path.name for path in run.folder.glob("[!.]*")]
    assert visible == ["results.json"]


def test_a_run_dir_must_be_empty():
    assert new_run("a", folder="deep/here").folder.is_dir()
    Path("deep/here/metrics.csv").touch()
    with pytest.raises(InputError, match="holds files, and a run is never overwritten"):
        new_run("a", folder="deep/here")


def test_an_empty_run_is_removed_and_no_other():
    runs = [new_run("a"), new_run("a")]
    checkpoint(runs[1].folder)
    for run in runs:
        run.remove_if_empty()
    assert [run.folder.is_dir() for run in runs] == [False, True]


def test_folds_go_on_neither_in_a_fit_nor_with_another_config():
    first = shared_run("a", {"seed": 0})
    assert shared_run("a", {"seed": 0}) == first
    second = shared_run("a", {"seed": 1})
    checkpoint(first.folder)
    assert len({first, second, shared_run("a", {"seed": 0})}) == 3


def test_a_checkpoint_is_named_by_path_folder_word_or_config():
    best = checkpoint("runs/a/version_0", "best")
    last = checkpoint("runs/a/version_0")
    new = checkpoint("runs/a/version_1")
    Path("runs/a/version_2").mkdir()
    assert checkpoint_of("a") == new
    assert checkpoint_of("a", "best") == best
    assert checkpoint_of("runs/a/version_0") == best
    assert checkpoint_of("runs/a/version_0", "last") == last
    assert checkpoint_of(str(new)) == new
    with pytest.raises(InputError, match=r"no checkpoint of 'b\+c' in"):
        checkpoint_of("b+c")


def test_a_run_is_found_from_its_checkpoint():
    path = checkpoint("runs/a/version_0")
    assert run_of(path) == Run(Path("runs/a/version_0"))
    assert run_of(path.absolute()) == Run(Path("runs/a/version_0"))
    assert run_of(Path("x/y/z.ckpt")) is None


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
        (b"trainer: {max_epochs: 3}\ntrainer: {}", "'trainer' stands twice"),
        (b"a: [{b: 1, b: 2}]", "'b' stands twice"),
        (b"trainer: {max_epochs: 3", "cannot be read as a config: while parsing"),
        ("# café".encode("latin-1"), r"x\.yaml is not in UTF-8: .* Save it in UTF-8"),
        (b"trainer:\n\tmax_epochs: 3", "line 2 has a tab; indent by blanks"),
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
    [("trainer:\n  # max_epochs: 3", "trainer"), ("model: {init_args: }", "model.init_args")],
)
def test_a_word_whose_keys_are_comments_is_refused(content, key):
    Path("x.yaml").write_text(content, "utf-8")
    with pytest.raises(InputError, match=f"^{key} has no keys"):
        dict(flatten(read_config(Path("x.yaml"))))


def test_a_byte_order_mark_is_no_content():
    Path("x.yaml").write_bytes("a: 1".encode("utf-8-sig"))
    assert read_config(Path("x.yaml")) == {"a": 1}
