"""The command line, in process, on a small table of one's own."""

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from command_line import RECIPE, fails, metrics_of, rows_of, weights
from lightning.pytorch.utilities import rank_zero_only
from loaded_processes import begin, ended

from dlp.callbacks import History
from dlp.cli import main

pytestmark = pytest.mark.usefixtures("undrawn_figures")


def test_fit_writes_the_files_of_a_run(points, capsys):
    main(["fit", "--config", "points.yaml"])
    run = points / "runs/points/version_0"
    assert {path.name for path in run.iterdir()} == {
        "config.yaml",
        "metrics.csv",
        "history.json",
        "results.json",
        "curves.png",
        "checkpoints",
    }
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    history = json.loads((run / "history.json").read_text())
    assert set(history) == {"train_loss", "train_acc", "val_loss", "val_acc"}
    assert all(len(values) == 3 for values in history.values())
    rows = metrics_of(run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]
    results = json.loads((run / "results.json").read_text())
    best = int(np.argmin(history["val_loss"]))
    assert results["best_epoch"] == best + 1
    assert results["best"]["val_acc"] == history["val_acc"][best]
    assert results["last"]["train_loss"] == history["train_loss"][-1]
    assert results["seed"] == 0
    assert results["seconds"]["fit"] > 0
    assert results["seconds"]["prepare"] > 0
    assert torch.__version__ == results["versions"]["torch"]
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "val_loss was best at" in capsys.readouterr().out


def test_runs_are_never_overwritten(fitted):
    first = {p: p.read_bytes() for p in (fitted / "runs").rglob("*") if p.is_file()}
    main(["fit", "--config", "points.yaml", "--seed_everything", "1"])
    assert all(path.read_bytes() == content for path, content in first.items())
    assert metrics_of(fitted / "runs/points/version_1") != metrics_of(
        fitted / "runs/points/version_0"
    )


def test_same_seed_same_numbers(fitted):
    main(["fit", "--config", "points.yaml"])
    runs = fitted / "runs/points"
    assert metrics_of(runs / "version_0") == metrics_of(runs / "version_1")


def test_test_and_predict_take_the_newest_best_checkpoint(fitted, capsys):
    main(["fit", "--config", "points.yaml", "--trainer.max_epochs", "12"])
    newest = fitted / "runs/points/version_1"
    config = (newest / "config.yaml").read_bytes()
    capsys.readouterr()
    main(["test", "--config", "points.yaml"])
    assert "using runs/points/version_1/checkpoints/best.ckpt" in capsys.readouterr().out
    results = json.loads((newest / "results.json").read_text())
    assert results["test"]["checkpoint"] == "checkpoints/best.ckpt"
    assert results["test"]["test_acc"] > 0.9
    assert "test" not in json.loads((fitted / "runs/points/version_0/results.json").read_text())
    main(["predict", "--config", "points.yaml"])
    rows = rows_of(newest / "predictions.csv")
    assert list(rows[0]) == ["index", "true", "class", "prob_left", "prob_right"]
    sides = pd.read_csv("points.csv").side
    assert len(rows) == 24
    for row in rows:
        assert row["true"] == sides[int(row["index"])]
        left, right = float(row["prob_left"]), float(row["prob_right"])
        assert left + right == pytest.approx(1, abs=1e-5)
        assert row["class"] == ("right" if right > left else "left")
    main(["validate", "--config", "points.yaml"])
    assert (newest / "config.yaml").read_bytes() == config


def test_checkpoint_path_brings_its_own_config(points):
    one = ["--trainer.max_epochs", "1"]
    main(["fit", "--config", "points.yaml", "--model.hidden", "[5, 5]", *one])
    checkpoint = "runs/points/version_0/checkpoints/last.ckpt"
    main(["test", "--ckpt_path", checkpoint])
    main(["test", "--config", "points.yaml", "--ckpt_path", checkpoint])
    main(["test", "--config", "points.yaml"])
    results = json.loads((points / "runs/points/version_0/results.json").read_text())
    assert results["test"]["checkpoint"] == "checkpoints/best.ckpt"
    assert not (points / "runs/points/version_1").exists()


def test_new_input_is_predicted_without_the_training_data(points):
    main(["fit", "--config", "points.yaml", "--trainer.max_epochs", "12"])
    pd.DataFrame({"north": [3.0, -3.0], "east": [3.0, -3.0]}).to_csv("new.csv", index=False)
    (points / "points.csv").unlink()
    main(["predict", "--config", "points.yaml", "--data.predict_path", "new.csv"])
    rows = rows_of(points / "runs/points/version_0/predictions_new.csv")
    assert [row["class"] for row in rows] == ["right", "left"]
    main(
        [
            "predict",
            "--config",
            "points.yaml",
            "--data.predict_path",
            "new.csv",
            "--output",
            "out/here.csv",
        ]
    )
    assert rows_of(Path("out/here.csv")) == rows


def test_never_random_weights(points, capsys):
    for command in ("test", "predict", "validate"):
        assert "no run of 'points'" in fails(capsys, command, "--config", "points.yaml")
    assert "nothing" not in fails(capsys, "test")
    assert "no run of 'points'" in fails(
        capsys, "fit", "--config", "points.yaml", "--ckpt_path", "last"
    )
    assert "there is no checkpoint nowhere.ckpt" in fails(
        capsys, "test", "--config", "points.yaml", "--ckpt_path", "nowhere.ckpt"
    )
    Path("broken.ckpt").write_bytes(b"no checkpoint at all")
    assert "broken.ckpt cannot be read" in fails(
        capsys, "test", "--config", "points.yaml", "--ckpt_path", "broken.ckpt"
    )
    assert not (points / "runs").exists()


@pytest.mark.parametrize("value", ["false", "False", "0"])
@pytest.mark.parametrize("joined", [True, False])
def test_a_trial_that_is_none_has_no_random_weights(points, capsys, value, joined):
    option = "--trainer.fast_dev_run"
    words = [f"{option}={value}"] if joined else [option, value]
    for command in ("test", "predict"):
        assert "no run of" in fails(capsys, command, "--config", "points.yaml", *words)
    assert not (points / "runs").exists()


def test_a_trial_by_config_and_a_trial_of_a_resume(points, run_of_points, capsys):
    Path("dry.yaml").write_text("trainer: {fast_dev_run: true}")
    main(["test", "--config", "points.yaml", "--config", "dry.yaml"])
    assert "the weights are random" in capsys.readouterr().out
    shutil.copytree(run_of_points / "runs", points / "runs")
    main(
        ["fit", "--config", "points.yaml", "--ckpt_path", "last", "--trainer.fast_dev_run", "true"]
    )
    assert "nothing is resumed" in capsys.readouterr().out


def test_a_torch_file_is_no_checkpoint(points, capsys):
    for content in ({"state_dict": {}}, [1]):
        torch.save(content, "x.ckpt")
        message = fails(capsys, "test", "--config", "points.yaml", "--ckpt_path", "x.ckpt")
        assert "x.ckpt cannot be read as a checkpoint" in message


DATA = """
from dlp.datamodules import TableDataModule


class Other(TableDataModule):
    pass
"""


def test_checkpoint_of_other_data_is_not_fitted_anew(fitted, capsys, monkeypatch):
    Path("own_data_of_a_user.py").write_text(DATA)
    other = yaml.safe_load(RECIPE)["data"] | {"class_path": "own_data_of_a_user.Other"}
    Path("other.yaml").write_text(yaml.safe_dump({"data": other}))
    message = fails(
        capsys, "test", "--ckpt_path", "runs/points/version_0", "--config", "other.yaml"
    )
    sys.modules.pop("own_data_of_a_user")
    assert "was trained on TableDataModule, and the data here is Other" in message


def test_evaluation_alone_makes_no_run(fitted):
    (fitted / "runs/points/version_0/checkpoints/best.ckpt").rename("kept.ckpt")
    main(["test", "--config", "points.yaml", "--ckpt_path", "kept.ckpt"])
    main(["validate", "--config", "points.yaml", "--ckpt_path", "kept.ckpt"])
    main(["predict", "--config", "points.yaml", "--ckpt_path", "kept.ckpt", "--output", "here.csv"])
    assert [path.name for path in (fitted / "runs/points").iterdir()] == ["version_0"]
    assert len(rows_of(Path("here.csv"))) == 24


def test_a_fit_that_never_began_leaves_no_run(points, capsys):
    assert "head: regression takes float" in fails(
        capsys, "fit", "--config", "points.yaml", "--model.head", "regression"
    )
    assert not list((points / "runs/points").iterdir())


def test_no_test_part_is_said_before_training(points, capsys):
    message = fails(
        capsys,
        *("fit", "--config", "points.yaml", "--data.test_size", "null"),
        *("--test_after_fit", "best"),
    )
    assert "there is no test part. Give test_path or test_size" in message


def test_own_error_metrics_fall(points):
    main(
        [
            *("fit", "--config", "points.yaml", "--monitor", "val_mean_absolute_error"),
            *("--model.metrics", "[torchmetrics.MeanAbsoluteError]"),
        ]
    )
    run = points / "runs/points/version_0"
    values = json.loads((run / "history.json").read_text())["val_mean_absolute_error"]
    best = json.loads((run / "results.json").read_text())["best_epoch"]
    assert best == int(np.argmin(values)) + 1


def test_checkpoint_of_another_model(fitted, capsys):
    checkpoint = "runs/points/version_0/checkpoints/best.ckpt"
    message = fails(capsys, "test", "--ckpt_path", checkpoint, "--model.hidden", "[9]")
    assert "belongs to another model" in message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "--trainer.max_epoch 3",
            "unknown option --trainer.max_epoch. Did you mean --trainer.max_",
        ),
        ("--model.hiden [3]", "unknown option --model.hiden. Did you mean --model.hidden?"),
        ("--model.head sigmod", "model.head must be one of sigmoid, softmax"),
        ("--model DenseModul", "there is no class 'DenseModul'. Did you mean 'DenseModule'?"),
        ("--data TableDataModul", "there is no class 'TableDataModul'. Did you mean 'TableData"),
        ("--model.optimizer Adm", "there is no class 'Adm'. Did you mean 'Adam'?"),
        ("--model.optimizer.lrr 1", "Did you mean --model.optimizer.lr?"),
        ("--model.scheduler ReduceLROnPlateau", "several classes are called ReduceLROnPlateau"),
        ("--trainer.max_epochs ten", "trainer.max_epochs must be int; got 'ten'."),
        ("--data.batch_size 0", "batch_size must be at least 1, got 0"),
        ("--data.batch_size x", "data.batch_size must be int; got 'x'"),
        ("--data.val_size 2.5", "val_size must be a count of rows, a fraction between 0 and 1"),
        ("--data.val_size -3", "val_size must be"),
        ("--data.path pionts.csv", "pionts.csv"),
        ("--data.target sid", "Did you mean 'side'?"),
        ("--model.dropout 1.0", "dropout must be at least 0 and below 1, got 1.0"),
        ("--model.activation rellu", "Did you mean 'relu'?"),
        ("--model.loss bec", "unknown loss 'bec'. Did you mean 'bce'?"),
        ("--model.metrics [ac]", "unknown metric 'ac'. Did you mean 'acc'?"),
        ("--model.head regression", "head: regression takes float targets"),
        ("--model ConvNetModule", "Use DenseModule for tables and texts"),
        ("--threads 0", "threads must be 1 to"),
        ("--trainer.devices 0", "is not a valid input"),
        ("--trainer.accumulate_grad_batches 0", "accumulate_grad_batches must be above 0, got 0."),
        ("--trainer.check_val_every_n_epoch 0", "check_val_every_n_epoch must be above 0, got 0."),
        ("--trainer.val_check_interval 0.0", "val_check_interval must be above 0, got 0.0."),
        ("--trainer.val_check_interval 5000", "`val_check_interval` (5000) must be less than"),
        ("--model.optimizer SparseAdam", "SparseAdam does not support dense gradients"),
        ("--smoothing 1.5", "smoothing must be 0 to below 1"),
        ("--config smaler", "unknown config 'smaler'. Did you mean 'smaller'?"),
        ("--config nowhere.yaml", "there is no config file nowhere.yaml"),
        ("--config other/imdb.yaml", "The recipe of that name is --config imdb."),
    ],
)
def test_bad_input_gets_one_sentence(points, capsys, words, expected):
    message = fails(capsys, "fit", "--config", "points.yaml", *words.split(" ", 1))
    assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trainr: {max_epochs: 3}", "unknown key trainr"),
        ("trainer: {max_epoch: 3}", "Did you mean trainer.max_epochs?"),
        ("model: {init_args: {hiden: [3]}}", "Did you mean model.hidden?"),
        ("trainer: {max_epochs: 3", "overlay.yaml is no YAML"),
        (
            "trainer: {max_epochs: 3}\ntrainer: {min_epochs: 1}",
            "gives trainer twice (lines 1 and 2)",
        ),
        ("- imdb", "holds no keys"),
        ("# nothing yet\n", "overlay.yaml is empty"),
        ("model: {class_path: nowhere.Net}", "No module named 'nowhere'"),
        ("ckpt_path: last", "ckpt_path belongs on the command line"),
        ("data: {init_args: {positive_class: yes}}", "got True. YAML reads yes, no, on and off as"),
        ("data: {init_args: {class_names: [no, yes]}}", "put such a name in quotes, 'yes'."),
        ("model: {init_args: {class_weight: {yes: 3}}}", "put such a name in quotes, 'yes'."),
        ("model: {class_path: dlp.modules.DenseModul}", "Did you mean 'DenseModule'?"),
        ("trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitor: x}}]}", "`x`"),
        (
            "trainer: {callbacks: [{class_path: EarlyStopping, init_args: "
            "{monitor: val_loss, patience: -1}}]}",
            "patience must be 0 or more, got -1",
        ),
        (
            "model: {init_args: {scheduler: {class_path: StepLR, init_args: {step_size: 0}}}}",
            "StepLR cannot do with step_size 0,",
        ),
    ],
)
def test_bad_config_gets_one_sentence(points, capsys, text, expected):
    Path("overlay.yaml").write_text(text)
    message = fails(capsys, "fit", "--config", "points.yaml", "--config", "overlay.yaml")
    assert expected in message


def test_commands(capsys):
    assert "unknown command 'tset'. Did you mean 'test'?" in fails(capsys, "tset")
    assert "data is missing" in fails(capsys, "fit", "--model", "DenseModule")
    main([])
    assert "quickstart" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "then", "status", "taken_apart"),
    [
        ("/usr/bin/dlp", "", 0, False),
        ("/usr/bin/dlp", "raise cli.InputError('no such thing')", 2, True),
        ("mine.py", "", 3, True),  # a script that goes on after the command
    ],
)
def test_a_process_ends_once_all_that_waits_for_its_end_is_done(program, then, status, taken_apart):
    script = f"""
        import atexit, sys
        from dlp import cli
        from dlp.visualization import beside

        class Last:
            def __del__(self):
                print("taken apart")

        def run(*_):
            assert beside._allowed
            atexit.register(print, "called at the end")
            {then}

        cli.last, cli._run, cli.keep_freed_memory = Last(), run, int
        sys.argv = [{program!r}, "fit"]
        cli.main()
        if sys.argv[0] == "mine.py":
            sys.exit(3)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == status
    assert ran.stdout.splitlines() == ["called at the end", *["taken apart"] * taken_apart]


def test_the_process_that_draws_begins_where_there_will_be_curves(points, monkeypatch):
    begun = []
    for name in ("fit", "crossval"):
        monkeypatch.setattr(f"dlp.commands.{name}.begin", partial(begun.append, name))
    short = ["--config", "points.yaml", "--trainer.max_epochs", "1"]
    main(["fit", *short, "--trainer.fast_dev_run", "true"])
    main(["crossval", *short, "--num_folds", "2", "--fold", "0"])
    assert begun == []
    main(["fit", *short])
    main(["crossval", *short, "--num_folds", "2", "--run_dir", "folds"])
    assert begun == ["fit", "crossval"]


@pytest.mark.skipif(sys.platform != "linux", reason="torch has GNU's OpenMP on Linux alone")
@pytest.mark.parametrize(
    ("mean", "now", "given", "sleeps"),
    [
        (5.0, 5, {}, True),
        (4.9, 5, {}, False),
        (5.0, 4, {}, False),  # whatever it was has ended
        (5.0, 5, {"OMP_WAIT_POLICY": "active"}, False),
    ],
)
def test_on_a_busy_machine_torchs_threads_sleep_while_they_wait(tmp_path, mean, now, given, sleeps):
    load = tmp_path / "loadavg"
    load.write_text(f"{mean} 1.00 0.50 {now}/123 4567\n")
    script = f"""
        import os, sys
        from dlp import cli

        os.cpu_count = lambda: 4
        cli._LOAD = cli.Path({str(load)!r})
        cli._run = lambda *_: __import__("torch")
        sys.argv = ["dlp", "fit"]
        cli.main()
    """
    environment = {name: value for name, value in os.environ.items() if "OMP" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**environment, **given, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GOMP_SPINCOUNT = " in ran.stderr
    assert ("GOMP_SPINCOUNT = '0'" in ran.stderr) is sleeps


@pytest.mark.parametrize("stdout", ["", " >&-"])
def test_files_that_are_left_open_are_written_and_stdout_may_be_closed(tmp_path, stdout):
    script = """
        import gzip, sys
        from dlp import cli

        def run(*_):
            cli.log, cli.zipped = open("log.txt", "w"), gzip.open("log.gz", "wt")
            cli.log.write("written")
            cli.zipped.write("zipped")

        cli._run, cli.keep_freed_memory = run, int
        sys.argv = ["dlp", "fit"]
        cli.main()
    """
    (tmp_path / "run.py").write_text(textwrap.dedent(script))
    words = ["sh", "-c", f"{sys.executable} run.py{stdout}"]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "log.txt").read_text() == "written"
    assert gzip.decompress((tmp_path / "log.gz").read_bytes()) == b"zipped"


def test_a_command_that_is_stopped_leaves_no_process_that_trains_on():
    code = """
        import multiprocessing, os, signal, sys, time
        from dlp import cli

        def run(*_):
            fork = multiprocessing.get_context("fork")
            begun = fork.Event()
            fork.Process(target=lambda: (begun.set(), time.sleep(100))).start()
            begun.wait()
            os.kill(os.getpid(), signal.SIGTERM)

        cli._run, sys.argv = run, ["dlp", "fit"]
        cli.main()
    """
    words = [sys.executable, "-c", textwrap.dedent(code)]
    assert subprocess.run(words, capture_output=True, check=False, timeout=60).returncode == 143


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
@pytest.mark.parametrize(("words", "status"), [("fit", 0), ("fti", 2)])
def test_stderr_may_be_closed(tmp_path, words, status, closed):
    script = """
        import os, sys
        from dlp import cli

        def run(*_):
            with open("log.txt", "w"):
                os.write(2, b"said by a library in C")
            assert os.path.getsize("log.txt") == 0
            print("said", file=sys.stderr)

        cli._run, cli.keep_freed_memory = run, int
        cli.main()
    """
    (tmp_path / "run.py").write_text(textwrap.dedent(script))
    line = ["sh", "-c", f"{sys.executable} run.py {words} {closed}"]
    ran = subprocess.run(line, cwd=tmp_path, stdout=subprocess.PIPE, check=False)
    assert (ran.returncode, ran.stdout) == (status, b"")


def test_letters_that_stdout_lacks_are_printed_as_escapes(tmp_path):
    script = """
        import sys
        from dlp import cli

        cli._run, cli.keep_freed_memory = lambda *_: print("K\u00f6ln, \u6771\u4eac"), int
        sys.argv = ["dlp", "data"]
        cli.main()
    """
    (tmp_path / "run.py").write_text(textwrap.dedent(script))
    ran = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, b"K\xf6ln, \\u6771\\u4eac\n")


def test_help_and_version_load_no_torch():
    code = """
        import sys
        from dlp.cli import main
        for args in (["--help"], ["--version"]):
            try:
                main(args)
            except SystemExit as exit:
                assert exit.code == 0
        heavy = {"torch", "lightning", "datasets", "pandas", "numpy", "scipy"} & set(sys.modules)
        print("loaded", sorted(heavy))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "loaded []"
    for name in ("imdb", "reuters", "housing", "mnist", "smaller", "retrain", "predict"):
        assert f"  {name} " in run.stdout


def test_a_reader_who_has_seen_enough_gets_no_traceback():
    code = """
        from dlp import cli
        cli._run = lambda *given: [print("line", flush=True) for _ in range(100_000)]
        cli.main(["data"])
    """
    run = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "line\n"
    run.stdout.close()
    assert run.stderr.read() == ""
    run.stderr.close()
    assert run.wait() == 141


def test_help_of_a_command(points, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--help"])
    assert exit_.value.code == 0
    assert "--test_after_fit" in capsys.readouterr().out


def test_printed_config_is_a_complete_recipe(points, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--config", "points.yaml", "--model.hidden", "[4]", "--print_config"])
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["model"]["init_args"]["hidden"] == [4]
    assert yaml.safe_load(printed)["model"]["class_path"] == "dlp.modules.DenseModule"
    Path("printed.yaml").write_text(printed)
    main(["fit", "--config", "printed.yaml"])
    main(["fit", "--config", "points.yaml", "--model.hidden", "[4]"])
    runs = points / "runs"
    assert metrics_of(runs / "printed/version_0") == metrics_of(runs / "points/version_0")


def test_variations_name_the_run_and_a_rerun_keeps_the_name(points):
    main(["fit", "--config", "points.yaml", "--config", "smaller"])
    run = points / "runs/points+smaller/version_0"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["hidden"] == [4, 4]
    assert config["model"]["init_args"]["dropout"] == 0.2
    main(["fit", "--config", str(run / "config.yaml")])
    again = points / "runs/points+smaller/version_1"
    assert metrics_of(again) == metrics_of(run)
    main(["test", "--config", "points.yaml", "--config", "smaller"])
    assert "test" in json.loads((again / "results.json").read_text())


def test_retraining_on_everything_is_one_command(points, capsys):
    main(["fit", "--config", "points.yaml", "--config", "retrain", "--trainer.max_epochs", "2"])
    run = points / "runs/points+retrain/version_0"
    results = json.loads((run / "results.json").read_text())
    assert results["best_epoch"] is None
    assert results["test"]["checkpoint"] == "checkpoints/last.ckpt"
    assert not (run / "checkpoints/best.ckpt").exists()
    assert "trained 2 epochs without validation" in capsys.readouterr().out


def test_fast_dev_run_writes_nothing(points, capsys):
    before = sorted(points.rglob("*"))
    for command in ("fit", "validate", "test", "predict"):
        main([command, "--config", "points.yaml", "--trainer.fast_dev_run", "true"])
    assert sorted(points.rglob("*")) == before
    assert capsys.readouterr().out.count("the weights are random") == 3


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--model.optimizer AdamW --model.scheduler StepLR --model.scheduler.step_size 2",
        "--model.scheduler torch.optim.lr_scheduler.ReduceLROnPlateau --model.scheduler.patience 0",
        "--model.scheduler OneCycleLR --model.scheduler.max_lr 0.1 "
        "--model.scheduler.total_steps 30",
    ],
)
def test_resumed_run_equals_an_unbroken_one(points, words):
    args = ["fit", "--config", "points.yaml", *words.split()]
    main([*args, "--trainer.max_epochs", "4"])
    main([*args, "--trainer.max_epochs", "2"])
    main(["fit", "--config", "points.yaml", "--ckpt_path", "last", "--trainer.max_epochs", "4"])
    whole, resumed = (points / f"runs/points/version_{number}" for number in (0, 1))
    assert metrics_of(resumed) == metrics_of(whole)
    for which in ("best", "last"):
        one, two = (weights(run / f"checkpoints/{which}.ckpt") for run in (whole, resumed))
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert not (points / "runs/points/version_2").exists()
    config = yaml.safe_load((resumed / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 4


def killed_in_its_sixth_epoch(args):
    """Run a fit that no handler and no cleaning up sees the end of."""
    begun = History.on_train_epoch_start

    def kill(self, trainer, pl_module):
        begun(self, trainer, pl_module)
        if trainer.current_epoch == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    History.on_train_epoch_start = kill
    main(args)


def as_one_of_two(words):
    rank_zero_only.rank = int(os.environ["LOCAL_RANK"])  # Lightning's import sets it in a fresh one
    main(words)


def test_of_two_processes_that_run_a_fit_the_first_has_its_folder(points):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    words = ["fit", "--config", "points.yaml", "--test_after_fit", "best"]
    words += ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    log = points / "log"
    processes = [
        begin(as_one_of_two, [words], log, {**common, "LOCAL_RANK": str(rank)}) for rank in (0, 1)
    ]
    assert ended(processes) == [0, 0], log.read_text()
    (run,) = (points / "runs/points").iterdir()
    assert "test" in json.loads((run / "results.json").read_text())


def test_resume_after_sigkill(points):
    args = ["fit", "--config", "points.yaml", "--trainer.max_epochs", "12"]
    log = points / "log"
    killed = begin(killed_in_its_sixth_epoch, [args], log, os.environ)
    assert ended([killed]) == [-signal.SIGKILL], log.read_text()
    run = points / "runs/points/version_0"
    saved = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"] + 1
    assert saved <= len(metrics_of(run)) <= 5  # the record is never behind what goes on
    assert not (run / "results.json").exists()
    main(["fit", "--config", "points.yaml", "--ckpt_path", "last"])
    main(args)
    whole, resumed = (points / f"runs/points/version_{number}" for number in (1, 0))
    assert len(metrics_of(whole)) == 12
    assert metrics_of(resumed) == metrics_of(whole)


def test_full_disk_keeps_what_was_saved(fitted, capsys, monkeypatch):
    last = fitted / "runs/points/version_0/checkpoints/last.ckpt"
    before = last.read_bytes()

    def full(checkpoint, path):
        path.write_bytes(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    message = fails(
        capsys, "fit", "--config", "points.yaml", "--ckpt_path", "last", "--trainer.max_epochs", "9"
    )
    assert "the disk is full" in message
    place = "runs/points/version_0/checkpoints/last.ckpt"
    assert f"Epoch 3 is saved: go on by dlp fit --ckpt_path {place}" in message
    message = fails(capsys, "fit", "--config", "points.yaml")
    assert message.endswith("free some space. No epoch was saved.")
    assert last.read_bytes() == before
    monkeypatch.undo()
    monkeypatch.chdir(fitted)
    main(["fit", "--config", "points.yaml", "--ckpt_path", "last", "--trainer.max_epochs", "9"])
    assert len(metrics_of(fitted / "runs/points/version_0")) == 9


def test_early_stopping_by_config(points):
    Path("stop.yaml").write_text(
        "trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitor: val_acc, "
        "mode: max, patience: 1, min_delta: 0.5}}]}"
    )
    main(["fit", "--config", "points.yaml", "--config", "stop.yaml", "--trainer.max_epochs", "9"])
    run = points / "runs/points+stop/version_0"
    assert len(metrics_of(run)) == 2
    assert weights(run / "checkpoints/last.ckpt")
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"] == 1


def test_another_metric_says_which_epoch_was_best(points):
    main(
        ["fit", "--config", "points.yaml", "--monitor", "val_f1", "--model.metrics", "[f1, auroc]"]
    )
    run = points / "runs/points/version_0"
    history = json.loads((run / "history.json").read_text())
    best = json.loads((run / "results.json").read_text())["best_epoch"]
    assert best == int(np.argmax(history["val_f1"])) + 1
    assert torch.load(run / "checkpoints/best.ckpt", weights_only=True)["epoch"] == best - 1
    assert "val_auroc" in history


def test_without_checkpoints_bar_and_summary(points):
    Path("bare.yaml").write_text(
        "trainer: {enable_checkpointing: false, enable_progress_bar: false, "
        "enable_model_summary: false}"
    )
    main(["fit", "--config", "points.yaml", "--config", "bare.yaml", "--test_after_fit", "best"])
    run = points / "runs/points+bare/version_0"
    assert not (run / "checkpoints").exists()
    assert json.loads((run / "results.json").read_text())["test"]["checkpoint"] is None


def test_run_dir_of_ones_own(points, capsys):
    main(["fit", "--config", "points.yaml", "--run_dir", "here"])
    assert (points / "here/results.json").exists()
    assert not (points / "runs").exists()
    assert "holds a run already" in fails(
        capsys, "fit", "--config", "points.yaml", "--run_dir", "here"
    )
    main(["test", "--ckpt_path", "here"])
    assert "test" in json.loads((points / "here/results.json").read_text())


OWN = """
import torch
from lightning import LightningModule


class Perceptron(LightningModule):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, width)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.layer(x), y)
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(y))
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.layer(x), y)
        self.log("val_loss", loss, batch_size=len(y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
"""


def test_own_lightning_module(points, monkeypatch):
    Path("own_module_of_a_user.py").write_text(OWN)
    Path("own.yaml").write_text(
        "model: {class_path: own_module_of_a_user.Perceptron, init_args: {width: 2}}"
    )
    recipe = yaml.safe_load(RECIPE)
    del recipe["model"]
    Path("data.yaml").write_text(yaml.safe_dump(recipe))
    main(["fit", "--config", "data.yaml", "--config", "own.yaml"])
    sys.modules.pop("own_module_of_a_user")
    run = points / "runs/data+own/version_0"
    assert [row["epoch"] for row in metrics_of(run)] == ["1", "2", "3"]
    assert (run / "checkpoints/best.ckpt").exists()


def test_a_command_leaves_the_process_as_it_was(points):
    threads, path = torch.get_num_threads(), list(sys.path)
    filters = list(warnings.filters)
    main(["fit", "--config", "points.yaml", "--threads", "1"])
    assert torch.get_num_threads() == threads
    assert sys.path == path
    assert warnings.filters == filters


def test_a_command_leaves_the_random_numbers_as_they_were(points, monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    main(["fit", "--config", "points.yaml", "--trainer.fast_dev_run", "true"])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert "PL_GLOBAL_SEED" not in os.environ


def test_regression_predictions_are_in_the_original_unit(points):
    table = pd.read_csv("points.csv")
    table["price"] = 1000 + 100 * table.east
    table.drop(columns="side").to_csv("points.csv", index=False)
    main(
        [
            "fit",
            "--config",
            "points.yaml",
            "--data.target",
            "price",
            "--data.target_scaling",
            "standard",
            "--model.head",
            "regression",
            "--trainer.max_epochs",
            "40",
            "--model.dropout",
            "0",
            "--model.optimizer.lr",
            "0.01",
            "--test_after_fit",
            "best",
        ]
    )
    run = points / "runs/points/version_0"
    results = json.loads((run / "results.json").read_text())
    assert results["test"]["test_mae"] < 20
    assert results["last"]["train_loss"] < 0.1  # of standardised targets
    main(["predict", "--config", "points.yaml"])
    rows = rows_of(run / "predictions.csv")
    assert list(rows[0]) == ["index", "true", "value"]
    assert 700 < np.mean([float(row["value"]) for row in rows]) < 1300


def test_counts_on_the_command_line_are_counts(points):
    sizes = ["--data.train_size", "40", "--data.test_size", "20", "--data.val_size", "10"]
    main(["fit", "--config", "points.yaml", *sizes, "--trainer.max_epochs", "1"])
    config = yaml.safe_load((points / "runs" / "points" / "version_0" / "config.yaml").read_text())
    assert config["data"]["init_args"]["train_size"] == 40


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "# caf\xe9\ntrainer: {max_epochs: 1}".encode("latin-1"),
            "is not UTF-8 text (byte 0xe9 in",
        ),
        ("trainer: {max_epochs: 1}".encode("utf-16"), "is not UTF-8 text (byte 0xff in line 1)"),
    ],
)
def test_a_config_that_is_not_utf8(points, capsys, content, expected):
    Path("overlay.yaml").write_bytes(content)
    for command in ("fit", "test", "crossval"):
        message = fails(capsys, command, "--config", "points.yaml", "--config", "overlay.yaml")
        assert expected in message


def test_a_config_with_a_mark_of_utf8(points):
    Path("overlay.yaml").write_bytes("trainer: {max_epochs: 1}".encode("utf-8-sig"))
    main(["fit", "--config", "points.yaml", "--config", "overlay.yaml"])
    assert len(metrics_of(points / "runs/points+overlay/version_0")) == 1
