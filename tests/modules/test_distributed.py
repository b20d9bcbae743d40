import json
import os
import socket
from itertools import pairwise

import ddp_process as example
import pytest
import torch
import torch.nn.functional as F
from loaded_processes import begin, ended
from sklearn.metrics import roc_auc_score

from dlp.datamodules import BatchOrder
from dlp.modules import KerasRMSprop


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder where each of two gloo processes has left what it did."""
    folder = tmp_path_factory.mktemp("ddp")
    log = folder / "log"
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        begin(example.main, [folder], log, {**common, "LOCAL_RANK": str(rank)}) for rank in (0, 1)
    ]
    assert ended(processes) == [0, 0], log.read_text()
    return folder


@pytest.fixture(scope="module")
def ranks(folder):
    """Return what each process logged and ended with."""
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def measured(name, outputs, penalties):
    """Return what is logged of the logits and targets of batches, and the penalties at each."""
    losses = [F.binary_cross_entropy_with_logits(z, y.float()) for z, y in outputs]
    counts = [len(y) for _, y in outputs]
    z, y = (torch.cat(part) for part in zip(*outputs, strict=True))
    total = sum(counts)
    data_loss = sum(loss * n for loss, n in zip(losses, counts, strict=True)) / total
    penalty = sum(p * n for p, n in zip(penalties, counts, strict=True)) / total
    return {
        f"{name}_loss": pytest.approx((data_loss + penalty).item(), rel=1e-5),
        f"{name}_data_loss": pytest.approx(data_loss.item(), rel=1e-5),
        f"{name}_acc": pytest.approx(((z > 0) == y).float().mean().item()),
        f"{name}_auroc": pytest.approx(roc_auc_score(y, z)),
    }


def evaluated(module, name, x, y):
    with torch.no_grad():
        return measured(name, [(module.network(x)[:, 0], y)], [module.penalty()])


def single_process():
    """Train by a plain loop on both processes' batches at once; return curves, test, weights."""
    module = example.build()
    optimizer = KerasRMSprop(module.parameters())
    x, y = example.X[7:], example.Y[7:]  # the first rows validate
    epochs = []
    for epoch in range(example.EPOCHS):
        orders = [BatchOrder(26, 4, True, example.SEED, 2, rank) for rank in (0, 1)]
        for order in orders:
            order.set_epoch(epoch)
        outputs, penalties = [], []
        for rows in zip(*orders, strict=True):
            step = [(module.network(x[part])[:, 0], y[part]) for part in rows]
            losses = [F.binary_cross_entropy_with_logits(z, t.float()) for z, t in step]
            optimizer.zero_grad()
            (sum(losses) / 2 + module.penalty()).backward()
            outputs += [(z.detach(), t) for z, t in step]
            penalties += [module.penalty().detach()] * 2
            optimizer.step()
        validated = evaluated(module, "val", example.X[:7], example.Y[:7])
        epochs.append(measured("train", outputs, penalties) | validated)
    return epochs, evaluated(module, "test", example.X_TEST, example.Y_TEST), module.state_dict()


def test_two_processes_log_what_one_does_over_all_samples(ranks):
    epochs, tested, _ = single_process()
    for rank in ranks:
        assert rank["epochs"] == epochs
        assert rank["test"] == tested


def test_two_processes_end_with_the_weights_of_one(ranks):
    _, _, weights = single_process()
    assert ranks[0]["weights"] == ranks[1]["weights"]
    for name, value in weights.items():
        assert ranks[0]["weights"][name] == pytest.approx(value.flatten().tolist(), abs=1e-6)


@pytest.fixture(scope="module")
def unfrozen(folder):
    """Return for each process the message on plain DDP, and its weights after each epoch."""
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_processes_stay_bit_equal_while_a_backbone_is_unfrozen(unfrozen):
    (_, first), (_, second) = unfrozen
    for ours, theirs in zip(first, second, strict=True):
        different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
        assert different == []


def test_each_epoch_moves_what_it_is_to_train_and_nothing_else(unfrozen):
    states = [example.pretrained().state_dict(), *unfrozen[0][1]]
    prefix = "network.backbone.model."
    trained = [(), ("conv5",), ("conv5", "stage3", "stage4")]
    for (before, after), stages in zip(pairwise(states), trained, strict=True):
        moved = {name for name in after if not torch.equal(after[name], before[name])}
        parts = tuple(f"{prefix}{stage}." for stage in stages)
        own = {name for name in after if name.startswith(parts)} if parts else set()
        assert {name for name in moved if name.startswith(prefix)} == own
        assert "network.classifier.output.weight" in moved


def test_unfreezing_under_plain_ddp_is_refused(unfrozen):
    for message, _ in unfrozen:
        assert "needs trainer.strategy: ddp_find_unused_parameters_true" in message
