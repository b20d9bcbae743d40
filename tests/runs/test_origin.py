"""A run belongs to a config by what this says, and by where it lies; not by its file's name."""

import shutil
from pathlib import Path

import pytest

from dlp.errors import InputError
from dlp.runs.folders import Run
from dlp.runs.origin import edits, is_of, newest_run_of, origin_line, read_origin

CONFIG = "data: {class_path: TableDataModule, init_args: {path: a.csv, target: side}}\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder with two configs of one name."""
    monkeypatch.chdir(tmp_path)
    for folder, rows in (("a", "a.csv"), ("b", "b.csv")):
        Path(folder).mkdir()
        Path(folder, "exp.yaml").write_text(CONFIG.replace("a.csv", rows))


def run_of(*configs, number=0, line=None):
    """Make a run of configs, with a checkpoint."""
    run = Run(Path(f"runs/exp/version_{number}"))
    checkpoint = run.folder / "checkpoints/best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    known = Path(configs[0]).read_text()
    run.config.write_text((origin_line(configs) if line is None else line) + known)
    return run


def test_two_configs_of_one_file_name_have_their_own_runs():
    of_a, of_b = run_of("a/exp.yaml"), run_of("b/exp.yaml", number=1)
    assert newest_run_of("exp", ["a/exp.yaml"]) == of_a
    assert newest_run_of("exp", ["b/exp.yaml"]) == of_b
    assert newest_run_of("exp", ["a/exp.yaml"], "last") is None


def test_a_config_that_was_edited_keeps_its_runs_and_one_that_was_moved_too():
    run = run_of("a/exp.yaml")
    Path("a/exp.yaml").write_text(CONFIG.replace("a.csv", "c.csv") + "trainer: {max_epochs: 3}\n")
    assert is_of(run, ["a/exp.yaml"])
    assert edits(run, ["a/exp.yaml"]) == {
        "data.path": ("c.csv", "a.csv"),
        "trainer.max_epochs": (3, None),
    }
    Path("moved").mkdir()
    Path("moved/exp.yaml").write_text(CONFIG)
    assert is_of(run, ["moved/exp.yaml"])
    assert not is_of(run, ["moved/exp.yaml", "dropout"])


def test_numbers_as_texts_and_keys_in_another_order_are_no_edits():
    written = CONFIG + "model: {init_args: {l2: 0.001}}\ntrainer: {callbacks: [{a: 1, b: 2}]}\n"
    Path("a/exp.yaml").write_text(written)
    run = run_of("a/exp.yaml")
    other = written.replace("0.001", "1e-3").replace("a: 1, b: 2", "b: 2, a: 1")
    Path("a/exp.yaml").write_text(other)
    assert edits(run, ["a/exp.yaml"]) == {}


def test_the_config_of_a_run_stands_for_what_that_run_is_of():
    run = run_of("a/exp.yaml")
    again = run_of(str(run.config), number=1)
    assert list(read_origin(again.config)) == ["a/exp.yaml"]
    assert is_of(again, ["a/exp.yaml"])
    assert is_of(run, [str(again.config)])


def test_a_recipe_is_known_by_its_name():
    run = run_of("a/exp.yaml", line=origin_line(["quickstart", "dropout"]))
    assert list(read_origin(run.config)) == ["quickstart", "dropout"]
    assert is_of(run, ["quickstart", "dropout"])
    assert not is_of(run, ["quickstart"])


def test_a_run_of_an_earlier_release_is_told_by_its_data_and_classes():
    run = run_of("a/exp.yaml", line="")
    assert read_origin(run.config) is None
    assert is_of(run, ["a/exp.yaml"])
    Path("b/exp.yaml").write_text(CONFIG.replace("TableDataModule", "TextDataModule"))
    assert not is_of(run, ["b/exp.yaml"])
    assert edits(run, ["a/exp.yaml"]) is None
    assert origin_line([str(run.config)]) == ""
    other = CONFIG.replace("a.csv", "a.csv, batch_size: 4, scaling: minmax")
    run.config.write_text(CONFIG.replace("a.csv", "a.csv, batch_size: 8, scaling: standard"))
    Path("b/exp.yaml").write_text(other)  # the same classes
    assert not is_of(run, ["b/exp.yaml"])
    Path("b/exp.yaml").write_text(other.replace("minmax", "standard"))
    assert is_of(run, ["b/exp.yaml"])  # the size of a batch may be another one
    full = CONFIG.replace("TableDataModule", "dlp.datamodules.TableDataModule")
    run.config.write_text(full.replace("a.csv", "a.csv, batch_size: 8"))
    assert is_of(run, ["a/exp.yaml"])


def test_a_config_that_is_gone_is_said():
    run = run_of("a/exp.yaml")
    shutil.rmtree("a")
    with pytest.raises(InputError, match=r"there is no config file a/exp\.yaml"):
        is_of(run, ["a/exp.yaml"])
