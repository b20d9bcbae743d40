"""Reasons of a prediction: weights of words, differences by columns, heat maps of images."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from dlp.errors import InputError
from dlp.visualization.grad_cam import GradCAM
from dlp.visualization.words import word_weights

if TYPE_CHECKING:
    from dlp.inference.predictor import Predictor

#: Names of the first columns of a bag, before its words.
SPECIAL = ["", "(start)", "(unknown words)", ""]


def explain(predictor: "Predictor", row: Any) -> Any:
    """Return the reasons of the prediction of a row, as `Predictor.explain` does."""
    row = row.to_dict() if isinstance(row, pd.Series) else row
    kind, head, scores = predictor.inputs["kind"], predictor.head, predictor.scores([row])[0]
    number = int(scores.argmax()) if head["task"] else 0
    if head["task"] == "binary":
        number = int(scores[1] > head["threshold"])
    if kind == "table":
        frame = pd.DataFrame(_differences(predictor, row, number))
        return frame.sort_values("difference", key=abs, ascending=False, ignore_index=True)
    if kind == "array" or not predictor.modules:
        raise InputError("explain takes a table, or text and images with the run's checkpoint.")
    number = 1 if len(scores) == 1 else number
    reasons = []
    for model, served in zip(predictor.models, predictor.modules, strict=True):
        inputs = served.inputs(torch.from_numpy(model.read([row])[0]))
        if kind == "image":
            heat = GradCAM(served.network)(inputs, number)[0].numpy()
            reasons.append(heat / max(heat.max(), 1e-12))
        else:
            weights = word_weights(served.network, inputs, number)[0].numpy()
            words = [*SPECIAL, *model.inputs["words"]]
            reasons.append({words[id]: weights[id] for id in inputs[0].nonzero().flatten()})
    if kind == "image":
        return np.mean(reasons, axis=0)
    mean = pd.DataFrame(reasons).fillna(0).mean().sort_values(key=abs, ascending=False)
    return mean.rename_axis("word").reset_index(name="weight")


def _differences(predictor: "Predictor", row: Mapping[str, Any], number: int) -> list[Any]:
    """Return how a score differs from that of the row with the typical cell of each column."""
    typical = {name: cell for name, cell in predictor.inputs["typical"].items() if name in row}
    for name in {*typical} & {*predictor.inputs["dates"]}:
        typical[name] = datetime.fromisoformat(typical[name])
    rows = [row, *({**row, name: cell} for name, cell in typical.items())]
    score, *others = predictor.scores(rows)[:, number].tolist()
    return [
        {"column": name, "value": row[name], "typical": cell, "difference": score - other}
        for (name, cell), other in zip(typical.items(), others, strict=True)
    ]
