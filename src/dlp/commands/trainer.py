"""Commands ``fit``, ``validate``, ``test`` and ``predict``: the methods of the Trainer."""

from pathlib import Path

from lightning import Trainer

from dlp.callbacks import PredictionWriter
from dlp.console import say, scores_text
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError, check_choice
from dlp.lightning_cli.recipe import Recipe
from dlp.modules import SupervisedModule
from dlp.runs.folder import run_of
from dlp.runs.recorder import stage_scores


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
    trainer.fit(model, datamodule=data, ckpt_path=recipe.checkpoint, weights_only=True)
    if recipe.recorder is not None and (tested := recipe.recorder.checkpoint_to_test):
        trainer.test(model, datamodule=data, ckpt_path=tested, verbose=False, weights_only=True)
    return trainer


def validate(recipe: Recipe) -> None:
    """Evaluate a trained model on the validation part.

    Args:
        recipe: Config.
    """
    data = recipe.data()
    model = recipe.model(data)
    trainer = recipe.trainer(run_dir=None)
    trainer.validate(
        model, datamodule=data, ckpt_path=recipe.checkpoint, verbose=False, weights_only=True
    )
    say(f"validate: {scores_text(stage_scores(trainer, 'val'))}")


def test(recipe: Recipe) -> None:
    """Evaluate a trained model on the test part, beside baselines.

    Args:
        recipe: Config.
    """
    data = recipe.data()
    model = recipe.model(data)
    recipe.trainer().test(
        model,
        datamodule=data,
        ckpt_path=recipe.checkpoint,
        verbose=recipe.is_dev_run,
        weights_only=True,
    )


def predict(
    recipe: Recipe,
    output: Path | None = None,
    text: str | None = None,
    columns: bool = False,
) -> None:
    """Write the predictions of a trained model.

    Args:
        recipe: Config.
        output: File of the predictions, .csv or .parquet.
        text: Text to predict; can be given several times.
        columns: Whether the inputs of a table are written too.
    """
    if output is not None:
        check_choice("ending of --output", output.suffix, (".csv", ".parquet"))
        if output.exists():
            raise InputError(f"{output} exists and is not overwritten; give another --output.")
    data = recipe.data(check_rows=False)
    model = recipe.model(data)
    callbacks = []
    is_ours = isinstance(data, SupervisedDataModule) or isinstance(model, SupervisedModule)
    if recipe.is_dev_run:
        say("fast_dev_run: a batch is predicted, and nothing is written")
    elif recipe.checkpoint is not None and (is_ours or output):
        if getattr(data, "rows_to_predict", None) is None:  # the test part is predicted
            recipe.check_rows(data)
        path = output or _output(recipe, recipe.checkpoint)
        callbacks.append(PredictionWriter(path, columns))
    recipe.trainer(run_dir=None, callbacks=callbacks).predict(
        model,
        datamodule=data,
        return_predictions=False,
        ckpt_path=recipe.checkpoint,
        weights_only=True,
    )


def _output(recipe: Recipe, checkpoint: Path) -> Path | None:
    """Return the file of the predictions; None prints those of typed texts."""
    arguments = recipe.config.data.get("init_args", {})
    if arguments.get("predict_texts"):
        return None
    run = run_of(checkpoint)
    folder = run.folder if run else checkpoint.parent
    name = "predictions"
    if arguments.get("predict_path"):
        name += f"_{Path(arguments.predict_path).stem}"
    return folder / f"{name}.csv"
