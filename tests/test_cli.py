"""The front door: commands, help, endings; and recipes from Python."""

import io
import os
import re
import runpy
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import yaml
from helpers.sets import write_points

import dlp
from dlp import cli
from dlp.cli import COMMANDS, main
from dlp.commands import report
from dlp.lightning_cli.invocation import _scan


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tset", "unknown command 'tset'. Did you mean 'test'? Accepted: fit, validate, test"),
        ("visualize filer", "unknown command 'visualize filer'. Did you mean 'visualize filters'?"),
        ("--config imdb", "unknown command '--config'. Accepted: fit,"),
        ("fit --config", "--config: expected one argument\n"),
        ("crossval --config imdb --ckpt_path x", "unrecognized arguments: --ckpt_path x"),
        ("report", "arguments are required: run.\n"),
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
        (OSError(28, "No space left", "runs/a"), 2, "dlp: [Errno 28] No space left: 'runs/a'\n"),
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
def test_sigterm_ends_a_command_with_its_status_and_the_handler_is_put_back(monkeypatch):
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(report, "report", lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as exit_:
        main(["report"])
    assert exit_.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli, "_run", lambda words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["fit"])


def test_a_recipe_takes_a_path_and_classes_by_name(tmp_path):
    write_points(tmp_path)
    recipe = dlp.load(Path("points.yaml"), **{"model.optimizer": "Adam", "data.val_size": 30})
    data = recipe.data()
    assert len(data.examples("val")) == 30
    assert type(recipe.model(data).configure_optimizers()) is torch.optim.Adam
