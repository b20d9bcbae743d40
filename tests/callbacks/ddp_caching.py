"""One process of two: fits on stored features and on images, and writes what came of each."""

import sys
import warnings
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from dlp.callbacks import CacheFeatures, Unfreeze
from dlp.datamodules import ArrayDataModule
from dlp.modules import PretrainedModule

draw = torch.Generator().manual_seed(0)
X, Y = torch.rand(22, 3, 32, 32, generator=draw), torch.randint(0, 2, (22,), generator=draw)


class Watch(Callback):
    def setup(self, trainer, pl_module, stage):
        self.runs, self.states, self.metrics = 0, [], []
        layers = pl_module.network.backbone.model.modules()
        next(m for m in layers if isinstance(m, nn.Conv2d)).register_forward_hook(self.count)

    def count(self, *_):
        self.runs += 1

    def on_train_epoch_end(self, trainer, pl_module):
        self.states.append({name: value.clone() for name, value in pl_module.state_dict().items()})
        self.metrics.append({k: v.item() for k, v in trainer.callback_metrics.items()})


def fit(strategy, callbacks, **arguments):
    torch.manual_seed(0)
    model = PretrainedModule(
        (3, 32, 32), 2, "sigmoid", "squeezenet1_1", weights=None, hidden=(4,), **arguments
    )
    watch = Watch()
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        max_epochs=2,
        callbacks=[*callbacks, watch],
    )
    trainer.fit(model, ArrayDataModule(X, Y, val_size=6, batch_size=4))
    return {"states": watch.states, "metrics": watch.metrics, "runs": watch.runs}


def main(folder):
    warnings.filterwarnings("error")
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
    torch.set_num_threads(1)
    results = []
    for strategy, steps in (("ddp", []), ("ddp_find_unused_parameters_true", [Unfreeze(2, 1)])):
        cached = fit(strategy, [CacheFeatures(batch_size=8), *steps])
        results.append((cached, fit(strategy, steps)))
    torch.save(results, Path(folder, f"{torch.distributed.get_rank()}.pt"))


if __name__ == "__main__":
    main(sys.argv[1])
