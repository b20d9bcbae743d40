"""The front door: commands, help, endings; and recipes from Python."""

import io
import logging
import os
import re
import runpy
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import jsonargparse
import numpy as np
import pytest
import torch
import yaml
from helpers.sets import write_points
from helpers.training import plain_loaders, quiet_trainer
from lightning import LightningDataModule
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader

import dlp
from dlp import cli, console
from dlp.cli import COMMANDS, main
from dlp.commands import report
from dlp.errors import InputError
from dlp.lightning_cli.invocation import _scan


@pytest.fixture
def points(tmp_path):
    """Work in a folder with a recipe."""
    write_points(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tset", "unknown command 'tset'. Did you mean 'test'? Accepted: fit, validate, test"),
        ("visualize filer", "unknown command 'visualize filer'. Did you mean 'visualize filters'?"),
        ("--config imdb", "unknown command '--config'. Accepted: fit,"),
        ("fit --config", "--config: expected one argument\n"),
        ("crossval --config imdb --ckpt_path x", "unrecognized arguments: --ckpt_path x"),
        ("report", "arguments are required: run. Give the name or the folder of a run.\n"),
        ("visualize heatmap", "are required: model. Give the name or the folder of a run.\n"),
        ("tune --config quickstart", "arguments are required: space.\n"),
        ("compare nowhere", "found no run 'nowhere'"),
    ],
)
def test_a_mistyped_command_ends_in_a_sentence_and_status_2(words, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(words.split())
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.startswith("dlp: ")
    assert message in error


def test_help_lists_commands_and_configs(capsys):
    main(["--help"])
    text = capsys.readouterr().out
    for name in (*COMMANDS, "imdb", "quickstart", "dropout"):
        assert f"  {name} " in text
    assert re.search(r"  imdb +3\.4 Film reviews, positive or negative", text)


def test_a_text_may_hold_an_emoji():
    _, rest = _scan("predict", ["--text", 'a "joy" 😀'])
    assert yaml.safe_load(rest[1]) == ['a "joy" 😀']


@pytest.mark.parametrize(("command", "key"), [("predict", "--text"), ("compare", "runs")])
def test_help_of_a_command_names_its_keys(capsys, command, key):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert key in text
    assert "Args:" not in text


@pytest.mark.parametrize(
    "run", [partial(runpy.run_module, "dlp.cli"), partial(runpy.run_path, cli.__file__)]
)
@pytest.mark.filterwarnings("ignore:'dlp.cli' found in sys.modules")
def test_cli_is_a_script_too_and_its_neighbours_hide_no_module(run, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cli.py", "--version"])
    monkeypatch.setattr(sys, "path", [str(Path(cli.__file__).parent), *sys.path])
    run(run_name="__main__")
    assert capsys.readouterr().out == f"dlp {dlp.__version__}\n"
    assert str(Path(cli.__file__).parent) not in sys.path


def test_names_that_a_pipe_cannot_show_are_escaped(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(cli, "_run", lambda words: print("Köln, 東京"))
    main(["data"])
    stream.flush()
    assert stream.buffer.getvalue() == b"K\xf6ln, \\u6771\\u4eac\n"


def test_a_reader_who_has_seen_enough_gets_no_traceback():
    code = (
        "from dlp import cli\n"
        "cli._run = lambda words: [print('line', flush=True) for _ in range(100_000)]\n"
        "cli.main(['data'])"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    run = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
    assert run.stdout.readline() == "line\n"
    run.stdout.close()
    assert (run.stderr.read(), run.wait()) == ("", 141)
    run.stderr.close()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (OSError(13, "No entry", "a"), 2, "dlp: [Errno 13] No entry: 'a'. DLP_TRACEBACK=1 shows"),
        (OSError(28, "No space left", "runs/a"), 2, "dlp: runs/a: the disk is full. Free some"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(3), 3, ""),
    ],
)
def test_the_end_of_a_command_has_a_status(monkeypatch, capsys, error, status, message):
    monkeypatch.setattr(cli, "_run", Mock(side_effect=error))
    with pytest.raises(SystemExit) as exit_:
        main(["fit"])
    assert exit_.value.code == status
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert bool(error) == bool(message)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process on Windows")
def test_sigterm_ends_a_command_with_its_status_and_the_handler_is_put_back(monkeypatch):
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(report, "report", lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as exit_:
        main(["report"])
    assert exit_.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize("bug", [ZeroDivisionError(), OSError("not of the system")])
def test_a_bug_keeps_its_traceback(monkeypatch, bug):
    monkeypatch.setattr(cli, "_run", Mock(side_effect=bug))
    with pytest.raises(type(bug)):
        main(["fit"])


def test_a_bug_while_a_refusal_is_handled_keeps_its_traceback(monkeypatch):
    def run(words):
        try:
            raise InputError("a refusal")
        except InputError:
            return {}["bug"]

    monkeypatch.setattr(cli, "_run", run)
    with pytest.raises(KeyError):
        main(["fit"])


@plain_loaders
def test_lightnings_riddle_about_a_data_loader_is_a_sentence(monkeypatch, capsys):
    class Data(LightningDataModule):
        def predict_dataloader(self):
            return DataLoader(torch.zeros(4, 32), 2)

    def predict(words):
        quiet_trainer().predict(BoringModel(), Data())

    monkeypatch.setattr(cli, "_run", predict)
    with pytest.raises(SystemExit):
        main(["predict"])
    assert "Pass it by its name: DataLoader(..., batch_size=...)" in capsys.readouterr().err


def test_a_command_runs_in_another_thread(capsys):
    thread = ThreadPoolExecutor(1)
    message = thread.submit(catch_exit, ["compare", "nowhere"]).result()
    assert message == 2
    assert "found no run 'nowhere'" in capsys.readouterr().err


def catch_exit(words):
    """Return the status with which a command ends."""
    with pytest.raises(SystemExit) as exit_:
        main(words)
    return exit_.value.code


def process_state():
    """Return what a library must not change in its process."""
    return {
        "threads": torch.get_num_threads(),
        "warnings": list(warnings.filters),
        "yaml": jsonargparse.get_loader("yaml"),
        "levels": [logging.getLogger(name).level for name in console._LOGGERS],
        "path": list(sys.path),
    }


@pytest.mark.parametrize("is_command", [False, True])
def test_a_recipe_and_a_command_leave_the_process_as_it_was(points, is_command):
    torch.set_num_threads(2)
    before = process_state()
    if is_command:
        main(["fit", "--config", "points.yaml", "--trainer.fast_dev_run", "true"])
    else:
        recipe = dlp.load("points.yaml", **{"trainer.fast_dev_run": True})
        data = recipe.data()
        recipe.trainer().fit(recipe.model(data), data)
    after = process_state()
    torch.set_num_threads(1)
    assert after == before


def test_a_fit_has_the_threads_of_its_config_also_in_python(points):
    threads = []
    watch = LambdaCallback(on_train_start=lambda *_: threads.append(torch.get_num_threads()))
    recipe = dlp.load("points.yaml", threads=3)
    data = recipe.data()
    recipe.trainer(run_dir=None, max_epochs=1, callbacks=[watch]).fit(recipe.model(data), data)
    assert threads == [3]
    assert torch.get_num_threads() == 1


def test_values_of_a_recipe_may_be_paths_and_numbers_of_numpy(points):
    values = {"data.path": Path("points.csv"), "data.batch_size": np.int64(7)}
    recipe = dlp.load("points.yaml", **values)
    assert recipe.config.data.init_args.batch_size == 7


def test_a_recipe_takes_a_path_and_classes_by_name(tmp_path):
    write_points(tmp_path)
    recipe = dlp.load(Path("points.yaml"), **{"model.optimizer": "Adam", "data.val_size": 30})
    data = recipe.data()
    assert len(data.examples("val")) == 30
    assert type(recipe.model(data).configure_optimizers()) is torch.optim.Adam
