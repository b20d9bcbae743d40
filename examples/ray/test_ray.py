"""Two workers of Ray train as two processes of Lightning do. The test needs ``ray[train]``."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

TWO_PROCESSES = """
fit --config quickstart --trainer.max_epochs 2 --trainer.accelerator cpu --trainer.devices 2
--trainer.strategy ddp --test_after_fit null --run_dir runs/gloo
"""


def run_files(folder):
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    return (folder / "metrics.csv").read_text(), checkpoint["state_dict"]


@pytest.mark.slow
def test_workers_train_as_two_processes_do(tmp_path, monkeypatch):
    pytest.importorskip("ray.train")
    monkeypatch.chdir(tmp_path)
    script = Path(__file__).with_name("train.py")
    subprocess.run([sys.executable, str(script)], check=True)
    subprocess.run([sys.executable, "-m", "dlp", *TWO_PROCESSES.split()], check=True)
    metrics, weights = run_files(Path("runs/ray"))
    other_metrics, other_weights = run_files(Path("runs/gloo"))
    assert metrics == other_metrics
    assert all(torch.equal(weights[name], other_weights[name]) for name in other_weights)
