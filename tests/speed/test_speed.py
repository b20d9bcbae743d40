import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from dlp.modules import ConvNet
from dlp.speed import onednn
from dlp.speed.denormals import flushed_denormals
from dlp.speed.forks import run_at_once
from helpers.sets import write_points
from helpers.training import small_fit

has_onednn = torch.backends.mkldnn.is_available()
CAPABILITY = torch.backends.cpu.get_cpu_capability()
needs_avx2 = pytest.mark.skipif(
    not has_onednn or CAPABILITY not in ("AVX2", "AVX512"),
    reason="the plain layers serve this CPU",
)
NETS = {
    "grey": {"input_shape": (1, 20, 20), "channels": (4, 6), "dense": (5,)},
    "colour": {
        "input_shape": (3, 21, 19),
        "channels": (4, 3),
        "pool": (2, 0),
        "padding": "same",
    },
    "linear": {
        "input_shape": (3, 12, 12),
        "channels": (4,),
        "activation": "linear",
        "dense": (),
    },
}
_FIT = """
import sys, warnings
warnings.simplefilter("ignore")
from dlp.speed import startup
if {broken}:
    from lightning_utilities.core.imports import RequirementCache as cache
    cache._check = cache._check_available
    cache.__bool__ = lambda self: self._check() or self.available
    del cache._check_available  # as in another version
with startup.frozen_imports():
    startup.import_lightning()
assert isinstance(sys.modules.get("torch._dynamo"), startup._Compiler) != {broken}
assert sys.modules.get("triton", "not imported")
import torch
from helpers.training import small_fit
print(float(small_fit(max_epochs=1).callback_metrics["val_loss"]))
if {compiles}:
    from lightning.pytorch.trainer.connectors.logger_connector.result import _ResultCollection
    from lightning.pytorch.utilities.compile import _maybe_unwrap_optimized
    from helpers.training import OneWeight

    class Metric:
        def forward(self, value, batch_size):
            compiled.append(torch.compiler.is_compiling())

    def step(x):
        _ResultCollection.update_metrics(metrics, "a", x, 1)  # Lightning disables it
        return x + 1

    compiled = []
    metrics = dict(a=Metric())
    assert torch.compile(step, backend="eager")(torch.ones(1)) == 2
    assert compiled == [False]
    model = OneWeight()
    assert _maybe_unwrap_optimized(torch.compile(model, backend="eager")) is model
"""
_PLOT = """
from lightning import Callback
from torchmetrics.classification import BinaryAccuracy
import torch


class Plot(Callback):
    def on_fit_end(self, trainer, pl_module):
        metric = BinaryAccuracy()
        metric.update(torch.tensor([0.9, 0.8]), torch.tensor([1, 0]))
        figure, axes = metric.plot()
        print("plotted", axes.lines[0].get_ydata())
"""
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="processes are copied on Linux"
)


def net(name):
    torch.manual_seed(0)
    return ConvNet(num_outputs=3, **NETS[name])


def batch(name, count=6):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *NETS[name]["input_shape"], generator=generator)


def logits_and_gradients(network, images):
    logits = network(images)
    loss = F.cross_entropy(logits.float(), torch.arange(len(images)) % 3)
    return logits.detach(), torch.autograd.grad(loss, list(network.parameters()))


@needs_avx2
@pytest.mark.parametrize("name", NETS)
def test_onednns_layout_gives_the_logits_and_gradients_of_the_plain_layers(
    name, monkeypatch
):
    network, images = net(name), batch(name)
    assert onednn.can_run(network.features, images, torch.float32)
    logits, gradients = logits_and_gradients(network, images)
    monkeypatch.setenv("DLP_SPEED", "0")
    plain_logits, plain_gradients = logits_and_gradients(network, images)
    torch.testing.assert_close(logits, plain_logits, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients, plain_gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(
    not has_onednn or CAPABILITY != "AVX512", reason="bfloat16 needs AVX-512"
)
def test_bfloat16_in_onednns_layout_is_that_of_autocast(monkeypatch):
    network, images = net("grey"), batch("grey")
    with torch.autocast("cpu", torch.bfloat16):
        assert onednn.can_run(network.features, images, torch.float32)
        logits, gradients = logits_and_gradients(network, images)
        monkeypatch.setenv("DLP_SPEED", "0")
        plain_logits, plain_gradients = logits_and_gradients(network, images)
    torch.testing.assert_close(logits, plain_logits, rtol=0.03, atol=0.02)
    for ours, theirs in zip(gradients, plain_gradients, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.05 * theirs.norm() + 1e-3


@pytest.mark.parametrize("place", ["image", "weight", "bias", "infinite"])
def test_nan_and_infinity_stay_visible(place):
    network, images = net("grey"), batch("grey")
    conv = network.features.conv1
    tensors = {"image": images[:, 0, 3], "weight": conv.weight, "bias": conv.bias}
    value = torch.inf if place == "infinite" else torch.nan
    with torch.no_grad():
        tensors.get(place, conv.weight)[0] = value
    assert network(images).isnan().any()


def test_other_layers_and_gradients_of_images_take_the_plain_layers():
    images = batch("grey")
    gelu = ConvNet((1, 20, 20), 3, channels=(4,), dense=(), activation="gelu")
    assert not onednn.can_run(gelu.features, images, torch.float32)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(net("grey")(images).sum(), images)
    assert gradient.abs().sum() > 0


def test_denormals_are_flushed_in_the_block_alone(monkeypatch):
    tiny = torch.full((64,), torch.finfo(torch.float32).tiny)
    with flushed_denormals():
        inside = tiny / 2
    assert (tiny / 2).all()
    assert not torch.set_flush_denormal(False) or not inside.any()
    monkeypatch.setenv("DLP_SPEED", "0")
    with flushed_denormals():
        assert (tiny / 2).all()


def run_python(*args):
    """Run Python in a process of its own; return what it printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *args]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result


@pytest.mark.slow
def test_a_callback_of_a_command_plots_a_metric(tmp_path):
    write_points(tmp_path)
    Path("plots.py").write_text(_PLOT, encoding="utf-8")
    args = "fit --config points.yaml --trainer.fast_dev_run true --trainer.callbacks plots.Plot"
    assert "plotted [0.5]" in run_python("-m", "dlp", *args.split()).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "compiles"), [(False, False), (False, True), (True, True)]
)
def test_imports_that_wait_or_break_give_the_same_fit(broken, compiles):
    result = run_python("-c", _FIT.format(broken=broken, compiles=compiles))
    assert "leaked" not in result.stderr
    loss = float(small_fit(max_epochs=1).callback_metrics["val_loss"])
    assert float(result.stdout.split()[-1]) == loss


def test_each_function_has_a_process_of_one_thread_and_results_keep_their_order():
    here = os.getpid()
    functions = [
        lambda n=n: (n, os.getpid(), torch.get_num_threads()) for n in range(3)
    ]
    results = run_at_once(functions)
    assert [number for number, _, _ in results] == [0, 1, 2]
    assert here not in {process for _, process, _ in results}
    assert {threads for _, _, threads in results} == {1}


def test_copies_end_with_a_process_that_was_killed(tmp_path):
    note = tmp_path / "copies"

    def work():
        with note.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(60)

    if (first := os.fork()) == 0:
        run_at_once([work, work])
    until = time.monotonic() + 30
    while not note.exists() or len(note.read_text().splitlines()) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    while any(is_alive(int(process)) for process in note.read_text().split()):
        assert time.monotonic() < until
        time.sleep(0.01)


def is_alive(process):
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
