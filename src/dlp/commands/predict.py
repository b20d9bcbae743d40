"""``dlp predict``: a trained model's predictions, as a table."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dlp.callbacks.predictions import PredictionWriter
from dlp.commands.building import build, run_folder, working
from dlp.commands.invocation import started
from dlp.recipe import Recipe
from dlp.runs.folders import Run, run_of
from dlp.runs.prediction_files import check_place, file_of, remember


@dataclass(frozen=True)
class PredictionOptions:
    """The options of a prediction.

    Args:
        text: A text to predict, of a model of texts; may be given several times. It is printed,
            and written where --output says.
    """

    text: str | None = None


def predict(recipe: Recipe, checkpoint: Path | None) -> None:
    """Write the predictions for the recipe's input, or for its test part.

    Args:
        recipe: Of the checkpoint's run; its `output` is the file to write.
        checkpoint: What predicts; None for random weights.

    Raises:
        InputError: The file cannot be written, or the checkpoint goes with other data.
    """
    with working(recipe):
        if recipe.run.output is not None:
            check_place(Path(recipe.run.output))
        built = build(recipe, checkpoint)
        run = None if checkpoint is None else run_of(checkpoint)
        with _writer(recipe, checkpoint, run) as writers:
            folder = None if run is None or recipe.is_trial else run.folder
            path = None if checkpoint is None else str(checkpoint)
            trainer = built.trainer(writers, folder)
            trainer.predict(built.model, None, built.data, False, path, weights_only=True)


@contextmanager
def _writer(
    recipe: Recipe, checkpoint: Path | None, run: Run | None
) -> Iterator[list[PredictionWriter]]:
    """Give what writes the predictions: to the file that is wished for, or into a run's folder."""
    arguments = recipe.config.data.init_args
    if recipe.is_trial:
        yield []
    elif recipe.run.output is not None:
        yield [PredictionWriter(Path(recipe.run.output))]
    elif arguments.get("predict_texts"):
        yield [PredictionWriter(None)]
    else:
        with run_folder(recipe, run) as place:
            given = arguments.get("predict_path")
            source = None if given is None else str(given)
            path = file_of(place.folder, source)
            yield [PredictionWriter(path)]
            remember(path, source, checkpoint)


def main(words: Sequence[str]) -> None:
    """Run ``dlp predict`` with the words after it."""
    predict(*started("predict", words, PredictionOptions))
