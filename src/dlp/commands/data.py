"""Command ``data``: what the rows of a config are read as."""

from dlp.console import say
from dlp.datamodules.ownership import supervised_data
from dlp.recipes.recipe import Recipe


def data(recipe: Recipe) -> None:
    """Describe the data of a config, and count the rows of its parts.

    Args:
        recipe: Config.
    """
    module = supervised_data(recipe.data())
    say(module.labelled.describe())
    sizes = [f"{part} {len(rows):,}" for part, rows in module.labelled_parts().items()]
    say(f"\nrows per part: {', '.join(sizes)}")
