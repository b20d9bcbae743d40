"""Command ``fit``: train a model."""

from lightning import Trainer

from dlp.commands.evaluate import checkpoint_arguments
from dlp.datamodules.base import SupervisedDataModule
from dlp.lightning_cli.recipe import Recipe


def fit(recipe: Recipe) -> Trainer:
    """Train a model; record the run, and test it if the config says so.

    Args:
        recipe: Config.
    """
    data = recipe.data()
    model = recipe.model(data)
    if recipe.config.refit:  # the last epoch is the only one to test
        has_test = isinstance(data, SupervisedDataModule) and data.has("test")
        recipe.config.test_after_fit = "last" if has_test else None
    elif recipe.config.test_after_fit and isinstance(data, SupervisedDataModule):
        data.inputs("test")  # its errors come before the training
    trainer = recipe.trainer()
    trainer.fit(model, datamodule=data, **checkpoint_arguments(recipe))
    if recipe.recorder is not None and (tested := recipe.recorder.checkpoint_to_test):
        trainer.test(model, datamodule=data, ckpt_path=tested, verbose=False, weights_only=True)
    return trainer
