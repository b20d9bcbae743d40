"""Commands on a run that Python recorded: it has no config."""

import re
import shlex

import pandas as pd
import pytest

from dlp.cli import main
from dlp.inference import Predictor
from dlp.runs import RunRecorder
from helpers.training import small_fit

RUN = "runs/mine/version_0"
REFUSED = [
    f"fit --ckpt_path {RUN}",
    f"validate --ckpt_path {RUN}",
    f"test --ckpt_path {RUN}",
    f"predict --ckpt_path {RUN}",
    "calibrate mine",
    "export mine",
    "visualize heatmap mine",
    "visualize activations mine",
    "visualize filters mine",
    "visualize importance mine",
]


def fit_in_python():
    small_fit(*RunRecorder("mine").callbacks)


@pytest.fixture
def recorded(copied):
    """Work in a folder with such a run."""
    return copied(fit_in_python)


def test_the_printed_command_works(tmp_path, capsys):
    fit_in_python()
    command = re.search(r"next: dlp (.*)", capsys.readouterr().out)[1]
    page = main(shlex.split(command)).read_text(encoding="utf-8")
    assert "mine version_0" in page
    assert ">train 48, val 12<" in page


def test_it_is_compared_by_its_name(recorded):
    expected = pd.read_csv(f"{RUN}/metrics.csv")["val_loss"].min()
    table = main(["compare", "mine"])
    assert table.loc["mine", "val_loss"] == pytest.approx(expected)


def test_its_model_predicts(recorded):
    assert len(Predictor.load("mine").predict([[0.0] * 4])) == 1


@pytest.mark.parametrize("words", REFUSED)
def test_a_command_that_needs_a_config_says_so(recorded, fails, words):
    message = fails(*words.split())
    assert message.startswith(
        f"dlp: {RUN} was recorded from Python and has no config.yaml"
    )
    assert "use dlp.Predictor.load" in message
