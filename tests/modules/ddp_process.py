"""One process of two: trains, tests, and writes what it logged and its weights."""

import json
import sys
import warnings
from pathlib import Path

import torch
from training import Curves, quiet_trainer

from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule

EPOCHS, SEED = 3, 5
draw = torch.Generator().manual_seed(0)
X, X_TEST = torch.randn(33, 6, generator=draw), torch.randn(5, 6, generator=draw)
Y, Y_TEST = (X[:, 0] > 0).long(), (X_TEST[:, 0] > 0.1).long()


def data():
    """26 rows to train on, in batches of 4 (the last of 2); 7 to validate on and 5 to test."""
    return ArrayDataModule(
        X, Y, X_TEST, Y_TEST, val_size=7, split_seed=None, batch_size=4, eval_batch_size=2
    )


def build():
    torch.manual_seed(SEED)
    return DenseModule((6,), 2, "sigmoid", hidden=(5,), l2=0.01, metrics=["acc", "auroc"])


def main(folder):
    warnings.filterwarnings("error")
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
    torch.set_num_threads(1)
    module, curves = build(), Curves()
    trainer = quiet_trainer(EPOCHS, [curves], devices=2, strategy="ddp")
    trainer.fit(module, data())
    (tested,) = trainer.test(module, data(), verbose=False)
    weights = {name: value.flatten().tolist() for name, value in module.state_dict().items()}
    content = {"epochs": curves.epochs, "test": tested, "weights": weights}
    Path(folder, f"{trainer.global_rank}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main(sys.argv[1])
