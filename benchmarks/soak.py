"""Fit a tiny table 500 times in one process, draw maps of a convnet, and print what grows.

    python benchmarks/soak.py

After each fifth of the fits, a line shows the resident memory and the number of threads, open files
and objects. The exit status is 1 if one of these numbers grows after the first fifth, or if forward
hooks remain; the memory does not count. The script runs only on Linux.
"""

import argparse
import gc
import os
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

import dlp
from dlp.modules import ConvNetModule
from dlp.visualization import GradCAM, activations, filter_patterns

RECIPE = """\
data: {class_path: TableDataModule, init_args: {path: points.csv, target: label}}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [4]}}
trainer: {max_epochs: 2, enable_progress_bar: false, enable_model_summary: false}
"""
_PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20  # MB


def state() -> dict[str, int]:
    """Return the measures that could grow in a process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "MB": round(pages * _PAGE),
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "objects": len(gc.get_objects()),
        "filters": len(warnings.filters),
    }


def fit() -> None:
    """Fit once, with a recorded run."""
    recipe = dlp.load("points.yaml")
    data = recipe.data()
    recipe.trainer().fit(recipe.model(data), datamodule=data)


def num_hooks(model: nn.Module) -> int:
    """Return the number of forward hooks of all layers."""
    return sum(len(layer._forward_hooks) for layer in model.modules())


def draw(model: ConvNetModule, images: torch.Tensor) -> None:
    """Compute a heat map, the activations of the layers, and the pattern of a filter."""
    with GradCAM(model) as cam:
        cam(images)
    activations(model, images)
    filter_patterns(model, "network.features.conv1", [0], size=32, steps=2, border=0)


def soak(fits: int) -> bool:
    """Print the measures; return True if they have not grown since the first fifth of the fits."""
    numbers = np.random.default_rng(0).normal(size=60)
    labels = np.where(numbers > 0, "yes", "no")
    pd.DataFrame({"x": numbers, "label": labels}).to_csv("points.csv", index=False)
    Path("points.yaml").write_text(RECIPE)
    states = []
    for number in range(1, fits + 1):
        fit()
        if number % (fits // 5) == 0:
            states.append(state())
            print(f"{number} fits: {states[-1]}", file=sys.stderr, flush=True)
    model = ConvNetModule((3, 32, 32), 2, "sigmoid", channels=(4, 4), dense=(8,))
    hooks = num_hooks(model)
    for _ in range(100):
        draw(model, torch.rand(2, 3, 32, 32))
    print(f"100 drawings: {state()}, hooks {hooks}, then {num_hooks(model)}", file=sys.stderr)
    first, last = states[0], states[-1]
    grows = [name for name in first if name != "MB" and last[name] > 1.001 * first[name]]
    print(f"grows: {', '.join(grows) or 'nothing'}", file=sys.stderr)
    return not grows and num_hooks(model) == hooks


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=500)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["DLP_CACHE_DIR"] = "cache"
        torch.set_num_threads(1)
        sys.exit(not soak(args.fits))
