"""The pure parts of the profiles of a step: what a sample counts for, and the machine's limit."""

import pytest
import torch

from dlp import dense_product

SITE = "environment/site-packages"
ADVANCE = f"_TrainingEpochLoop.advance ({SITE}/lightning/pytorch/loops/training_epoch_loop.py:352)"
OPTIMIZER = "KerasRMSprop.step (checkout/src/dlp/modules/optimizers.py:62)"
TRAINING = "SupervisedModule.training_step (checkout/src/dlp/modules/base.py:167)"
LINEAR = f"Linear.forward ({SITE}/torch/nn/modules/linear.py:130)"
BACKWARD = f"_engine_run_backward ({SITE}/torch/autograd/graph.py:979)"
KERNEL = f"at::native::addmm ({SITE}/torch/lib/libtorch_cpu.so)"
BINDING = f"THPEngine_run_backward ({SITE}/torch/lib/libtorch_python.so)"
WAITING = f"gomp_team_barrier_wait_end ({SITE}/torch/lib/libgomp.so.1)"
MADE = "0x7f79b18aab92 (?)"
LIBC = "0x7f581f835ca8 (/usr/lib/libc.so.6)"


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        ([ADVANCE], "lightning"),
        ([ADVANCE, "contextmanager (/usr/lib/python3.11/contextlib.py:137)"], "lightning"),
        ([ADVANCE, OPTIMIZER], "dlp"),
        ([ADVANCE, OPTIMIZER, KERNEL], "optimizer"),
        ([ADVANCE, OPTIMIZER, TRAINING, LINEAR], "torch"),
        ([ADVANCE, OPTIMIZER, TRAINING, LINEAR, KERNEL, LIBC], "forward"),
        ([ADVANCE, OPTIMIZER, TRAINING, LINEAR, MADE], "forward"),
        ([ADVANCE, OPTIMIZER, TRAINING, BACKWARD, BINDING], "torch"),
        ([ADVANCE, OPTIMIZER, TRAINING, BACKWARD, KERNEL, WAITING], "backward"),
        ([ADVANCE, OPTIMIZER, BACKWARD, KERNEL], "backward"),
        ([ADVANCE, OPTIMIZER, BACKWARD, f"csc ({SITE}/scipy/sparse/_sparsetools.so)"], "scipy"),
        ([ADVANCE, "BatchLoader (checkout/src/dlp/datamodules/loader.py:150)", KERNEL], "loading"),
        ([LIBC], "rest"),
    ],
)
def test_a_sample_counts_for_what_runs(load, frames, part):
    assert load("step_profiles").part_of(frames, loads=True) == part


def test_shares_are_of_the_samples_within_a_step(load):
    profiles = load("step_profiles")
    samples = [f"{ADVANCE};{OPTIMIZER};{KERNEL} 3\n", f"{ADVANCE} 1\n", f"{KERNEL} 90\n"]
    found = profiles.shares(samples, profiles.STEP)
    assert found == {"optimizer": 0.75, "lightning": 0.25, "samples": 4.0}


def test_the_products_of_a_step_are_counted_with_their_gradients(load):
    net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    with load("step_times").Products() as products:
        net(torch.randn(2, 8)).sum().backward()
    flops = [one[0] for one in products.found]
    # Forward; the gradients of the last layer's weights and inputs, and of the first one's weights.
    assert sorted(flops) == sorted([2 * 2 * 8 * 4, 2 * 2 * 4, 2 * 2 * 4, 2 * 2 * 4, 2 * 2 * 8 * 4])
    assert {one[2] for one in products.found} == {"float32"}
    assert all(one[1] >= 4 * (2 * 4 + 4 * 1) for one in products.found)


@pytest.mark.skipif(dense_product.PRODUCT is None, reason="this torch has no product by oneDNN")
def test_the_dense_product_of_dlp_is_counted_as_that_of_torch(load, monkeypatch):
    monkeypatch.setattr(dense_product, "_pays", lambda *_: True)
    inputs, weight = torch.randn(8, 16), torch.randn(4, 16, requires_grad=True)
    found = []
    for linear in (dense_product.linear, torch.nn.functional.linear):
        with load("step_times").Products() as products:
            linear(inputs, weight).sum().backward()
        found.append([one[0] for one in products.found])
    assert found[0] == found[1] == [2 * 8 * 16 * 4] * 2


def test_the_limit_is_the_slower_of_products_and_memory_and_then_the_optimizer(load):
    peak = {"float32": 100.0, "bfloat16": 400.0, "cache": 1e7, "memory": 1e6}
    noted = {"products": [], "sparse": 0, "trained": 0}
    limit = load("machine_limits").limit
    assert limit({**noted, "products": [[800, 10, "float32"]]}, peak) == (800, pytest.approx(8))
    assert limit({**noted, "products": [[800, 10, "bfloat16"]]}, peak)[1] == pytest.approx(2)
    large = [[0, 20_000_000, "float32"]]
    assert limit({**noted, "products": large}, peak)[1] == pytest.approx(20)
    assert limit({**noted, "trained": 1_000_000}, peak)[1] == pytest.approx(20)
    assert limit({**noted, "sparse": 100}, peak, times=4) == (400, pytest.approx(4))


def test_the_page_has_a_place_for_the_profiles(load):
    page = load("tables").PAGE.read_text(encoding="utf-8")
    assert "<!-- step profiles: begin -->" in page
