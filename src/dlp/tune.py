"""The search for hyperparameters, on Optuna: trials of any function, kept in a folder."""

import gc
import math
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import Trial, TrialState
from tqdm.auto import tqdm

from dlp.console import bar_file
from dlp.errors import InputError, input_error
from dlp.files import write_text
from dlp.search.method import Search as Search
from dlp.search.space import Space, space_of
from dlp.search.studies import Definition, Study, open_study

#: From the values of a trial (dotted key -> value), the trial, and a folder of its own, to what is
#: judged. ``trial.report(value, step)`` and ``trial.should_prune()`` let it be stopped early, by
#: `optuna.TrialPruned`.
Objective = Callable[[dict[str, Any], Trial, Path], float]

#: Failed trials in a row after which a study stops, before the first success and after it.
_FAILURES_AT_START, _FAILURES = 3, 10


class Diverged(optuna.TrialPruned):
    """What is judged, or the loss, is no number any more."""


def tune(
    objective: Objective,
    space: Space | Mapping[str, Any],
    folder: Path,
    search: Search | None = None,
    direction: Literal["minimize", "maximize"] = "minimize",
) -> Study:
    """Search for the values by which an objective is best.

    Args:
        objective: What is judged (see `Objective`).
        space: What is searched: a tree of keys, each with ``{low:, high:, log:, step:}`` or a list
            of choices (see `dlp.search.space`).
        folder: Of the study: a study of the same space and direction goes on there.
        search: How; by default 50 trials of TPE.
        direction: Whether less or more is better.

    Returns:
        The study: ``study.best()``, ``study.trials()``.

    Raises:
        InputError: The space or the storage cannot be used, another study lies in the folder, or
            too many trials in a row failed.

    Example:
        >>> def distance(values, trial, folder):
        ...     return (values["x"] - 2) ** 2
        >>> study = tune(distance, {"x": {"low": 0.0, "high": 4.0}}, Path("study"))
        >>> study.best()[0].params
    """
    space = space if isinstance(space, Space) else space_of(space)
    search = Search() if search is None else search
    definition = Definition(folder.name, None, space.text(), direction)
    with quiet_optuna(), closing(open_study(definition, folder, space, search)) as study:
        run_trials(study, objective, space, search)
    return study


def run_trials(
    study: Study,
    objective: Objective,
    space: Space,
    search: Search,
    on_trial: Callable[[], None] = lambda: None,
) -> None:
    """Run trials until the study has enough, beside other processes that may do so too.

    Args:
        study: The study.
        objective: What is judged.
        space: What is searched.
        search: How.
        on_trial: Called after each trial.

    Raises:
        InputError: Too many trials in a row failed.
        KeyboardInterrupt: The trial that was stopped is queued again.
    """
    start, failures, wanted = time.monotonic(), 0, search.wanted(space)
    bar_of_trials = tqdm(
        desc=str(study.folder),
        total=wanted,
        initial=study.num_finished(),
        dynamic_ncols=True,
        file=bar_file(),
    )
    with _cheap_collections(), bar_of_trials as bar:
        while search.timeout is None or time.monotonic() - start < search.timeout:
            _show(bar, study)
            with study.begin(space, search) as trial:
                if trial is None:
                    break
                error = _run_trial(study, trial, objective, space)
            study.keep_best()
            on_trial()
            gc.collect()  # a Trainer and its module refer to each other
            failures = failures + 1 if error else 0
            allowed = _FAILURES if study.num_finished() else _FAILURES_AT_START
            if error and failures >= allowed:
                raise InputError(
                    f"{failures} trials in a row failed, the last by: {error}"
                ) from error
        _show(bar, study)


def _run_trial(study: Study, trial: Trial, objective: Objective, space: Space) -> Exception | None:
    """Run a trial and note its end; return why it could not be done, if so."""
    folder = study.folder_of(trial.number)
    try:
        value = objective(space.values(trial.params), trial, folder)
        if not math.isfinite(value):
            raise Diverged
    except optuna.TrialPruned as pruned:
        study.optuna.tell(trial, state=TrialState.PRUNED)
        if isinstance(pruned, Diverged):
            tqdm.write(f"trial {trial.number} diverged: its loss is no number any more")
    except KeyboardInterrupt:
        study.fail(trial.number, "interrupted")
        study.queue_again(study.trials()[trial.number])
        raise
    except Exception as raised:  # whatever a trial raises is noted in the study
        error = input_error(raised) or raised
        text = str(error) if isinstance(error, InputError) else repr(error)
        study.fail(trial.number, text)
        if isinstance(error, OSError) and not isinstance(error, InputError):
            raise  # a full disk and the like
        if not isinstance(error, InputError):
            write_text(folder / "error.txt", traceback.format_exc())
        tqdm.write(f"trial {trial.number} failed: {text}")
        return error
    else:
        study.optuna.tell(trial, value)
    return None


@contextmanager
def _cheap_collections() -> Iterator[None]:
    """Set aside what lives now: collecting a trial's garbage takes 5 ms instead of 300."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _show(bar: "tqdm[Any]", study: Study) -> None:
    """Bring the bar up to date with the trials of all processes."""
    for best in study.best():
        bar.set_postfix_str(f"best {best.value:.4f} (trial {best.number})", refresh=False)
    bar.n = study.num_finished()
    bar.refresh()


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log to warnings, and its remarks on what is experimental to itself."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)
