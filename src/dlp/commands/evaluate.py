"""``dlp validate`` and ``dlp test``: the numbers of a trained model, beside what guessing gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from dlp.callbacks.mistakes_report import MistakesReport
from dlp.commands import next_steps
from dlp.commands.building import build, working
from dlp.commands.invocation import started
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.directions import directions_of
from dlp.errors import InputError
from dlp.evaluation.baselines import Baselines, baseline_line, baselines_on
from dlp.evaluation.fitted_baselines import (
    EvaluatedPart,
    FittedBaseline,
    as_baselines,
    fitted_baselines,
    fitted_lines,
)
from dlp.recipe import Recipe
from dlp.runs.folders import Run, run_of
from dlp.runs.record import add_baselines, add_test, read_results

Evaluation = Literal["test", "validation"]
#: What gives the baselines that learn: they are fitted when they are asked for.
Fitted = Callable[[], Mapping[str, FittedBaseline]]


@dataclass(frozen=True)
class EvaluationOptions:
    """The options of an evaluation.

    Args:
        verbose: Print the numbers as a table.
    """

    verbose: bool = True


def test(
    recipe: Recipe,
    checkpoint: Path | None,
    verbose: bool = True,  # noqa: PT028 - of Lightning's Trainer.test
) -> dict[str, float]:
    """Test a checkpoint; its numbers go into the ``results.json`` of its run.

    Args:
        recipe: Of the run.
        checkpoint: What to test; None for random weights.
        verbose: Whether to print a table of the numbers.

    Raises:
        InputError: The checkpoint goes with other data, or there is no test part.
    """
    return _evaluate(recipe, checkpoint, "test", verbose)


def validate(recipe: Recipe, checkpoint: Path | None, verbose: bool = True) -> dict[str, float]:
    """Evaluate a checkpoint on the validation part, as `test` does on the test part."""
    return _evaluate(recipe, checkpoint, "validation", verbose)


def _evaluate(
    recipe: Recipe, checkpoint: Path | None, name: Evaluation, verbose: bool
) -> dict[str, float]:
    with working(recipe):
        run = None if checkpoint is None else run_of(checkpoint)
        if run is not None:
            read_results(run.folder)  # said before the work, if they are damaged
        built = build(recipe, checkpoint)
        data, model = built.data, built.model
        folder = None if run is None or recipe.is_trial else run.folder
        callbacks = [] if folder is None else [MistakesReport(folder)]
        trainer = built.trainer(callbacks, folder)
        parts: list[EvaluatedPart] = ["test" if name == "test" else "val"]
        fitted = partial(fitted_baselines, model, data, parts) if recipe.run.baselines else None
        return evaluated(trainer, model, data, name, checkpoint, run, fitted, verbose)


def evaluated(
    trainer: Trainer,
    model: LightningModule,
    data: SupervisedDataModule,
    name: Evaluation,
    checkpoint: Path | None,
    run: Run | None,
    fitted: Fitted | None,
    verbose: bool = True,
) -> dict[str, float]:
    """Evaluate a model, say what guessing would give, and keep the numbers.

    Args:
        trainer: What evaluates it.
        model: The model.
        data: Its data.
        name: On which part.
        checkpoint: Whose weights; None for those that the model has.
        run: Where the numbers are kept; None keeps none.
        fitted: Baselines that learn, to stand beside it.
        verbose: Whether to print a table of the numbers.

    Raises:
        InputError: There is no such part.
    """
    is_trial = bool(getattr(trainer, "fast_dev_run", False))
    if name == "test" and checkpoint is not None and not data.has_test:
        instead = next_steps.command("validate", "--ckpt_path", checkpoint)
        raise InputError(
            f"there is no test part. {data.test_advice} The validation part is evaluated by: "
            f"{instead}"
        )
    if name == "validation" and is_trial and not len(data.examples("val").rows):
        say("there is no validation part: nothing to validate")
        return {}
    run_it = trainer.test if name == "test" else trainer.validate
    path = None if checkpoint is None else str(checkpoint)
    metrics = dict(run_it(model, None, path, verbose, data, weights_only=True)[0])
    if is_trial:
        return metrics
    part: EvaluatedPart = "test" if name == "test" else "val"
    if found := baselines_on(model, data, part):
        say(baseline_line(found))
    if getattr(rank_zero_only, "rank", 0):
        return metrics
    folder = None if run is None else run.folder
    if fitted is not None:
        found |= say_fitted(fitted(), model, metrics, part, folder)
    if folder is not None:
        add_test(folder, metrics, path, found, name)
    return metrics


def test_main(words: Sequence[str]) -> None:
    """Run ``dlp test`` with the words after it."""
    recipe, checkpoint = started("test", words, EvaluationOptions)
    test(recipe, checkpoint, recipe.options(EvaluationOptions).verbose)


def validate_main(words: Sequence[str]) -> None:
    """Run ``dlp validate`` with the words after it."""
    recipe, checkpoint = started("validate", words, EvaluationOptions)
    validate(recipe, checkpoint, recipe.options(EvaluationOptions).verbose)


def say_fitted(
    found: Mapping[str, FittedBaseline],
    model: LightningModule,
    scores: Mapping[str, float],
    part: EvaluatedPart,
    folder: Path | None,
) -> Baselines:
    """Say how baselines that learn do on a part beside a model's scores, and which is better.

    Their numbers are kept in the run's folder, if there is one.

    Returns:
        Model -> metric -> number.
    """
    for line in fitted_lines(found, scores, part, directions_of(model)):
        say(line)
    if folder is not None:
        add_baselines(folder, {name: each.record() for name, each in found.items()})
    return as_baselines(found, part)
