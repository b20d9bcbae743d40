"""Explain a prediction by the weights of words, the effects of columns, or a heat map."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dlp.errors import InputError
from dlp.inference.trained import TrainedModel
from dlp.reader.answer import decide
from dlp.reader.tokens import CHAR_NGRAM, tokenise
from dlp.visualization.grad_cam import GradCAM
from dlp.visualization.words import word_weights

if TYPE_CHECKING:
    from dlp.inference.predictor import Predictor


def explain(predictor: "Predictor", row: Any) -> Any:
    """Explain the prediction of a row, see `Predictor.explain`."""
    if isinstance(row, pd.Series):
        row = row.to_dict()
    explained_by = predictor.encoder.explained_by
    if explained_by is None:
        raise InputError(
            "explain: expected a model of tables, texts or images, got a model of "
            f"{predictor.encoder.kind}. The predictions of such a model cannot be explained."
        )
    scores = predictor.scores([row])
    answer = predictor.spec.answer
    number = 0  # the first target
    if answer.task == "multilabel":
        number = int(scores[0].argmax())
    elif answer.task is not None:
        number = int(decide(scores, answer.threshold)[0])
    if explained_by == "columns":
        return _columns(predictor, row, number)
    if not isinstance(predictor.models[0], TrainedModel):
        raise InputError(
            "explain: expected a run or a checkpoint, got an exported model, which cannot explain "
            "texts and images. Load the run or its checkpoint."
        )
    if scores.shape[1] == 1:
        number = 1  # class 1, whose logit is the only one; class 0 has its negative
    if explained_by == "words":
        return _words(predictor, row, number)
    return _pixels(predictor, row, number)


def _columns(
    predictor: "Predictor",
    row: dict[str, Any],
    number: int,
) -> pd.DataFrame:
    """Return how much the score changes if a cell is replaced by the typical cell of its column.

    ``difference`` is the score of the row minus the score of the changed row. A text column also
    has a line for each known word, whose ``difference`` compares with the text without this word.
    """
    encoder: Any = predictor.encoder
    rows = [row]
    lines = []
    for field in encoder.fields():
        name = field["name"]
        if name not in row:
            continue
        rows.append(row | {name: field["typical"]})
        lines.append((name, row[name], field["typical"]))
        if name in encoder.text_columns and isinstance(row[name], str):
            words = tokenise(row[name])
            known = encoder.categories_[name]
            for word in set(words).intersection(known):
                others = " ".join(other for other in words if other != word)
                rows.append(row | {name: others})
                lines.append((name, word, ""))
    scores = predictor.scores(rows)[:, number]
    columns = pd.DataFrame(lines, columns=["column", "value", "typical"], dtype=object)
    columns["difference"] = scores[0] - scores[1:]
    return columns.sort_values(
        "difference",
        key=abs,
        ascending=False,
        ignore_index=True,
    )


def _words(
    predictor: "Predictor",
    row: Any,
    number: int,
) -> pd.DataFrame:
    """Return the mean weight of each word over the networks, without n-grams of characters."""
    weights = []
    for model, network, inputs in predictor.networks_with_inputs(row):
        names: Any = np.array(model.encoder.column_names, object)
        ids = inputs[0].nonzero().flatten()
        values = word_weights(network, inputs, number)[0, ids]
        weights.append(pd.Series(values.numpy(), names[ids.numpy()]))
    mean = pd.concat(weights, axis=1).fillna(0).mean(axis=1)
    mean = mean.filter(regex=f"^(?!{CHAR_NGRAM})").sort_values(key=abs, ascending=False)
    return mean.rename_axis("word").reset_index(name="weight")


def _pixels(
    predictor: "Predictor",
    row: Any,
    number: int,
) -> Any:
    """Return the mean heat map over the networks, (h, w) in [0, 1]."""
    maps = []
    for _, network, inputs in predictor.networks_with_inputs(row):
        cam = GradCAM(network)
        heat = cam(inputs, number)[0].numpy()
        maps.append(heat / max(heat.max(), 1e-12))
    return np.mean(maps, axis=0)
