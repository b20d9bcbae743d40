"""The section of a report that sets the model beside simple models fitted on the same split."""

from collections.abc import Mapping, Sequence
from typing import Any

from dlp.errors import InputError
from dlp.evaluation.fitted_baselines import EvaluatedPart, fitted_verdict
from dlp.reports import page
from dlp.reports.page import Block
from dlp.reports.trained_run import Trained

_PARTS: dict[EvaluatedPart, str] = {"val": "validation", "test": "test"}


def baselines(trained: Trained) -> Sequence[Block]:
    """Return a table for each part: the simple models, their numbers and times, and the model."""
    if not trained.baselines:
        raise InputError(
            trained.problem
            or "no baselines were fitted; the option --baselines true does it, of a fit or a test"
        )
    blocks: list[Block] = []
    for part, words in _PARTS.items():
        numbers = trained.baseline_numbers(part)
        own = _own(trained, part)
        if not numbers or not own:
            continue
        verdict = fitted_verdict(numbers, own, part, trained.run.epochs.directions)
        names = list(dict.fromkeys(name for scores in numbers.values() for name in scores))
        rows = [
            [record["model"], record["rows"], f"{record['seconds']:.1f}"]
            + [record.get(part, {}).get(name) for name in names]
            for record in trained.baselines.values()
        ]
        seconds = trained.run.results.get("seconds", {}).get("fit")
        mine = ["this model", trained.run.results.get("train_rows", 0)]
        mine.append(None if seconds is None else f"{seconds:.1f}")
        rows.append([*mine, *(own.get(f"{part}_{name}") for name in names)])
        head = ["model", "rows", "seconds", *names]
        blocks.append(page.Table(f"On the {words} part", head, rows, last=1))
        if verdict:
            blocks.append(page.Paragraph(f"{verdict[:1].upper()}{verdict[1:]}."))
    return blocks


def _own(trained: Trained, part: str) -> Mapping[str, Any]:
    """Return the model's own numbers: of its best epoch, or of its test."""
    if part == "test":
        test: dict[str, Any] = trained.run.results.get("test", {})
        return test
    epochs = trained.run.epochs
    return epochs.at(epochs.best_epoch(trained.run.monitor) or epochs.num_epochs)
