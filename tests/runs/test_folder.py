import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlp.configs import find_config, read_config, run_name
from dlp.errors import InputError
from dlp.runs.folder import Run, origin_of
from dlp.runs.places import numbered


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
    assert [folder.name for folder in numbered("a")][:2] == ["version_10", "version_9"]
    assert numbered("a.yaml") == numbered("a") == numbered("./runs/a")
    shutil.rmtree("runs/a/version_10")
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
    visible = sorted(path.name for path in run.folder.glob("[!.]*"))
    assert visible == ["checkpoints", "results.json"]


def test_a_run_dir_must_be_empty():
    run = Run.new("a", folder="deep/here")
    (run.folder / "metrics.csv").touch()
    with pytest.raises(
        InputError, match="contains files, and dlp never overwrites a run"
    ):
        Run.new("a", folder="deep/here")


def test_the_advice_about_a_folder_with_files_fits_to_what_it_holds():
    run = Run.new("a", folder="fit")
    run.write_record("fit", [])
    checkpoint(run.folder)
    with pytest.raises(InputError, match="continue its fit with dlp fit --ckpt_path"):
        Run.new("a", folder="fit")
    Run.shared("a", "folds", "crossval", ["a.yaml"], {"seed": 1})
    with pytest.raises(
        InputError, match=r"never overwrites a run\. Give a new folder\.$"
    ):
        Run.shared("a", "folds", "crossval", ["a.yaml"], {"seed": 2})
    checkpoint("old", "fold_0_0")
    with pytest.raises(InputError, match=r"old was written by dlp 1\.2\.0 or earlier"):
        Run.shared("a", "old", "crossval", ["a.yaml"], {"seed": 1})


def test_folds_in_a_folder_leave_nothing_next_to_it():
    Run.shared("a", "folds", "crossval", ["a.yaml"], {"seed": 1})
    assert list(Path().iterdir()) == [Path("folds")]


def test_a_folder_of_something_else_stays_as_it_is():
    Path("notes").mkdir()
    Path("notes/a.txt").touch()
    with pytest.raises(InputError, match="run_dir notes contains files"):
        Run.shared("a", "notes", "crossval", ["a.yaml"], {"seed": 1})
    assert list(Path("notes").iterdir()) == [Path("notes/a.txt")]


@pytest.mark.parametrize("name", [".run.json.1f", "checkpoints/.last.ckpt.1f"])
def test_a_folder_with_what_a_killed_process_left_counts_as_empty(name):
    Path("folds/checkpoints").mkdir(parents=True)
    Path("folds", name).touch()
    run = Run.shared("a", "folds", "crossval", ["a.yaml"], {"seed": 1})
    assert read_config(run.config) == {"seed": 1}


def test_folds_go_on_after_a_kill_between_record_and_config():
    run = Run.shared("a", "folds", "crossval", ["a.yaml"], {"seed": 1})
    run.config.unlink()
    assert Run.shared("a", "folds", "crossval", ["a.yaml"], {"seed": 1}) == run
    assert read_config(run.config) == {"seed": 1}


def test_of_two_fits_one_gets_a_folder():
    run = Run.new("a", folder="deep/here")
    with pytest.raises(InputError, match="in use by another fit"):
        Run.new("a", folder="deep/here")
    run.remove_if_empty()
    assert not run.folder.exists()


def test_an_empty_run_is_removed_and_no_other():
    runs = [Run.new("a"), Run.new("a")]
    checkpoint(runs[1].folder)
    for run in runs:
        run.write_record("fit", [])
        run.lock.touch()
        run.remove_if_empty()
    assert [run.folder.is_dir() for run in runs] == [False, True]


def test_folds_go_on_neither_in_a_fit_nor_with_another_config():
    fit = run_from(config("a.yaml")).parents[1]
    first = Run.shared("a", None, "crossval", ["a.yaml"], read_config(Path("a.yaml")))
    shutil.copy(first.config, fit / "config.yaml")

    def validated(origin, config):
        return Run.shared("a", None, "crossval", [origin], config)

    assert validated("a.yaml", read_config(Path("a.yaml"))) == first
    second = validated("a.yaml", {"seed": 1})
    third = validated("other/a.yaml", {"seed": 1})
    assert len({Run(fit), first, second, third}) == 4


def test_a_checkpoint_is_named_by_path_folder_word_or_config():
    best = checkpoint("runs/a/version_0", "best")
    last = checkpoint("runs/a/version_0")
    new = checkpoint("runs/a/version_1")
    Path("runs/a/version_2").mkdir()
    assert Run.find("a").model() == new
    assert Run.find("a", "best").model() == best
    assert Run.find("runs/a/version_0").model() == best
    assert Run.find("runs/a/version_0", "last").model() == last
    assert Run.find(str(new)).model() == new
    with pytest.raises(InputError, match=r"no checkpoint for 'b\+c' in"):
        Run.find("b+c")


def test_the_newest_run_is_also_one_of_folds():
    fit = checkpoint("runs/a/version_0")
    folds = [checkpoint("runs/a/version_1", f"fold_0_{number}") for number in range(2)]
    Path("runs/a/version_2").mkdir()  # nothing is kept
    assert Run.find("a").models() == folds
    assert Run.find("runs/a/version_0").models() == [fit]
    message = r"runs/a/version_1: .* Give a run of dlp fit, such as runs/a/version_0, or .*fold_0_0"
    with pytest.raises(InputError, match=message):
        Run.find("a").model()
    assert Run.find("a", "last").model() == fit


def test_a_run_without_a_checkpoint_has_no_model():
    with pytest.raises(InputError, match="found no checkpoint for 'runs/a/version_0'"):
        Run(Path("runs/a/version_0")).model()


def test_one_kept_fold_is_no_model_of_all_rows():
    fold = checkpoint("runs/a/version_0", "fold_0_0")
    assert Run.find("a").models() == [fold]
    with pytest.raises(
        InputError, match="Train one with dlp fit, or give the checkpoint of one"
    ):
        Run.find("a").model()
    assert Run.find(str(fold)).model() == fold


def test_a_config_names_its_own_runs_and_a_name_the_newest():
    here = run_from(config("a/exp.yaml"))
    there = run_from(config("b/exp.yaml"))
    assert Run.find("a/exp.yaml").model() == here
    assert Run.find(Path("a/exp.yaml").absolute()).model() == here
    assert Run.find("exp").model() == Run.find("runs/exp").model() == there
    config("c/exp.yaml")
    message = "c/exp.yaml has no run in ./runs: runs/exp/version_1 comes from b/exp.yaml. Train"
    with pytest.raises(InputError, match=message):
        Run.find("c/exp.yaml").model()


def test_a_recipe_of_the_project_is_not_an_own_config_of_that_name():
    own = run_from(config("imdb.yaml"))
    assert Run.find("imdb.yaml").model() == own
    message = "the project's imdb has no run in ./runs: runs/imdb/version_0 comes from imdb.yaml"
    with pytest.raises(InputError, match=message):
        Run.find("imdb", origin=origin_of([find_config("imdb")]))


def test_a_run_without_a_record_belongs_to_any_config_of_its_name():
    old = checkpoint("runs/exp/version_0")
    run_from(config("b/exp.yaml"))
    config("a/exp.yaml")
    assert Run.find("a/exp.yaml").model() == old


def test_the_config_of_a_run_stands_for_the_configs_of_the_run():
    run = Run.find(run_from(config("a/exp.yaml")))
    assert origin_of([run.config, find_config("retrain")]) == [
        "a/exp.yaml",
        "dlp:variations/retrain",
    ]


def test_a_project_whose_folder_moves_keeps_its_runs(monkeypatch):
    project = Path("project").absolute()
    project.mkdir()
    monkeypatch.chdir(project)
    run_from(config("a/exp.yaml"))
    moved = project.rename(project.with_name("moved"))
    monkeypatch.chdir(moved)
    assert Run.find("a/exp.yaml").model() == Path(
        "runs/exp/version_0/checkpoints/last.ckpt"
    )


def test_a_run_is_found_by_a_file_of_it_or_below_a_folder():
    metrics = Path("runs/a/version_0/metrics.csv")
    checkpoint("runs/a/version_1")
    metrics.parent.mkdir()
    metrics.touch()
    for word in ("a", "runs/a", "runs/a/version_0", "runs"):
        assert Run.find(word, "metrics") == Run(metrics.parent)
    with pytest.raises(
        InputError, match=r"found no run 'a' with folds\.jsonl, which dlp"
    ):
        Run.find("a", "folds")


def test_a_run_is_found_from_its_checkpoint():
    path = run_from(config("a.yaml"))
    assert Run.find(path) == Run.find(path.absolute()) == Run(Path("runs/a/version_0"))


@pytest.mark.parametrize("file", ["x/y/z.ckpt", "z.ckpt"])
def test_a_checkpoint_outside_of_a_run_has_the_run_of_its_folder(file):
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    run = Run.find(file)
    assert not run.is_recorded
    assert (run.folder, run.models()) == (path.parent, [path])


def test_a_file_is_no_run_with_a_history():
    Path("x.csv").touch()
    with pytest.raises(InputError, match=r"found no run 'x\.csv' with metrics\.csv"):
        Run.find("x.csv", "metrics")


def test_a_damaged_record_is_a_sentence():
    run = Run.find(run_from(config("exp.yaml")))
    for content in ("[1]", json.dumps({}), "{"):
        run.record.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"version_0/run\.json cannot be read"):
            Run.find("exp.yaml").model()


def test_an_empty_word_is_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/best.ckpt").touch()
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="found no checkpoint for ''"):
        Run.find("")


def test_a_run_of_an_old_version_is_named_as_such(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {}", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"was written by dlp 1\.2\.0 or earlier\. Use that version"
    ):
        Run.find(tmp_path)
