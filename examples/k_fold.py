"""K-fold validation by hand: a fresh model for each fold, statistics from its own training part.

python examples/k_fold.py: house prices of Boston's districts, which come with mlxtend.
"""

import logging
import statistics

import torch
from lightning import Trainer

from dlp.datamodules import HousingDataModule
from dlp.modules import DenseModule

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
torch.set_num_threads(1)  # the fastest for models this small
NUM_FOLDS, EPOCHS = 4, 20

errors = []
for fold in range(NUM_FOLDS):
    torch.manual_seed(fold)
    data = HousingDataModule(num_folds=NUM_FOLDS, fold=fold)
    model = DenseModule(data.input_shape, data.num_outputs, head="regression", hidden=[64, 64])
    trainer = Trainer(  # a new one, too: a Trainer that has fitted once fits no second model
        max_epochs=EPOCHS,
        check_val_every_n_epoch=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    errors.append(trainer.callback_metrics["val_mae"].item())
    print(f"fold {fold}: mean absolute error {errors[-1]:.2f} thousand dollars")
print(f"mean {statistics.mean(errors):.2f}, standard deviation {statistics.stdev(errors):.2f}")
