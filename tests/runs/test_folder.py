import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlp.configs import find_config, flatten, read_config, run_name
from dlp.errors import InputError
from dlp.runs.folder import Run, checkpoint_of, checkpoints_of, origin_of


def checkpoint(folder, name="last"):
    path = Path(folder) / "checkpoints" / f"{name}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    (Path(folder) / "config.yaml").touch()
    return path


def config(path):
    """Write a config; return its path."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("trainer: {max_epochs: 1}", encoding="utf-8")
    return Path(path)


def run_from(*configs):
    """Make a run of some configs with a checkpoint; return the checkpoint."""
    run = Run.new(run_name(configs))
    run.write_record("fit", origin_of(configs))
    return checkpoint(run.folder)


def test_runs_are_numbered_and_the_newest_comes_first():
    assert [Run.new("a").folder.name for _ in range(11)][-1] == "version_10"
    Path("runs/a/version_x").mkdir()
    assert [run.folder.name for run in Run.named("a")][:2] == [
        "version_10",
        "version_9",
    ]
    assert Run.named("a.yaml") == Run.named("a") == Run.named("./runs/a")
    Path("runs/a/version_10").rmdir()
    assert Run.new("a").folder.name == "version_10"


def test_each_of_many_that_start_at_once_has_its_own_folder():
    with ThreadPoolExecutor(8) as threads:
        assert len({*threads.map(Run.new, ["a"] * 16)}) == 16


def test_results_that_are_added_at_once_are_all_kept():
    run = Run.new("a")
    names = [f"result {number}" for number in range(40)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: run.add_results(**{name: 1}), names))
    assert sorted(run.results()) == sorted(names)
    visible = [path.name for path in run.folder.glob("[!.]*")]
    assert visible == ["results.json"]


def test_a_checkpoint_at_the_root_of_a_disk_belongs_to_no_run():
    assert Run.of(Path("/model.ckpt")) is None


def test_a_run_dir_must_be_empty():
    assert Run.new("a", folder="deep/here").folder.is_dir()
    Path("deep/here/metrics.csv").touch()
    with pytest.raises(InputError, match="holds files, and a run is never overwritten"):
        Run.new("a", folder="deep/here")


def test_of_two_fits_one_gets_a_folder():
    run = Run.new("a", folder="deep/here")
    same = Run.new("a", folder="deep/here")
    run.claim()
    with pytest.raises(InputError, match="taken by another fit"):
        same.claim()
    run.remove_if_empty()
    assert not run.folder.exists()


def test_an_empty_run_is_removed_and_no_other():
    runs = [Run.new("a"), Run.new("a")]
    checkpoint(runs[1].folder)
    for run in runs:
        run.write_record("fit", [])
        run.remove_if_empty()
    assert [run.folder.is_dir() for run in runs] == [False, True]


def test_folds_go_on_neither_in_a_fit_nor_with_another_config():
    first = Run.shared("a", {"seed": 0}, ["a.yaml"])
    assert Run.shared("a", {"seed": 0}, ["a.yaml"]) == first
    second = Run.shared("a", {"seed": 1}, ["a.yaml"])
    third = Run.shared("a", {"seed": 0}, ["other/a.yaml"])
    checkpoint(first.folder)
    fourth = Run.shared("a", {"seed": 0}, ["a.yaml"])
    assert len({first, second, third, fourth}) == 4


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


def test_the_newest_run_is_also_one_of_folds():
    fit = checkpoint("runs/a/version_0")
    folds = [checkpoint("runs/a/version_1", f"fold_0_{number}") for number in range(2)]
    Path("runs/a/version_2").mkdir()  # nothing is kept
    assert checkpoints_of("a") == folds
    assert checkpoints_of("runs/a/version_0") == [fit]
    message = r"runs/a/version_1: .* Give a run of dlp fit, such as runs/a/version_0, or .*fold_0_0"
    with pytest.raises(InputError, match=message):
        checkpoint_of("a")
    assert checkpoint_of("a", "last") == fit


def test_one_kept_fold_is_no_model_of_all_rows():
    fold = checkpoint("runs/a/version_0", "fold_0_0")
    assert checkpoints_of("a") == [fold]
    with pytest.raises(
        InputError, match="Train one by dlp fit, or give the checkpoint of one"
    ):
        checkpoint_of("a")
    assert checkpoint_of(str(fold)) == fold


def test_a_config_names_its_own_runs_and_a_name_the_newest():
    here = run_from(config("a/exp.yaml"))
    there = run_from(config("b/exp.yaml"))
    assert checkpoint_of("a/exp.yaml") == here
    assert checkpoint_of(str(Path("a/exp.yaml").absolute())) == here
    assert checkpoint_of("exp") == checkpoint_of("runs/exp") == there
    config("c/exp.yaml")
    message = "c/exp.yaml has no run in ./runs: runs/exp/version_1 comes from b/exp.yaml. Train"
    with pytest.raises(InputError, match=message):
        checkpoint_of("c/exp.yaml")


def test_a_recipe_of_the_project_is_not_an_own_config_of_that_name():
    own = run_from(config("imdb.yaml"))
    assert checkpoint_of("imdb.yaml") == own
    message = "the project's imdb has no run in ./runs: runs/imdb/version_0 comes from imdb.yaml"
    with pytest.raises(InputError, match=message):
        Run.from_configs("imdb", origin_of([find_config("imdb")]))


def test_a_run_of_version_1_2_belongs_to_any_config_of_its_name():
    old = checkpoint("runs/exp/version_0")
    run_from(config("b/exp.yaml"))
    config("a/exp.yaml")
    assert checkpoint_of("a/exp.yaml") == old


def test_the_config_of_a_run_stands_for_the_configs_of_the_run():
    run = Run.of(run_from(config("a/exp.yaml")))
    assert origin_of([run.config, find_config("retrain")]) == [
        "a/exp.yaml",
        "dlp:variations/retrain",
    ]
    run.record.unlink()
    assert origin_of([run.config]) is None


def test_a_project_whose_folder_moves_keeps_its_runs(monkeypatch):
    project = Path("project").absolute()
    project.mkdir()
    monkeypatch.chdir(project)
    run_from(config("a/exp.yaml"))
    moved = project.rename(project.with_name("moved"))
    monkeypatch.chdir(moved)
    assert checkpoint_of("a/exp.yaml") == Path(
        "runs/exp/version_0/checkpoints/last.ckpt"
    )


def test_a_run_is_found_by_a_file_of_it_or_below_a_folder():
    metrics = Path("runs/a/version_0/metrics.csv")
    checkpoint("runs/a/version_1")
    metrics.parent.mkdir()
    metrics.touch()
    for word in ("a", "runs/a", "runs/a/version_0", "runs"):
        assert Run.find(word, "metrics.csv") == Run(metrics.parent)
    with pytest.raises(
        InputError, match=r"found no run 'a' with folds\.jsonl, which dlp"
    ):
        Run.find("a", "folds.jsonl", command="crossval")


def test_a_run_is_found_from_its_checkpoint():
    path = checkpoint("runs/a/version_0")
    assert Run.of(path) == Run(Path("runs/a/version_0"))
    assert Run.of(path.absolute()) == Run(Path("runs/a/version_0"))
    assert Run.of(Path("x/y/z.ckpt")) is None


def test_a_damaged_record_is_a_sentence():
    path = run_from(config("exp.yaml"))
    run = Run.of(path)
    for content in ("[1]", json.dumps({}), "{"):
        run.record.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"version_0/run\.json cannot be read"):
            checkpoint_of("exp.yaml")


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
    [
        ("trainer:\n  # max_epochs: 3", "trainer"),
        ("model: {init_args: }", "model.init_args"),
    ],
)
def test_a_word_whose_keys_are_comments_is_refused(content, key):
    Path("x.yaml").write_text(content, "utf-8")
    with pytest.raises(InputError, match=f"^{key} has no keys"):
        dict(flatten(read_config(Path("x.yaml"))))


def test_a_byte_order_mark_is_no_content():
    Path("x.yaml").write_bytes("a: 1".encode("utf-8-sig"))
    assert read_config(Path("x.yaml")) == {"a": 1}
