"""What tests of the command line share: a recipe, commands that fail, the files of a run."""

import csv
import re

import pytest
import torch

from dlp.cli import main

RECIPE = """
# Two classes of points in the plane
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: side, test_size: 0.2, batch_size: 16}
model:
  class_path: DenseModule
  init_args: {head: sigmoid, hidden: [8], dropout: 0.2, optimizer: {init_args: {lr: 0.02}}}
trainer: {max_epochs: 3, accelerator: cpu}
"""


def fails(capsys, *args):
    """Run a command that must fail, and return its message."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(list(args))
    assert exit_.value.code == 2
    shown = re.split("[\r\n]+", capsys.readouterr().err.strip())
    messages = [line for line in shown if not line.startswith(("Epoch", "Testing", "Predicting"))]
    assert len(messages) == 1, messages
    assert messages[0].startswith("dlp: ")
    assert "usage" not in messages[0]
    return messages[0]


def metrics_of(run):
    return rows_of(run / "metrics.csv")


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]
