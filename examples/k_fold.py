"""Repeated K-fold validation in Python: fresh models and statistics for each fold, all at once.

python examples/k_fold.py: house prices of Boston's districts, which come with mlxtend.
"""

import torch
from sklearn.model_selection import ShuffleSplit

from dlp.crossval import cross_validate
from dlp.datamodules import HousingDataModule, SupervisedDataModule
from dlp.modules import DenseModule

torch.set_num_threads(1)  # the fastest for models this small


def make_model(data: SupervisedDataModule) -> DenseModule:
    """Return a new model; `data` has the sizes of the fold it is for."""
    return DenseModule(data.input_shape, data.num_outputs, head="regression", hidden=[64, 64])


data = HousingDataModule(split_seed=0)
result = cross_validate(data, make_model, max_epochs=20, num_folds=4, repeats=5)
print(result.table())
mean, error = result.mean["val_mae"], result.standard_error["val_mae"]
print(f"mean absolute error {mean:.2f} thousand dollars (standard error {error:.2f})")
print(f"the mean curve was best at epoch {result.best_epoch}")

# Any object with split(X, y, groups) gives the folds as well: scikit-learn has many.
halves = ShuffleSplit(n_splits=10, train_size=0.5, random_state=0)
result = cross_validate(data, make_model, max_epochs=20, splitter=halves)
print(f"trained on half of the rows: {result.mean['val_mae']:.2f}")
