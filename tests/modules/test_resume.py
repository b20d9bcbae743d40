from functools import partial

import pytest
import torch
from helpers.training import quiet_trainer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, StepLR

from dlp.callbacks import AtomicCheckpointIO, EpochSeed, History, LastCheckpoint
from dlp.datamodules import ArrayDataModule
from dlp.modules import ConvNetModule, DenseModule, EnsembleModule, KerasRMSprop

draw = torch.Generator().manual_seed(0)
X, Y = torch.rand(40, 1, 8, 8, generator=draw), torch.randint(0, 3, (40,), generator=draw)
EPOCHS, SAVED = 3, 1

one_cycle = partial(OneCycleLR, max_lr=0.01, total_steps=4 * EPOCHS, cycle_momentum=False)
decay = partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch))
adamw = partial(torch.optim.AdamW, lr=0.01)
dense = partial(DenseModule, (1, 8, 8), 3, hidden=(6, 5))
convnet = partial(ConvNetModule, (1, 8, 8), 3, channels=(2, 3), dense=(4,), pool=(2, 0))


def ensemble(**arguments):
    return EnsembleModule(partial(dense, **arguments), size=2)


class LastOfTwo(LastCheckpoint):
    """A process that was killed in epoch `SAVED` + 1 leaves this file."""

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch + 1 == SAVED:
            super().on_train_epoch_end(trainer, pl_module)


def fit(build, folder, seed, path=None):
    """Fit as a new process does; return weights, learning rate and history."""
    torch.manual_seed(seed)
    module, history = build(), History(folder)
    data = ArrayDataModule(X, Y, val_size=10, batch_size=8)  # 8 + 8 + 8 + 6
    callbacks = [history, EpochSeed(), LastOfTwo(folder)]
    trainer = quiet_trainer(EPOCHS, callbacks, plugins=[AtomicCheckpointIO()])
    trainer.fit(module, data, ckpt_path=path, weights_only=None if path is None else True)
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    file = (folder / "metrics.csv").read_text()
    return module.state_dict(), rate, history.metrics, file


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize(
    "build",
    [
        partial(dense, scheduler=one_cycle, optimizer=adamw),
        partial(ensemble, scheduler=partial(StepLR, step_size=1), optimizer=adamw),
        partial(convnet, scheduler=decay, optimizer=KerasRMSprop),
    ],
    ids=["dense", "ensemble", "convnet"],
)
def test_a_resumed_fit_is_bit_equal_to_an_unbroken_one(build, tmp_path):
    build = partial(build, dropout=0.4, l2=1e-3)
    weights, *rest = fit(build, tmp_path, seed=7)
    resumed, *resumed_rest = fit(build, tmp_path, seed=8, path=tmp_path / "last.ckpt")
    assert resumed_rest == rest
    assert [name for name, value in weights.items() if not value.equal(resumed[name])] == []
