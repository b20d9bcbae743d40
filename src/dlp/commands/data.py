"""Command ``data``: show how the data of a config is read."""

from dlp.console import say
from dlp.datamodules.ownership import supervised_data
from dlp.recipes.recipe import Recipe


def data(recipe: Recipe) -> None:
    """Show how the data of a config is read, and count the rows of each part.

    The command reads the data and prints a description. It does not train a model and does not
    write to the disk, except to the cache. For a table, the description lists the kind, the missing
    cells, the distinct cells and the range of each column. If a column is read as the wrong kind,
    correct the config before you train with ``dlp fit``.

    Args:
        recipe: Config.
    """
    module = supervised_data(recipe.data())
    say(module.labelled.describe())
    sizes = [f"{part} {len(rows):,}" for part, rows in module.labelled_parts().items()]
    say(f"\nrows per part: {', '.join(sizes)}")
