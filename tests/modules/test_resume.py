"""A resumed fit is bit-equal to an unbroken one, whatever is trained and under which callbacks."""

from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, StepLR

from dlp.callbacks import (
    AtomicCheckpointIO,
    CacheFeatures,
    EpochSeed,
    History,
    LastCheckpoint,
    Unfreeze,
)
from dlp.datamodules import ArrayDataModule
from dlp.modules import ConvNetModule, DenseModule, EnsembleModule, KerasRMSprop
from helpers.backbones import small_data, small_model
from helpers.training import quiet_trainer

draw = torch.Generator().manual_seed(0)
X, Y = (
    torch.rand(40, 1, 8, 8, generator=draw),
    torch.randint(0, 3, (40,), generator=draw),
)
EPOCHS = 3

one_cycle = partial(
    OneCycleLR, max_lr=0.01, total_steps=4 * EPOCHS, cycle_momentum=False
)
two_cycles = partial(
    OneCycleLR, max_lr=[0.01, 1e-3], total_steps=2 * EPOCHS, cycle_momentum=False
)
steps = partial(StepLR, step_size=1)
decay = partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch))
adamw = partial(torch.optim.AdamW, lr=0.01)
regularised = {"dropout": 0.4, "l2": 1e-3}
dense = partial(DenseModule, (1, 8, 8), 3, hidden=(6, 5), **regularised)
convnet = partial(ConvNetModule, (1, 8, 8), 3, channels=(2, 3), dense=(4,), pool=(2, 0))
frozen = partial(small_model, None, scheduler=two_cycles, optimizer=adamw)
arrays = partial(ArrayDataModule, X, Y, val_size=10, batch_size=8)  # 8 + 8 + 8 + 6


def ensemble(**arguments):
    return EnsembleModule(partial(dense, **arguments), size=2)


class LastOf(LastCheckpoint):
    """A process that was killed in the epoch after `saved` leaves this file."""

    def __init__(self, folder, saved):
        super().__init__(folder)
        self.saved = saved

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch + 1 == self.saved:
            super().on_train_epoch_end(trainer, pl_module)


def fit(build, data, callbacks, saved, folder, seed, path=None):
    """Fit as a new process does; return weights, learning rate and history."""
    torch.manual_seed(seed)
    module, history = build(), History(folder)
    callbacks = [make() for make in callbacks]
    callbacks += [history, EpochSeed(), LastOf(folder, saved)]
    trainer = quiet_trainer(EPOCHS, callbacks, plugins=[AtomicCheckpointIO()])
    trainer.fit(
        module, data(), ckpt_path=path, weights_only=None if path is None else True
    )
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    file = (folder / "metrics.csv").read_text()
    return module.state_dict(), rate, history.metrics, file


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
@pytest.mark.parametrize(
    ("build", "data", "callbacks", "saved"),
    [
        (partial(dense, scheduler=one_cycle, optimizer=adamw), arrays, [], 1),
        (partial(ensemble, scheduler=steps, optimizer=adamw), arrays, [], 1),
        (
            partial(convnet, scheduler=decay, optimizer=KerasRMSprop, **regularised),
            arrays,
            [],
            1,
        ),
        (frozen, small_data, [CacheFeatures, partial(Unfreeze, 2, 2)], 1),
        (frozen, small_data, [partial(Unfreeze, 2, 2)], 2),
    ],
    ids=["dense", "ensemble", "convnet", "frozen and cached", "unfrozen"],
)
def test_a_resumed_fit_is_bit_equal_to_an_unbroken_one(
    build, data, callbacks, saved, tmp_path
):
    run = partial(fit, build, data, callbacks, saved, tmp_path)
    weights, *rest = run(seed=7)
    checkpoint = tmp_path / "last.ckpt"
    assert (
        torch.load(checkpoint, weights_only=True)["state_dict"].keys() == weights.keys()
    )
    resumed, *resumed_rest = run(seed=8, path=checkpoint)
    assert resumed_rest == rest
    assert [
        name for name, value in weights.items() if not value.equal(resumed[name])
    ] == []
