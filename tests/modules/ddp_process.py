"""One process of two: trains, tests, fine-tunes, and writes what it logged and its weights."""

import json
import warnings
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from training import Curves, quiet_trainer

from dlp.callbacks import Unfreeze
from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule, PretrainedModule

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


IMAGES = torch.rand(18, 3, 32, 32, generator=draw)


def pretrained():
    torch.manual_seed(SEED)
    return PretrainedModule(
        (3, 32, 32), 2, "sigmoid", backbone="shufflenet_v2_x0_5", weights=None, hidden=(4,)
    )


def unfreeze(folder):
    """Unfreeze a network with batch normalisation step by step, and save it after each epoch."""
    images = ArrayDataModule(IMAGES, Y[:18], val_size=2, batch_size=4)
    steps = [Unfreeze(2, 1), Unfreeze(3, 3)]
    module = pretrained()
    try:
        quiet_trainer(1, steps, devices=2, strategy="ddp").fit(module, images)
    except InputError as error:
        message = str(error)
    states = []

    class Keep(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            states.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    strategy = "ddp_find_unused_parameters_true"
    trainer = quiet_trainer(3, [*steps, Keep()], devices=2, strategy=strategy)
    trainer.fit(module, images)
    torch.save((message, states), Path(folder, f"{trainer.global_rank}.pt"))


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
    unfreeze(folder)
