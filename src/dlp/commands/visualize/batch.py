"""``dlp visualize batch``: what the model will see, drawn before anything is trained."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dlp.commands.building import working
from dlp.commands.visualize.images import check_shows_images, target_in_words
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError
from dlp.recipe import Recipe
from dlp.runs.folders import ROOT
from dlp.visualization.files import save_drawing
from dlp.visualization.image_grids import image_grid


@dataclass(frozen=True)
class BatchOptions:
    """The options of ``dlp visualize batch``.

    Args:
        output: The PNG to write (default: runs/<config name>/batch.png).
        num_images: Images to draw (default: 16).
        copies: Draw each image as so many epochs change it, side by side (default: 1).

    Raises:
        InputError: A number is below 1.
    """

    output: str | None = None
    num_images: int = 16
    copies: int = 1

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.num_images < 1 or self.copies < 1:
            raise InputError(
                f"num_images and copies must be 1 or more; got {self.num_images} and {self.copies}."
            )


def draw_batch(recipe: Recipe, options: BatchOptions) -> None:
    """Draw the first training images of a recipe; nothing is trained.

    Raises:
        InputError: The data are no images, or nothing can be written there.
    """
    with working(recipe):
        data = recipe.data()
        check_shows_images("batch", data)
        images, titles = first_images(data, options.num_images, options.copies)
        columns = options.copies if options.copies > 1 else None
        figure = image_grid(images, titles, columns=columns)
        if not recipe.is_trial:
            place = Path(options.output or ROOT / recipe.name / "batch.png")
            save_drawing(figure, place)
            say(f"wrote {place}")


def first_images(data: SupervisedDataModule, count: int, copies: int) -> tuple[Tensor, list[str]]:
    """Return the first training images as the first epochs see them, and what they show."""
    loader = data.train_dataloader()
    rows = torch.cat(list(loader.batch_sampler))[: max(1, count // copies)]
    views = [loader.inputs_of(rows, epoch) for epoch in range(copies)]
    images = torch.stack(views, dim=1).flatten(0, 1)
    targets = [] if loader.targets is None else loader.targets[rows].tolist()
    titles = [target_in_words(target, data.class_names) for target in targets]
    return images, [title for title in titles for _ in range(copies)]
