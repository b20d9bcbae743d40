"""Commands ``fit``, ``validate``, ``test`` and ``predict``: the methods of the Trainer."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from lightning import LightningDataModule, LightningModule, Trainer

from dlp.callbacks import PredictionWriter
from dlp.console import say, scores_text
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError, check_choice, loading_weights
from dlp.files import TableWriter
from dlp.modules import SupervisedModule
from dlp.recipes.recipe import Recipe
from dlp.runs.recorder import at_threshold, stage_scores

_PIECES_PER_LINE = 16
#: Parts of the names of strategies whose processes return no predictions.
_OTHER_PROCESSES = ("spawn", "fork", "notebook")


def fit(recipe: Recipe) -> Trainer:
    """Train a model; record the run, and test it if the config says so.

    Args:
        recipe: Config.
    """
    data = recipe.data()
    model = recipe.model(data)
    is_tested = recipe.config.test_after_fit and not recipe.config.refit
    if is_tested and isinstance(data, SupervisedDataModule):
        data.inputs("test")  # its errors come before the training
    trainer = recipe.trainer()
    recorder = recipe.recorder
    if recorder is not None and recipe.config.refit:  # the last epoch is the only one to test
        has_test = isinstance(data, SupervisedDataModule) and data.has("test")
        recorder.test_after_fit = "last" if has_test else None
    with loading_weights(recipe.ckpt_path):
        trainer.fit(model, datamodule=data, ckpt_path=recipe.ckpt_path, weights_only=True)
    if recorder is not None and (tested := recorder.checkpoint_to_test):
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
    with loading_weights(recipe.ckpt_path):
        trainer.validate(
            model, datamodule=data, ckpt_path=recipe.ckpt_path, verbose=False, weights_only=True
        )
    say(f"validate{at_threshold(model)}: {scores_text(stage_scores(trainer, 'val'))}")


def test(recipe: Recipe) -> None:
    """Evaluate a trained model on the test part, and compare it with baselines.

    Args:
        recipe: Config.
    """
    data = recipe.data()
    model = recipe.model(data)
    with loading_weights(recipe.ckpt_path):
        recipe.trainer().test(
            model,
            datamodule=data,
            ckpt_path=recipe.ckpt_path,
            verbose=recipe.is_dev_run,
            weights_only=True,
        )


def predict(
    recipe: Recipe,
    output: Path | None = None,
    text: list[str] | None = None,
    with_inputs: bool = False,
) -> None:
    """Write the predictions of a trained model.

    Args:
        recipe: Config.
        output: File of the predictions, .csv or .parquet.
        text: Texts to predict.
        with_inputs: Whether the inputs of a table are written too.
    """
    _check_output(output)
    _check_strategy(recipe)
    if text:
        _set_texts(recipe, text)
    data = recipe.data(check_rows=False)
    model = recipe.model(data)
    is_ours = isinstance(data, SupervisedDataModule) or isinstance(model, SupervisedModule)
    if recipe.is_dev_run:
        say("fast_dev_run: predicts one batch and writes no file")
    if recipe.is_dev_run or not (is_ours or output):  # steps of others may return anything
        _predict(recipe.trainer(run_dir=None), model, data, recipe.ckpt_path)
        return
    path = output or _usual_output(recipe)
    with TableWriter(path) as table:
        writer = PredictionWriter(table.append, with_inputs)
        trainer = recipe.trainer(run_dir=None, callbacks=[writer])
        ckpt_path = recipe.ckpt_path
        for number, piece in enumerate(_pieces(data, trainer.limit_predict_batches), 1):
            if isinstance(piece, SupervisedDataModule) and piece.rows_to_predict is None:
                recipe.check_rows(piece)  # the test part is predicted
            _predict(trainer, model, piece, ckpt_path)
            ckpt_path = None  # the model has its weights
            if number % _PIECES_PER_LINE == 0:
                say(f"{writer.num_rows:,} rows")
    if path is not None:
        say(f"wrote {writer.num_rows:,} predictions to {path}")


def _check_output(output: Path | None) -> None:
    """Refuse a file of another kind, or one that exists."""
    if output is None:
        return
    check_choice("ending of --output", output.suffix, (".csv", ".parquet"))
    if output.exists():
        raise InputError(f"{output} exists and is not overwritten; give another --output.")


def _check_strategy(recipe: Recipe) -> None:
    """Refuse strategies whose processes return no predictions."""
    strategy = str(recipe.config.trainer.strategy)
    if any(part in strategy for part in _OTHER_PROCESSES):
        raise InputError(
            f"trainer.strategy: {strategy} predicts in other processes, which return nothing to "
            "write. Leave it out, or give --trainer.strategy ddp."
        )


def _set_texts(recipe: Recipe, texts: list[str]) -> None:
    """Predict texts in place of the test part."""
    arguments = recipe.config.data.get("init_args", {})
    if "predict_texts" not in arguments:
        raise InputError("--text is for models of texts; give --data.predict_path FILE.")
    arguments["predict_texts"] = texts


def _usual_output(recipe: Recipe) -> Path | None:
    """Return the file of the predictions in the run's folder; None prints them, for typed texts."""
    arguments = recipe.config.data.get("init_args", {})
    if recipe.run is None or arguments.get("predict_texts"):
        return None
    name = "predictions"
    if arguments.get("predict_path"):
        name += f"_{Path(arguments.predict_path).stem}"
    return recipe.run.folder / f"{name}.csv"


def _pieces(data: LightningDataModule, limit: int | float) -> Iterable[LightningDataModule]:
    """Return the data of each piece of the rows to predict.

    A limit of batches applies to the first piece, and ends there. 1 is a batch, 1.0 all of them.
    """
    pieces: Iterable[LightningDataModule] = [data]
    if isinstance(data, SupervisedDataModule):
        pieces = data.pieces_to_predict()
    if isinstance(limit, int) or limit < 1:
        pieces = islice(pieces, 1)
    return pieces


def _predict(
    trainer: Trainer,
    model: LightningModule,
    data: LightningDataModule,
    ckpt_path: Path | None,
) -> None:
    """Predict with the weights of a checkpoint; None keeps the weights of the model."""
    with loading_weights(ckpt_path):
        trainer.predict(
            model,
            datamodule=data,
            return_predictions=False,
            ckpt_path=ckpt_path,
            weights_only=True,
        )
