import json
import os
import socket
import sys
import warnings
from datetime import timedelta
from functools import partial

import pandas as pd
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from dlp.callbacks import (
    AtomicCheckpointIO,
    CacheFeatures,
    EpochSeed,
    History,
    LastCheckpoint,
    MistakesReport,
    PredictionWriter,
    Unfreeze,
)
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule
from dlp.speed.forks import run_at_once
from helpers.backbones import fit, small_data, small_model
from helpers.training import Curves, quiet_trainer

pytestmark = pytest.mark.slow  # three processes import and train
EPOCHS, SEED = 2, 5
draw = torch.Generator().manual_seed(0)
X, X_TEST = torch.randn(31, 6, generator=draw), torch.randn(5, 6, generator=draw)
Y, Y_TEST = (X[:, 0] > 0).long(), (X_TEST[:, 0] > 0.1).long()


def data(batch_size):
    """Return 24 rows to train on, 7 to validate and 5 to test."""
    sizes = {"val_size": 7, "batch_size": batch_size, "eval_batch_size": 2}
    return ArrayDataModule(X, Y, X_TEST, Y_TEST, split_seed=None, **sizes)


def build():
    torch.manual_seed(SEED)
    return DenseModule(
        (6,), 2, "sigmoid", hidden=(5,), l2=0.01, metrics=["acc", "auroc"]
    )


def run_process(folder, port, rank):
    """Fit, test and predict as one process of two; return the logged values and the weights."""
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "LOCAL_RANK": str(rank),
    }
    os.environ.pop(
        "PL_GLOBAL_SEED", None
    )  # of a command before: Lightning seeds each process
    warnings.simplefilter("ignore")
    module, curves, report = build(), Curves(), MistakesReport(folder)
    writers = [History(folder), LastCheckpoint(folder, 0), report]
    writers.append(PredictionWriter(folder / "predictions.csv"))
    strategy = DDPStrategy(timeout=timedelta(seconds=90))
    arguments = {"devices": 2, "strategy": strategy, "plugins": [AtomicCheckpointIO()]}
    trainer = quiet_trainer(EPOCHS, [curves, EpochSeed(), *writers], **arguments)
    trainer.fit(module, data(4))
    (tested,) = trainer.test(module, data(4), verbose=False)
    trainer.predict(module, data(4))
    return {
        "epochs": curves.epochs,
        "test": tested,
        "weights": {
            name: v.flatten().tolist() for name, v in module.state_dict().items()
        },
        "rows of mistakes": [*report.gathered.get("index", [])],
        "test of one row": evaluate_one_row(module, folder),
        "fine-tuned": fine_tune(),
    }


def one_row():
    """Return data with a single row to test and to predict."""
    return ArrayDataModule(X, Y, X_TEST[:1], Y_TEST[:1])


def evaluate_one_row(module, folder):
    """Test and predict fewer rows than there are processes; return the scores of the test."""
    writer = PredictionWriter(folder / "one_row.csv")
    trainer = quiet_trainer(callbacks=[writer], devices=2, strategy=DDPStrategy())
    (tested,) = trainer.test(module, one_row(), verbose=False)
    trainer.predict(module, one_row())
    return tested


def fine_tune():
    """Fit a pretrained model on stored features, then two of its stages; return its weights."""
    strategy = DDPStrategy(find_unused_parameters=True)
    model = small_model(backbone="squeezenet1_1", dropout=0.0)
    callbacks = [CacheFeatures(), Unfreeze(at_epoch=2, stages=2)]
    watch = fit(model, small_data(), *callbacks, devices=2, strategy=strategy)
    assert watch.trained == [0, 2]
    return [
        [value.numpy().tobytes() for value in state.values()] for state in watch.states
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder in which two gloo processes leave their files."""
    return tmp_path_factory.mktemp("ddp")


@pytest.fixture(scope="module")
def ranks(folder):
    """Return the results of the two processes."""
    if sys.platform != "linux":
        pytest.skip("processes are copied on Linux")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return run_at_once([partial(run_process, folder, port, rank) for rank in (0, 1)])


@pytest.fixture(scope="module")
def single():
    """Return epochs, test and module of one process whose batches are those of both."""
    module, curves = build(), Curves()
    trainer = quiet_trainer(EPOCHS, [curves, EpochSeed()])
    trainer.fit(module, data(8))
    (tested,) = trainer.test(module, data(8), verbose=False)
    return curves.epochs, tested, module


def test_two_processes_log_the_values_of_one_over_all_samples(ranks, single):
    epochs, tested, _ = single
    for rank in ranks:
        assert rank["epochs"] == [pytest.approx(epoch, rel=1e-5) for epoch in epochs]
        assert rank["test"] == pytest.approx(tested, rel=1e-5)


def test_two_processes_end_with_the_weights_of_one(ranks, single):
    assert ranks[0]["weights"] == ranks[1]["weights"]
    for name, value in single[2].state_dict().items():
        assert ranks[0]["weights"][name] == pytest.approx(
            value.flatten().tolist(), abs=1e-6
        )


@pytest.mark.usefixtures("ranks")
def test_two_processes_write_one_table_of_predictions_in_order(folder, single):
    table = pd.read_csv(folder / "predictions.csv")
    assert table["index"].tolist() == [0, 1, 2, 3, 4]
    assert table["target"].tolist() == Y_TEST.tolist()
    with torch.no_grad():
        expected = single[2].network(X_TEST).sigmoid()[:, 0]
    assert table["prob_1"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_two_processes_write_one_history_one_checkpoint_and_one_report(folder, ranks):
    rows = pd.read_csv(folder / "metrics.csv")
    assert rows["val_loss"].tolist() == [
        epoch["val_loss"] for epoch in ranks[0]["epochs"]
    ]
    content = torch.load(folder / "last.ckpt", weights_only=True)
    assert content["epoch"] == EPOCHS - 1
    report = json.loads((folder / "mistakes.json").read_text())
    assert report["rows"] == 5
    assert 1 - report["wrong"] / 5 == pytest.approx(ranks[0]["test"]["test_acc"])
    assert [rank["rows of mistakes"] for rank in ranks] == [[0, 1, 2, 3, 4], []]


def test_two_processes_evaluate_a_single_row(folder, ranks, single):
    module = single[2]
    logits = module(X_TEST[:1])
    loss = module.head.loss(logits, module.head.prepare(Y_TEST[:1])) + module.penalty()
    for rank in ranks:
        assert rank["test of one row"]["test_loss"] == pytest.approx(
            loss.item(), rel=1e-4
        )
    table = pd.read_csv(folder / "one_row.csv")
    assert table["index"].tolist() == [0]


def test_two_processes_fine_tune_to_the_same_bits(ranks):
    frozen, unfrozen = ranks[0]["fine-tuned"]
    assert frozen != unfrozen
    assert ranks[1]["fine-tuned"] == [frozen, unfrozen]
