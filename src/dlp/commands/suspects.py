"""Command ``suspects``: rows whose label may be wrong."""

import pandas as pd
from jsonargparse.typing import PositiveInt

from dlp.callbacks.mistakes import write_mistakes
from dlp.console import say
from dlp.files import write_table
from dlp.recipes.restoring import out_of_fold_outputs
from dlp.runs.folder import Run


def suspects(run: str, count: PositiveInt = 100) -> pd.DataFrame:
    """List the rows whose label the predictions of ``crossval`` doubt most.

    These are rows that the model of their fold, which did not train on them, predicts as another
    class; the lowest ``probability`` of the given class (``true``) comes first. Of several labels
    in a row the most doubted one counts, of values the error in deviations of the target.
    ``suspects.csv`` and, of images, ``suspects.png`` show them; ``mistakes.json`` and its figures
    describe all rows. ``contradictions.csv`` has a row per label of each input that has
    several, by ``hash``: all cells, all characters of a text, or all pixels of the resized images
    are equal.

    Args:
        run: Folder of a run of ``crossval``, or name of a config (its newest run).
        count: Largest number of rows; a person looks through 100 in half an hour.
    """
    folder = Run.find(run, "folds").folder
    data, predictions = out_of_fold_outputs(folder)
    outputs = predictions.outputs
    answer = predictions.answer
    worst = write_mistakes(folder, data, "train", outputs, answer, "suspects", count).worst
    if not len(worst):
        say("no row is predicted as another class")
    else:
        say(worst.head(16).round(4).to_string(index=False, max_colwidth=60))
    hashes = data.examples("train").hashes
    if answer.task is not None and hashes is not None:
        rows = predictions.frame[["index", "target"]].assign(hash=hashes[outputs["index"]])
        distinct = rows.drop_duplicates(["hash", "target"])
        doubles = distinct[distinct.duplicated("hash", keep=False)].sort_values("hash")
        say(f"{len(doubles):,} rows have the input of another row and another label")
        if len(doubles):
            write_table(folder / "contradictions.csv", doubles)
    say(f"wrote {folder / 'suspects.csv'}")
    return worst
