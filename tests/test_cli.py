"""The front door: commands, help, endings; and recipes from Python."""

import errno
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
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import _loaders_dumpers
from lightning import Callback, LightningDataModule
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader

import dlp
from dlp import cli, console
from dlp.cli import COMMANDS, main
from dlp.commands import report, trainer
from dlp.errors import InputError
from helpers.sets import write_points
from helpers.training import plain_loaders, quiet_trainer


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "tset",
            "unknown command 'tset'. Did you mean 'test'? Accepted: fit, validate, test",
        ),
        (
            "visualize filer",
            "unknown command 'visualize filer'. Did you mean 'visualize filters'?",
        ),
        ("--config imdb", "unknown command '--config'. Accepted: fit,"),
        ("fit --config", "--config: expected one argument\n"),
        (
            "crossval --config imdb --ckpt_path x",
            "unrecognized arguments: --ckpt_path x",
        ),
        (
            "report",
            "arguments are required: run. Give the name or the folder of a run.\n",
        ),
        ("tune --config quickstart", "arguments are required: space.\n"),
        ("compare nowhere", "found no run 'nowhere'"),
        ("calibrate a --coverage 90", "Give a number between 0 and 1, such as 0.9.\n"),
        ("calibrate a --threshold x", "Give a number between 0 and 1, such as 0.9.\n"),
    ],
)
def test_a_mistyped_command_ends_in_a_sentence_and_status_2(words, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(words.split())
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.startswith("dlp: ")
    assert message in error


@pytest.mark.parametrize("words", [["--help"], ["visualize", "--help"]])
def test_help_lists_commands_and_configs(capsys, words):
    main(words)
    text = capsys.readouterr().out
    for name in (*COMMANDS, "imdb", "quickstart", "dropout"):
        assert f"  {name} " in text
    assert re.search(r"  imdb +3\.4 Film reviews, positive or negative", text)


@pytest.mark.parametrize(
    ("command", "key"), [("predict", "--text"), ("compare", "runs")]
)
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
def test_cli_is_a_script_too_and_its_neighbours_hide_no_module(
    run, capsys, monkeypatch
):
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
        (
            OSError(errno.ENOENT, "No such file", "x.npy"),
            2,
            "dlp: x.npy: No such file.\n",
        ),
        (MemoryError("8 GiB"), 2, "dlp: out of memory: 8 GiB\n"),
        (RuntimeError("cannot allocate"), 2, "dlp: out of memory: cannot allocate\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(3), 3, ""),
    ],
)
def test_the_end_of_a_command_has_a_status(monkeypatch, capsys, error, status, message):
    monkeypatch.setattr(cli, "_run", Mock(side_effect=error))
    with pytest.raises(SystemExit) as exit_:
        main(["fit"])
    assert exit_.value.code == status
    assert capsys.readouterr().err == message


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process on Windows")
def test_sigterm_ends_a_command_with_its_status_and_the_handler_is_put_back(
    monkeypatch,
):
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(report, "report", lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as exit_:
        main(["report"])
    assert exit_.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize("file", [None, "runs/a/metrics.csv"])
def test_a_full_disk_is_a_sentence(monkeypatch, capsys, file):
    monkeypatch.setattr(
        cli, "_run", Mock(side_effect=OSError(errno.ENOSPC, "No space", file))
    )
    with pytest.raises(SystemExit):
        main(["fit"])
    message = capsys.readouterr().err
    assert (file or "a file") in message
    assert "no space is left on the disk" in message
    assert "Files that were written earlier are complete." in message


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        OSError("closed"),
        OSError(22, "Invalid"),
        KeyError("allocate"),
    ],
)
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(cli, "_run", Mock(side_effect=error))
    with pytest.raises(type(error)):
        main(["fit"])


def test_a_package_that_lightning_misses_is_named_in_a_sentence(monkeypatch, capsys):
    error = ModuleNotFoundError("Neither `tensorboard` nor ... Try ...\nDetails")
    monkeypatch.setattr(cli, "_run", Mock(side_effect=error))
    with pytest.raises(SystemExit):
        main(["fit"])
    assert capsys.readouterr().err == "dlp: Neither `tensorboard` nor ... Try ...\n"
    monkeypatch.setattr(cli, "_run", Mock(side_effect=ModuleNotFoundError(name="own")))
    with pytest.raises(ModuleNotFoundError):
        main(["fit"])


def test_a_bug_while_a_refusal_is_handled_keeps_its_traceback(monkeypatch):
    def handle(words):
        try:
            raise InputError("refused")
        except InputError:
            {}["bug"]

    monkeypatch.setattr(cli, "_run", handle)
    with pytest.raises(KeyError):
        main(["fit"])


def test_a_refusal_that_a_parser_wraps_is_a_sentence(monkeypatch, capsys):
    def wrap(words):
        try:
            raise InputError("refused")
        except InputError as error:
            raise TypeError("of a parser") from error

    monkeypatch.setattr(cli, "_run", wrap)
    with pytest.raises(SystemExit):
        main(["fit"])
    assert capsys.readouterr().err == "dlp: refused\n"


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
    assert (
        "Pass batch_size by keyword: DataLoader(..., batch_size=batch_size)"
        in capsys.readouterr().err
    )


def test_a_command_runs_in_a_thread(capsys):
    with ThreadPoolExecutor(1) as threads:
        error = threads.submit(main, ["compare", "nowhere"]).exception()
    assert error.code == 2
    assert "found no run 'nowhere'" in capsys.readouterr().err


def test_a_recipe_takes_a_path_and_classes_by_name(tmp_path):
    write_points(tmp_path)
    recipe = dlp.load(
        Path("points.yaml"), **{"model.optimizer": "Adam", "data.val_size": 30}
    )
    data = recipe.data()
    assert len(data.examples("val")) == 30
    assert type(recipe.model(data).configure_optimizers()) is torch.optim.Adam


def test_keys_of_a_recipe_are_paths_and_numbers_and_arrays_of_numpy(tmp_path):
    write_points(tmp_path)
    keys = {
        "data.path": tmp_path / "points.csv",
        "data.val_size": np.int64(30),
        "data.drop_columns": np.array(["x"]),
        "model.dropout": np.float32(0.5),
        "model.hidden": np.array([4, 5]),
    }
    config = dlp.load("points.yaml", **keys).config
    assert config.data.init_args.path == str(tmp_path / "points.csv")
    assert config.data.init_args.val_size == 30
    assert config.data.init_args.drop_columns == ["x"]
    assert config.model.init_args.dropout == 0.5
    assert config.model.init_args.hidden == [4, 5]


class Threads(Callback):
    """Record of the threads of an epoch, which may end in an error."""

    def __init__(self, error=None):
        self.error = error

    def on_train_epoch_start(self, trainer, pl_module):
        self.number = torch.get_num_threads()
        if self.error:
            raise self.error


@pytest.fixture
def three_threads():
    """Compute on three threads, and restore the number after the test."""
    number = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(number)


def process_state():
    """Return what a library call leaves as it was."""
    levels = [logging.getLogger(name).level for name in console._LOGGERS]
    yaml_errors = _loaders_dumpers.get_loader_exceptions("yaml")
    return torch.get_num_threads(), list(warnings.filters), levels, yaml_errors


@pytest.mark.parametrize("error", [None, ZeroDivisionError()])
def test_a_recipe_in_python_changes_the_process_only_while_its_trainer_runs(
    tmp_path, three_threads, error
):
    write_points(tmp_path)
    before = process_state()
    recipe = dlp.load("points.yaml", **{"trainer.max_epochs": 1, "threads": 2})
    data = recipe.data()
    model = recipe.model(data)
    threads = Threads(error)
    fit = recipe.trainer(run_dir=None, callbacks=[threads]).fit
    assert process_state() == before
    ending = pytest.raises(ZeroDivisionError) if error else nullcontext()
    with ending:
        fit(model, data)
    assert threads.number == 2
    assert process_state() == before
    assert before[3] == (yaml.YAMLError,)


def test_a_command_restores_the_process(tmp_path, three_threads, monkeypatch):
    write_points(tmp_path)
    numbers = []
    monkeypatch.setattr(
        trainer, "validate", lambda recipe: numbers.append(torch.get_num_threads())
    )
    before = process_state()
    main(["validate", "--config", "points.yaml", "--trainer.fast_dev_run", "true"])
    assert numbers == [1]
    assert process_state() == before


def test_a_question_mark_is_a_text(tmp_path):
    write_points(tmp_path)
    assert (
        dlp.load("points.yaml", **{"data.target": "?"}).config.data.init_args.target
        == "?"
    )
