import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

from dlp.modules import DenseModule, KerasRMSprop


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fused_step_is_torchs_with_the_constants_of_keras(dtype, weight_decay):
    draw = torch.Generator().manual_seed(1)
    sizes = [(30, 7), (7,), (1,)]
    ours = [
        nn.Parameter(torch.randn(size, generator=draw, dtype=dtype)) for size in sizes
    ]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    frozen = nn.Parameter(torch.ones(2, dtype=dtype), requires_grad=False)
    fused = KerasRMSprop([{"params": [*ours, frozen], "weight_decay": weight_decay}])
    arguments = {"lr": 0.001, "alpha": 0.9, "eps": 1e-8, "weight_decay": weight_decay}
    plain = torch.optim.RMSprop(theirs, **arguments)
    for _ in range(20):
        for weight, twin in zip(ours, theirs, strict=True):
            twin.grad = torch.randn(weight.shape, generator=draw, dtype=dtype)
            weight.grad = twin.grad.clone()
        fused.step()
        plain.step()
    tolerance = 1e-5 if dtype is torch.float32 else 1e-13
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    assert frozen.equal(torch.ones(2, dtype=dtype))
    plain.load_state_dict({**plain.state_dict(), "state": fused.state_dict()["state"]})


@pytest.mark.parametrize("layout", ["as the weight", "contiguous", "with gaps"])
def test_weights_that_lie_otherwise_in_memory_take_the_same_step(layout):
    draw = torch.Generator().manual_seed(2)
    kernel = torch.randn(4, 3, 2, 5, generator=draw).to(
        memory_format=torch.channels_last
    )
    dense, thin = (
        torch.randn(7, 5, generator=draw).t(),
        torch.randn(3, 1, 2, generator=draw),
    )
    tensors = [kernel, dense, thin.transpose(0, 2)]
    if layout == "with gaps":
        tensors.append(torch.randn(4, 6, generator=draw)[:, ::2])
    turned = [nn.Parameter(tensor) for tensor in tensors]
    plain = [nn.Parameter(weight.detach().clone().contiguous()) for weight in turned]
    ours, theirs = KerasRMSprop(turned, lr=0.01), KerasRMSprop(plain, lr=0.01)
    strides = [weight.stride() for weight in turned]
    for _ in range(3):
        for weight, twin in zip(turned, plain, strict=True):
            twin.grad = torch.randn(twin.shape, generator=draw)
            weight.grad = torch.empty_like(weight).copy_(twin.grad)
            if layout == "contiguous":
                weight.grad = twin.grad.clone()
                if weight in ours.state:  # as a checkpoint may bring it
                    mean = ours.state[weight]["square_avg"]
                    ours.state[weight]["square_avg"] = mean.contiguous()
        ours.step()
        theirs.step()
    assert [weight.stride() for weight in turned] == strides
    torch.testing.assert_close(turned, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("speed", ["0", "1"])
def test_step_hooks_run_once_and_so_does_the_closure(speed, monkeypatch):
    monkeypatch.setenv("DLP_SPEED", speed)
    torch.optim.RMSprop(
        [nn.Parameter(torch.ones(1))]
    )  # torch then wraps the step of its class
    weight, calls = nn.Parameter(torch.ones(3)), []
    optimizer = KerasRMSprop([weight])
    optimizer.register_step_post_hook(lambda *_: calls.append("hook"))

    def closure():
        calls.append("closure")
        weight.grad = None
        (weight**2).sum().backward()
        return 3.0

    assert optimizer.step(closure) == 3.0
    assert calls == ["closure", "hook"]
    assert (weight < 1).all()


@pytest.mark.parametrize(
    "copy_of", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_a_copy_takes_the_same_steps(copy_of):
    optimizer = KerasRMSprop([nn.Parameter(torch.ones(3))])
    twin = copy_of(optimizer)
    for each in (optimizer, twin):
        [weight] = each.param_groups[0]["params"]
        weight.grad = torch.ones(3)
        each.step()
    weights = [each.param_groups[0]["params"][0] for each in (optimizer, twin)]
    assert weights[0].equal(weights[1])
    assert (weights[1] < 1).all()


@pytest.mark.parametrize(
    ("scheduler", "interval"),
    [
        (partial(StepLR, step_size=2), "epoch"),
        (ReduceLROnPlateau, "epoch"),
        (partial(OneCycleLR, max_lr=0.1, total_steps=9), "step"),
    ],
)
def test_a_scheduler_is_stepped_per_epoch_or_per_step(scheduler, interval):
    module = DenseModule((3,), 2, scheduler=scheduler, optimizer=torch.optim.Adam)
    config = module.configure_optimizers()["lr_scheduler"]
    assert (config["interval"], config["monitor"]) == (interval, "val_loss")
