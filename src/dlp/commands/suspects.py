"""Command ``suspects``: list the rows whose labels are probably wrong."""

import pandas as pd
from jsonargparse.typing import PositiveInt

from dlp.callbacks.mistakes import write_mistakes
from dlp.console import say
from dlp.files import write_table
from dlp.recipes.restoring import out_of_fold_outputs
from dlp.runs.folder import Run


def suspects(run: str, count: PositiveInt = 100) -> pd.DataFrame:
    """List the rows whose labels are probably wrong.

    The command reads the out-of-fold predictions of ``dlp crossval``. A row is listed if the model
    that was not trained on it predicts another class. The rows with the lowest ``probability`` of
    their given class (``true``) come first. Rows with several labels are ranked by their least
    likely label. If the targets are values, rows are ranked by their error, divided by the standard
    deviation of the target.

    The command writes the list to ``suspects.csv`` in the folder of the run and, for images, draws
    it in ``suspects.png``. It also writes ``mistakes.json`` and its figures, which describe all
    rows. If the same input appears with different labels, ``contradictions.csv`` contains one row
    for each of these labels, and equal inputs have the same ``hash``. Two inputs are equal if all
    cells, all characters of the texts or all pixels of the resized images are equal.

    Check the listed rows by eye, correct the labels in your data, and train again.

    Args:
        run: Folder of a run of ``crossval``, or name of a config (its newest run).
        count: Largest number of rows in the list. A person checks 100 rows in about half an hour.
    """
    folder = Run.find(run, "folds").folder
    data, predictions = out_of_fold_outputs(folder)
    outputs = predictions.outputs
    answer = predictions.answer
    worst = write_mistakes(folder, data, "train", outputs, answer, "suspects", count).worst
    if not len(worst):
        say("for every row, the predicted class is the given class")
    else:
        say(worst.head(16).round(4).to_string(index=False, max_colwidth=60))
    hashes = data.examples("train").hashes
    if answer.task is not None and hashes is not None:
        rows = predictions.frame[["index", "target"]].assign(hash=hashes[outputs["index"]])
        distinct = rows.drop_duplicates(["hash", "target"])
        doubles = distinct[distinct.duplicated("hash", keep=False)].sort_values("hash")
        say(f"{len(doubles):,} rows have the same input as another row, but a different label")
        if len(doubles):
            write_table(folder / "contradictions.csv", doubles)
    say(f"wrote {folder / 'suspects.csv'}")
    return worst
