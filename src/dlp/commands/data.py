"""``dlp data``: what the data are taken for, before anything is trained."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlp.commands.building import working
from dlp.commands.visualize.batch import first_images
from dlp.commands.visualize.images import has_images
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError
from dlp.files import check_place, write_text
from dlp.recipe import Recipe
from dlp.runs.folders import ROOT
from dlp.visualization.files import save_drawing
from dlp.visualization.image_grids import image_grid


@dataclass(frozen=True)
class DataOptions:
    """The options of ``dlp data``.

    Args:
        output: A JSON file to write too (default: none).
    """

    output: str | None = None


def show_data(recipe: Recipe) -> None:
    """Print what the data of a recipe are taken for; no model is built or trained.

    Args:
        recipe: Of which the data are read and split; its `output` is a JSON file to write too.

    Raises:
        InputError: The data cannot be read, or the JSON file cannot be written.
    """
    with working(recipe):
        output = recipe.run.output
        if output is not None:  # said before any data are read
            check_place(Path(output))
        data = recipe.data()
        reading = data.reading()
        say(str(reading))
        if recipe.is_trial:
            return
        if has_images(data):
            _draw_batch(data, ROOT / recipe.name / "batch.png")
        if output is not None:
            text = json.dumps(reading.to_dict(), indent=2, ensure_ascii=False)
            try:
                write_text(Path(output), text)
            except OSError as error:
                raise InputError(f"cannot write {output}: {error.strerror}.") from error
            say(f"wrote {output}")


def _draw_batch(data: SupervisedDataModule, path: Path) -> None:
    """Draw the first training images as the model sees them; tell where they cannot be."""
    try:
        save_drawing(image_grid(*first_images(data, count=16, copies=1)), path)
        say(f"wrote {path}")
    except InputError as error:  # a folder that nothing is written into hides no reading
        say(str(error))


def main(words: Sequence[str]) -> None:
    """Run ``dlp data`` with the words after it."""
    show_data(Recipe.parse(words, "data", DataOptions, needs_model=False))
