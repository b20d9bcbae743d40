"""Whether a model has learned anything: its validation beside a common-sense baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning import LightningModule

from dlp.checkpoint_content import read_checkpoint
from dlp.datamodules.base import SupervisedDataModule
from dlp.directions import direction
from dlp.evaluation.baselines import baselines_on, best_baseline
from dlp.modules.base import SupervisedModule
from dlp.modules.class_weights import WeightedLoss
from dlp.modules.heads import RegressionHead
from dlp.number_words import score_in_words

#: A class that so many rows are of hides the others from the accuracy.
_MOST = 0.8


@dataclass(frozen=True)
class Beaten:
    """A model's number beside that of the best baseline.

    Args:
        beats: Whether the model is better.
        line: One sentence for a model that is not better.
    """

    beats: bool
    line: str


def beaten_on(
    model: LightningModule, data: SupervisedDataModule, numbers: Mapping[str, float]
) -> Beaten | None:
    """Return a model's validation beside its baseline; None where they have no number in common.

    Decisions are compared, by the accuracy or the mean absolute error. Where classes are weighed
    or a threshold is chosen, a worse accuracy is what was asked for: then balanced accuracy and F1
    are compared (unless the threshold was chosen for it), and last the loss.

    Args:
        model: The model; there is no answer unless it is a `SupervisedModule`.
        data: Its data.
        numbers: What was logged at the best epoch.
    """
    summary, class_names = data.target_summary, data.class_names
    if not isinstance(model, SupervisedModule) or summary is None or "val_loss" not in numbers:
        return None
    head, found = model.head, baselines_on(model, data, "val")
    is_shifted = isinstance(head.loss, WeightedLoss) or (
        head.threshold_rule is not None or head.threshold != type(head).threshold
    )
    wanted = ("balanced_acc", "f1", "loss") if is_shifted else ("acc", "mae", "loss")
    for metric in wanted:
        if metric == head.threshold_rule:  # chosen on these rows, it is above the majority's 0
            continue
        mode = direction(metric)
        best = best_baseline(found, metric, mode)
        if f"val_{metric}" not in numbers or best is None:
            continue
        frequencies = summary.get("frequencies", [])
        single = not head.labels and bool(frequencies)
        always = f"the {best[0]}" if not frequencies else "each label's more frequent answer"
        if single:
            top = max(range(len(frequencies)), key=frequencies.__getitem__)
            always = f"{class_names[top]!r}" if class_names else f"class {top}"
        if metric == "loss" and frequencies:
            always = "the frequencies of the classes"
        advice = "look at the data (dlp data), the learning rate and the network"
        if isinstance(head, RegressionHead) and bool((head.std == 1).all()):
            advice = f"values far from 0 need --data.target_scaling standard; or {advice}"
        if single and not is_shifted and max(frequencies) >= _MOST:
            advice = (
                "a rare class is found by --model.class_weight balanced, or by a threshold (head: "
                "sigmoid, --model.threshold f1); metrics that see it are average_precision and "
                "balanced_acc"
            )
        own, theirs = numbers[f"val_{metric}"], best[1]
        line = (
            f"the best model is no better than always answering {always}: val_{metric} "
            f"{score_in_words(own)} against {score_in_words(theirs)}; {advice}"
        )
        return Beaten(own < theirs if mode == "min" else own > theirs, line)
    return None


def chosen_threshold(model: LightningModule, checkpoint: Path | None) -> float | None:
    """Return the threshold that a fit chose, of its best checkpoint; None where it chose none."""
    if not isinstance(model, SupervisedModule) or model.head.threshold_rule is None:
        return None
    if checkpoint is None:
        return model.head.threshold
    threshold: float = read_checkpoint(checkpoint)["head"]["threshold"]
    return threshold
