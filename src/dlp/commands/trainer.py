"""Commands ``fit``, ``validate``, ``test`` and ``predict``, which call methods of the Trainer."""

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
#: Strategies with one of these words in their name run in processes that return no predictions.
_OTHER_PROCESSES = ("spawn", "fork", "notebook")


def fit(recipe: Recipe) -> Trainer:
    """Train a model, record the run, and test the model if the config says so.

    The command reads the data that the config names. It writes a new run folder with checkpoints,
    metrics, curves and results, prints how the validation curve developed, and proposes the next
    command. The model is tested only if ``test_after_fit`` or ``refit`` is set. Otherwise run
    ``dlp test`` when you have chosen the settings.

    Args:
        recipe: Config.
    """
    data = recipe.data()
    model = recipe.model(data)
    is_tested = recipe.config.test_after_fit and not recipe.config.refit
    if is_tested and isinstance(data, SupervisedDataModule):
        data.inputs("test")  # so that an error in it is raised before the training
    trainer = recipe.trainer()
    recorder = recipe.recorder
    # After a refit there is no validation, so only the last epoch can be tested.
    if recorder is not None and recipe.config.refit:
        has_test = isinstance(data, SupervisedDataModule) and data.has("test")
        recorder.test_after_fit = "last" if has_test else None
    with loading_weights(recipe.ckpt_path):
        trainer.fit(model, datamodule=data, ckpt_path=recipe.ckpt_path, weights_only=True)
    if recorder is not None and (tested := recorder.checkpoint_to_test):
        trainer.test(model, datamodule=data, ckpt_path=tested, verbose=False, weights_only=True)
    return trainer


def validate(recipe: Recipe) -> None:
    """Evaluate a trained model on the validation part of its data.

    The command reads the best checkpoint of the newest run of the config, or the checkpoint that
    ``--ckpt_path`` names. It prints the scores and writes nothing.

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
    """Evaluate a trained model on the test part of its data, and compare it with baselines.

    The command reads the best checkpoint of the newest run of the config, or the checkpoint that
    ``--ckpt_path`` names. It prints the scores, and writes them and the model's mistakes to the
    folder of the run. ``dlp report`` then shows them on one page.

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
    """Predict new rows or the test part with a trained model, and write the predictions.

    The command reads the best checkpoint of the newest run of the config, or the checkpoint that
    ``--ckpt_path`` names. The rows come from the file or folder that ``--data.predict_path`` names
    or from ``--text``. Without either, the test part is predicted.

    Args:
        recipe: Config.
        output: New file for the predictions, .csv or .parquet. None means ``predictions.csv``, or
            ``predictions_<name>.csv`` for a file <name>, in the folder of the run. Predictions for
            ``--text`` are printed instead.
        text: Texts to predict.
        with_inputs: Whether to write the input columns of a table, too.
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
    if recipe.is_dev_run or not (is_ours or output):  # other steps may return anything
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
            ckpt_path = None  # the weights are loaded only once
            if number % _PIECES_PER_LINE == 0:
                say(f"{writer.num_rows:,} rows")
    if path is not None:
        say(f"wrote {writer.num_rows:,} predictions to {path}")


def _check_output(output: Path | None) -> None:
    """Check that the output is a .csv or .parquet file, and that it does not exist."""
    if output is None:
        return
    check_choice("ending of --output", output.suffix, (".csv", ".parquet"))
    if output.exists():
        raise InputError(f"{output} exists and will not be overwritten. Give another --output.")


def _check_strategy(recipe: Recipe) -> None:
    """Check that the processes of the strategy return their predictions."""
    strategy = str(recipe.config.trainer.strategy)
    if any(part in strategy for part in _OTHER_PROCESSES):
        raise InputError(
            f"trainer.strategy: {strategy} predicts in other processes, which do not return their "
            "predictions. Leave it out, or give --trainer.strategy ddp."
        )


def _set_texts(recipe: Recipe, texts: list[str]) -> None:
    """Set texts to predict instead of the test part."""
    arguments = recipe.config.data.get("init_args", {})
    if "predict_texts" not in arguments:
        raise InputError("--text is for models of texts; give --data.predict_path FILE.")
    arguments["predict_texts"] = texts


def _usual_output(recipe: Recipe) -> Path | None:
    """Return the file in the run folder to which predictions are written by default.

    None means that they are printed, which is the default for texts from the command line.
    """
    arguments = recipe.config.data.get("init_args", {})
    if recipe.run is None or arguments.get("predict_texts"):
        return None
    name = "predictions"
    if arguments.get("predict_path"):
        name += f"_{Path(arguments.predict_path).stem}"
    return recipe.run.folder / f"{name}.csv"


def _pieces(data: LightningDataModule, limit: int | float) -> Iterable[LightningDataModule]:
    """Return one DataModule for each piece of the rows to predict.

    Args:
        data: Data with all rows to predict.
        limit: The Trainer's ``limit_predict_batches``. If it limits the batches, only the first
            piece is returned. As in Lightning, 1 means one batch, and 1.0 means all batches.
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
    """Predict with the weights of a checkpoint. None keeps the weights that the model has."""
    with loading_weights(ckpt_path):
        trainer.predict(
            model,
            datamodule=data,
            return_predictions=False,
            ckpt_path=ckpt_path,
            weights_only=True,
        )
