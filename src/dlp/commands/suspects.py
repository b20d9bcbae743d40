"""Command ``suspects``: rows whose label may be wrong."""

from typing import Any

import pandas as pd

from dlp.callbacks.mistakes import write_mistakes
from dlp.callbacks.predictions import out_of_fold
from dlp.commands.crossval import crossval
from dlp.console import say
from dlp.datamodules.parts import rows_fingerprint
from dlp.errors import InputError
from dlp.evaluation.suspects import contradictions
from dlp.files import write_csv
from dlp.folds.plan import read_folds
from dlp.lightning_cli.recipe import Recipe
from dlp.runs.folder import find_runs

_NUM_PRINTED = 16


def suspects(
    run: str,
    count: int = 100,
) -> pd.DataFrame:
    """List the rows whose label the predictions of ``crossval`` doubt most.

    These are rows that the model of their fold, which did not train on them, predicts as another
    class; the lowest ``probability`` of the given class (``true``) comes first. Of several labels
    in a row the most doubted one counts, of values the error in deviations of the target.
    ``suspects.csv`` and, of images, ``suspects.png`` show them; ``mistakes.json`` and its figures
    are those of all rows. ``contradictions.csv`` has the rows with the input of another row and
    another label, by ``hash``: all cells, all characters of a text, or all pixels of the resized
    images are equal.

    Args:
        run: Folder of a run of ``crossval``, or name of a config (its newest run).
        count: Largest number of rows; a person looks through 100 in half an hour.
    """
    folder = find_runs(run, "folds.jsonl")[-1].folder
    data = Recipe("crossval", ["--config", f"{folder}/config.yaml"], crossval).data()
    folds = list(read_folds(folder / "folds.jsonl", []))
    if not folds[0].rows.startswith(rows_fingerprint(data.labelled.parts, data.targets)):
        raise InputError(
            f"the rows have changed since {folder} was validated. Run dlp crossval again, with "
            "another --run_dir."
        )
    predictions = out_of_fold(data, folds)  # from here on all rows are in the training part
    train: Any = data.examples("train")
    rows = pd.Index(train.index).get_indexer(predictions["index"])
    kind = "probabilities" if "class" in predictions else "values"
    outputs = {
        "rows": rows,
        "targets": data.targets.encode(train.targets[rows]),
        kind: predictions.iloc[:, -data.num_outputs :].to_numpy(),
    }
    threshold = folds[0].predictions["threshold"]
    worst = write_mistakes(folder, data, "train", outputs, threshold, "suspects", count)
    say(worst.head(16).round(4).to_string(index=False, max_colwidth=60))
    if kind == "probabilities" and train.hashes is not None:
        predictions["hash"] = train.hashes[rows]
        doubles = contradictions(predictions[["index", "target", "hash"]])
        say(f"{len(doubles):,} rows have the input of another row and another label")
        if len(doubles):
            write_csv(folder / "contradictions.csv", doubles)
            say(doubles.head(16).to_string(index=False))
    return worst
