"""Command ``data``: the rows of a config as they are read."""

from dlp.console import say
from dlp.datamodules.base import Part
from dlp.lightning_cli.recipe import Recipe


def data(recipe: Recipe) -> None:
    """Describe the data of a config, and count the rows of its parts.

    Args:
        recipe: Config.
    """
    module = recipe.data()
    say(module.describe())
    labelled: tuple[Part, ...] = ("train", "val", "test")
    sizes = [f"{part} {len(module.examples(part)):,}" for part in labelled if module.has(part)]
    say(f"\nrows per part: {', '.join(sizes)}")
