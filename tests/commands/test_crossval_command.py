"""``dlp crossval`` in process, on a small table of one's own."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from image_files import write_classes

from dlp.cli import main
from dlp.commands.crossval import CrossvalOptions, crossval
from dlp.commands.jobs import run_jobs
from dlp.errors import InputError
from dlp.recipe import Recipe

pytestmark = pytest.mark.usefixtures("undrawn_figures")

RECIPE = """
# A number from two others, of several shops
data:
  class_path: TableDataModule
  init_args: {path: sales.csv, target: sales, test_size: 0.2, batch_size: 8}
model:
  class_path: DenseModule
  init_args: {head: regression, hidden: [8], optimizer: {init_args: {lr: 0.02}}}
trainer: {max_epochs: 3, accelerator: cpu}
"""


@pytest.fixture(autouse=True)
def sales(tmp_path, monkeypatch):
    """Work in a folder with a table and a recipe for it."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(100, 2)), columns=["area", "people"])
    table["sales"] = 3 * table.area + table.people + rng.normal(size=100)
    table["shop"] = rng.integers(0, 8, size=100)
    table.to_csv(tmp_path / "sales.csv", index=False)
    (tmp_path / "sales.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return tmp_path


@pytest.fixture
def run(sales):
    return sales / "runs/sales/version_0"


def fails(capsys, *args):
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(["crossval", *args])
    assert exit_.value.code == 2
    *bars, message = re.split("[\r\n]+", capsys.readouterr().err.strip())
    assert all("it/s]" in bar or "epoch/s]" in bar for bar in bars)
    assert message.startswith("dlp: ")
    return message


def written(run):
    return json.loads((run / "crossval.json").read_text())


def test_folds_and_their_files(run, capsys):
    main(["crossval", "--config", "sales.yaml", "--num_folds", "3", "--repeats", "2"])
    said = capsys.readouterr().out
    assert "engine: stacked (6 folds at once)" in said
    assert "standard error" in said
    assert "baseline: median" in said
    assert {path.name for path in run.iterdir()} == {
        *("config.yaml", "crossval.yaml", "crossval.json", "folds.csv", "curves.png"),
        *("repeat_0", "repeat_1"),
    }
    read = written(run)
    assert [(fold["repeat"], fold["fold"]) for fold in read["folds"]] == [
        *((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
    ]
    mean = np.mean([fold["metrics"]["val_mae"] for fold in read["folds"]])
    assert read["mean"]["val_mae"] == pytest.approx(mean)
    assert 0 < read["mean"]["val_mae"] < read["baseline"]["median"]["mae"]
    with (run / "folds.csv").open() as file:
        assert sum(int(row["num_val"]) for row in csv.DictReader(file)) == 2 * 80


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_a_fold_is_what_fit_makes_of_its_config(sales, run, engine):
    main(["crossval", "--config", "sales.yaml", "--num_folds", "3", "--engine", engine])
    fold = run / "repeat_0/fold_2"
    recipe = yaml.safe_load((fold / "config.yaml").read_text())
    assert recipe["data"]["init_args"]["fold"] == 2
    main(["fit", "--config", str(fold / "config.yaml"), "--run_dir", "alone"])
    ours = json.loads((fold / "history.json").read_text())
    alone = json.loads((sales / "alone/history.json").read_text())
    assert ours.keys() == alone.keys()
    for name, values in ours.items():
        assert values == pytest.approx(alone[name], rel=1e-4)
    if engine == "serial":
        main(["test", "--ckpt_path", str(fold / "checkpoints/best.ckpt")])


def test_one_fold_at_a_time_as_a_job_array_does(run, capsys):
    share = ["--num_folds", "3", "--run_dir", str(run)]
    for fold in ("2", "0"):
        main(["crossval", "--config", "sales.yaml", *share, "--fold", fold])
    assert "2 of 3 folds are done" in capsys.readouterr().out
    assert not (run / "crossval.json").exists()
    main(["crossval", "--config", "sales.yaml", *share, "--fold", "1"])
    apart = written(run)
    main(["crossval", "--config", "sales.yaml", "--num_folds", "3", "--run_dir", "together"])
    whole = written(Path("together"))
    assert apart["mean"] == pytest.approx(whole["mean"], rel=1e-4)
    assert "is being trained" not in capsys.readouterr().out


def test_processes_share_the_folds(run, sales, loaded_jobs):
    options = ["--config", "sales.yaml", "--num_folds", "3", "--engine", "serial"]
    main(["crossval", *options, "--jobs", "2"])
    assert not list(run.glob("job_*"))
    shared = written(run)
    main(["crossval", *options, "--run_dir", "one"])
    assert shared == written(sales / "one")


def test_a_process_that_fails_says_why(tmp_path):
    commands = [["--version"], ["fitt"]]  # which load no torch
    with pytest.raises(InputError, match=r"1 of 2 processes failed \(.*\): unknown command 'fitt'"):
        run_jobs(commands, tmp_path, "folds", 2, lambda: 1)
    assert [path.name for path in tmp_path.glob("*.log")] == ["job_1.log"]


def test_the_newest_unfinished_run_of_an_equal_config_goes_on(sales, run, capsys):
    options = ["--config", "sales.yaml", "--num_folds", "3"]
    main(["crossval", *options, "--fold", "0"])
    main(["crossval", *options, "--model.dropout", "0.5", "--fold", "0"])
    main(["crossval", *options])
    assert f"going on with {run.relative_to(sales)}" in capsys.readouterr().out
    assert written(run)["mean"]
    assert not (run.parent / "version_1/crossval.json").exists()
    main(["crossval", *options])  # finished: another one
    assert written(run.parent / "version_2") == written(run)
    main(["crossval", *options, "--fold", "1", "--model.dropout", "0.5", "--new"])
    assert not (run.parent / "version_3/repeat_0/fold_0/results.json").exists()


def test_a_run_goes_on_whose_config_has_fewer_keys(run, capsys):
    """A later release has more of them; where they have their default, it is the same recipe."""
    options = ["--config", "sales.yaml", "--num_folds", "3"]
    main(["crossval", *options, "--fold", "0"])
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["monitor_mode"], config["data"]["init_args"]["stratify"]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    main(["crossval", *options, "--monitor_mode", "min", "--fold", "0"])
    assert (run.parent / "version_1").is_dir()
    main(["crossval", *options])
    assert "going on with runs/sales/version_0" in capsys.readouterr().out
    assert written(run)["mean"]


def test_refit_tests_once_and_is_the_model_of_this_run(run, capsys):
    options = ["--config", "sales.yaml", "--num_folds", "3"]
    main(["crossval", *options])
    main(["crossval", *options, "--refit"])
    said = capsys.readouterr().out
    assert "3 of 3 folds are done already" in said
    assert f"trained on everything for {written(run)['best_epoch']} epochs" in said
    test = json.loads((run / "results.json").read_text())["test"]
    assert written(run)["refit"]["test_mae"] == test["test_mae"]
    main(["test", "--config", "sales.yaml"])
    assert f"using {Path('runs/sales/version_0/checkpoints/last.ckpt')}" in capsys.readouterr().out
    again = json.loads((run / "results.json").read_text())["test"]
    assert again["test_mae"] == pytest.approx(test["test_mae"])


def test_groups_do_not_straddle(run):
    main(["crossval", "--config", "sales.yaml", "--num_folds", "4", "--data.group_column", "shop"])
    assert sum(fold["num_val"] for fold in written(run)["folds"]) > 60


def test_folds_of_another_splitter(run):
    path = "sklearn.model_selection.ShuffleSplit"
    splitter = json.dumps({"class_path": path, "init_args": {"n_splits": 5, "random_state": 0}})
    main(["crossval", "--config", "sales.yaml", "--splitter", splitter])
    assert [fold["fold"] for fold in written(run)["folds"]] == [0, 1, 2, 3, 4]
    assert {fold["num_val"] for fold in written(run)["folds"]} == {8}


def test_the_folds_of_the_book(sales):
    main(["crossval", "--config", "housing_kfold", "--trainer.max_epochs", "20"])
    read = written(sales / "runs/housing_kfold/version_0")
    assert [fold["num_train"] for fold in read["folds"]] == [303] * 4
    assert 2.0 < read["mean"]["val_mae"] < 3.2  # thousand dollars
    assert 6 < read["baseline"]["median"]["mae"] < 7


def test_leaky_scaling_is_another_run_and_warns(run, capsys):
    options = ["--config", "sales.yaml", "--num_folds", "3"]
    main(["crossval", *options])
    capsys.readouterr()
    main(["crossval", *options, "--leaky_scaling"])
    assert "leaky_scaling: " in capsys.readouterr().out
    leaky = written(run.parent / "version_1")["mean"]
    assert leaky != written(run)["mean"]
    assert leaky == pytest.approx(written(run)["mean"], rel=0.3)


def test_texts_and_images(sales, capsys):
    rows = [("good " * (n % 3 + 1) if n % 2 else "bad film", n % 2) for n in range(40)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv("texts.csv", index=False)
    (sales / "texts.yaml").write_text(
        "data: {class_path: TextDataModule, init_args: {path: texts.csv, batch_size: 8}}\n"
        "model: {class_path: DenseModule, init_args: {head: softmax, hidden: [4]}}\n"
        "trainer: {max_epochs: 2, accelerator: cpu}\n"
    )
    main(["crossval", "--config", "texts.yaml", "--num_folds", "2"])
    assert "engine: serial, since " in capsys.readouterr().out
    write_classes(sales / "pets", {"cat": 10, "dog": 10}, size=(64, 64))
    (sales / "pets.yaml").write_text(
        "data: {class_path: ImageFolderDataModule, init_args: {path: pets, image_size: 64}}\n"
        "model:\n"
        "  class_path: PretrainedModule\n"
        "  init_args: {head: softmax, backbone: squeezenet1_1, weights: null, hidden: [4]}\n"
        "trainer: {max_epochs: 2, accelerator: cpu, callbacks: [{class_path: CacheFeatures}]}\n"
    )
    main(["crossval", "--config", "pets.yaml", "--num_folds", "2", "--repeats", "2"])
    assert len(written(sales / "runs/pets/version_0")["folds"]) == 4


def test_without_checkpoints_there_are_none(run):
    options = ("--num_folds", "2", "--engine", "serial", "--trainer.enable_checkpointing", "false")
    main(["crossval", "--config", "sales.yaml", *options])
    assert (run / "crossval.json").is_file()
    assert not list(run.rglob("*.ckpt"))


def test_a_trial_run_writes_nothing(sales, capsys):
    before = sorted(sales.iterdir())
    main(["crossval", "--config", "sales.yaml", "--trainer.fast_dev_run", "true", "--jobs", "2"])
    assert sorted(sales.iterdir()) == before


def test_python_gets_the_result(sales):
    folds = []
    options = CrossvalOptions(num_folds=3)
    result = crossval(Recipe.read("sales.yaml"), options, on_fold=folds.append)
    assert folds == list(result.folds)
    assert len(folds) == 3
    assert result.best_value() <= result.mean["val_loss"]


def test_weights_of_a_config_are_refused_and_can_be_taken_back(sales, capsys):
    (sales / "start.yaml").write_text("init_from: sales")
    given = ["--config", "sales.yaml", "--config", "start.yaml"]
    assert "have seen the rows" in fails(capsys, *given)
    main(["crossval", *given, "--init_from", "null", "--num_folds", "2"])
    assert (sales / "runs/sales+start/version_0/crossval.json").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ckpt_path", "last"], "crossval trains anew"),
        (["--init_from", "sales"], "--init_from is for dlp fit and dlp tune"),
        (["--num_folds", "1"], "num_folds must be at least 2"),
        (["--num_folds", "3", "--fold", "3"], "fold must be 0 to 2, got 3"),
        (["--jobs", "0"], "jobs must be 1 or more, got 0"),
        (["--num_fold", "3"], "Did you mean --num_folds"),
        (["--engine", "stackd"], "Did you mean 'stacked'"),
        (["--monitor", "val_mea"], "Did you mean 'val_mae'"),
        (["--splitter", "sklearn.model_selection.KFald"], "Did you mean 'KFold'"),
        (["--trainer.max_epochs", "null"], "crossval needs --trainer.max_epochs"),
    ],
)
def test_refused(options, message, sales, capsys):
    assert message in fails(capsys, "--config", "sales.yaml", *options)
    assert not list(sales.glob("runs/*/*"))


def test_the_folder_of_another_run_is_refused(sales, capsys):
    main(["fit", "--config", "sales.yaml", "--run_dir", "mine"])
    before = {path: path.read_bytes() for path in Path("mine").iterdir() if path.is_file()}
    assert "holds another run" in fails(capsys, "--config", "sales.yaml", "--run_dir", "mine")
    main(["crossval", "--config", "sales.yaml", "--run_dir", "folds", "--fold", "0"])
    options = ["--config", "sales.yaml", "--run_dir", "folds", "--model.dropout", "0.1"]
    assert "holds another run" in fails(capsys, *options)
    assert before == {path: path.read_bytes() for path in Path("mine").iterdir() if path.is_file()}


def test_a_mistake_beside_a_living_process_takes_nothing_from_it(sales, capsys):
    options = ["--config", "sales.yaml", "--num_folds", "4", "--run_dir", "mine"]
    main(["crossval", *options, "--fold", "0"])
    for path in (sales / "mine").rglob("results.json"):  # as while its first stack is trained
        path.unlink()
    for path in (sales / "mine").rglob("history.json"):
        path.unlink()
    assert "fold must be 0 to 3, got 4" in fails(capsys, *options, "--fold", "4")
    assert (sales / "mine/config.yaml").is_file()
    assert "--new needs another" in fails(capsys, *options, "--new")


def test_help_is_that_of_crossval(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["crossval", "--help"])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert re.search(r"usage: dlp crossval", said)
    assert "--num_folds" in said
