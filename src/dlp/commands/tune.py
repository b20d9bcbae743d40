"""Command ``tune``: search a space of settings, read from YAML, with Optuna."""

import json
import math
import warnings
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock
from jsonargparse.typing import PositiveInt
from lightning import Callback, LightningModule, Trainer

from dlp.errors import InputError, extra, unknown

with extra("tune"):
    import optuna
    from optuna import distributions
    from optuna.exceptions import ExperimentalWarning
    from optuna.pruners import MedianPruner
    from optuna.storages import BaseStorage, JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.study import MaxTrialsCallback, Study
    from optuna.trial import FrozenTrial, Trial, TrialState
    from sqlalchemy.exc import SQLAlchemyError

from dlp.console import muted, say
from dlp.datamodules.base import SupervisedDataModule
from dlp.evaluation.verdict import verdict
from dlp.files import write_text
from dlp.folds.training import silent_trainer
from dlp.lightning_cli.configs import find_config, flatten, named_configs, read_config
from dlp.lightning_cli.invocation import resolve
from dlp.lightning_cli.recipe import Recipe
from dlp.modules.monitor import Mode, monitor_mode
from dlp.runs.folder import shared_run
from dlp.seeds import derived_seed

_HEARTBEAT = 60  # seconds
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
Space = dict[str, distributions.BaseDistribution]


def tune(recipe: Recipe, space: str, trials: PositiveInt = 50, storage: str | None = None) -> Study:
    """Search a space of settings; the newest study of an equal config and space goes on.

    A trial stops that is worse than the median at its epoch.

    Args:
        recipe: Config.
        space: YAML file of keys of the config with {low:, high:, log:, step:} or a list of choices
            each, or the name of a space of the project.
        trials: Number of finished trials of the study; several processes may finish a few more.
        storage: URL of a database, or path of a journal file, by which processes on several
            machines share the study; None is ``study.db`` in its folder.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # an error of a trial is raised
    monitor = recipe.config.monitor
    epochs = recipe.fold_epochs()
    ranges = read_space(space, monitor)
    data = recipe.data()
    rows = _judging_rows(data)
    mode = monitor_mode(monitor, recipe.model(data))
    folder = None
    create = partial(
        optuna.create_study,
        pruner=MedianPruner(5, max(2, epochs // 4)),
        direction="minimize" if mode == "min" else "maximize",
    )
    if recipe.is_dev_run:
        trials = 1
        study = create()
    else:
        content = recipe.content("space", "trials", "storage")
        content["space"] = {key: str(values) for key, values in ranges.items()}
        content["rows"] = str(data.fit()["rows"])
        folder = shared_run(recipe.name, content, "study", recipe.config.run_dir).folder
        name = recipe.name
        if storage is None:
            storage = f"sqlite:///{folder}/study.db"
        else:  # it may hold studies of other configs
            name += f" {zlib.crc32(repr(content).encode()):08x}"
        with FileLock(folder / ".lock"):  # databases fail on tables that two processes create
            study = create(storage=open_storage(storage), study_name=name, load_if_exists=True)

    def objective(trial: Trial) -> float:
        # A study that goes on draws other values than before.
        seed = derived_seed(recipe.config.seed_everything, trial.number) % 2**32
        study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return _train(recipe, trial, suggest(trial, ranges), mode, rows)

    def finish(study: Study, trial: FrozenTrial) -> None:
        line = f"trial {trial.number} {trial.state.name.lower()}"
        if trial.value is not None:
            line += f", {monitor} {trial.value:.4g}"
        params = {key: short(value) for key, value in trial.params.items()}
        say(f"{line}: {params}")
        if folder is not None:
            _write(study, folder)

    if len(study.get_trials(states=_FINISHED)) < trials:
        enough = MaxTrialsCallback(trials, _FINISHED)
        study.optimize(objective, callbacks=[enough, finish], gc_after_trial=True)
    if folder is not None:
        _write(study, folder)  # a kill may have come before
        _say_best(study, mode, [*recipe.configs, str(folder / "best.yaml")])
    return study


def open_storage(place: str) -> BaseStorage:
    """Open a database by its URL, or a journal file."""
    if "://" not in place:
        return JournalStorage(JournalFileBackend(place, JournalFileOpenLock(place)))
    try:
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            # A trial whose process was killed fails after two intervals.
            return RDBStorage(place, heartbeat_interval=_HEARTBEAT)
    except (ImportError, SQLAlchemyError) as error:
        raise InputError(f"storage: cannot open {place} ({error}).") from error


def _judging_rows(data: SupervisedDataModule) -> list[int]:
    return list(data.labelled.part_rows(data.split).val.tolist())


def _train(recipe: Recipe, trial: Trial, args: list[str], mode: Mode, rows: Sequence[int]) -> float:
    """Train the recipe with the values of a trial; return the best value of the monitor.

    Raises:
        InputError: If the values change the rows that judge all trials.
    """
    report = TrialReport(trial, recipe.config.monitor, mode)
    with muted(True):
        variant = Recipe(resolve("tune", recipe.args + args), tune)
        data = variant.data()
        if _judging_rows(data) != rows:
            raise InputError(
                f"space: {' '.join(args)} changes the rows that judge a trial, and the luckiest "
                "rows would win; leave it out. dlp crossval --repeats tells how much rows matter."
            )
        trainer = silent_trainer(variant.trainer_arguments(), [report])
        trainer.fit(variant.model(data), datamodule=data)
    reading = verdict(report.values, mode)
    assert reading is not None  # a trial that diverged has ended
    trial.set_user_attr("best_epoch", reading.best_epoch)
    return reading.best


class TrialReport(Callback):
    """Reporter of the best value so far, which stops a trial that diverged or is hopeless."""

    def __init__(self, trial: Trial, monitor: str, mode: Mode) -> None:
        self.trial = trial
        self.monitor = monitor
        self.mode = mode
        self.values: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch."""
        metrics = trainer.callback_metrics
        epoch = trainer.current_epoch + 1
        self.values.append(float(metrics.get(self.monitor, math.nan)))
        if self.monitor not in metrics:
            if epoch >= (trainer.check_val_every_n_epoch or 1):
                raise unknown("monitor", self.monitor, metrics)
            return
        reading = verdict(self.values, self.mode)
        if reading is None or not math.isfinite(metrics.get("train_loss", 0.0)):
            raise optuna.TrialPruned
        self.trial.report(reading.best, epoch)
        if epoch != trainer.max_epochs and self.trial.should_prune():
            raise optuna.TrialPruned


def _table(study: Study) -> pd.DataFrame:
    """Return a row per trial."""
    attributes = ("number", "state", "value", "user_attrs", "params", "duration")
    frame = study.trials_dataframe(attributes)
    return frame.rename(columns=lambda n: n.removeprefix("user_attrs_").removeprefix("params_"))


def _say_best(study: Study, mode: Mode, configs: Sequence[str]) -> None:
    """Print the best trials, if one is complete, and the command that trains by some configs."""
    table = _table(study)
    complete = table[table["state"] == "COMPLETE"]  # a pruned trial has no final value
    if len(complete):
        best = complete.sort_values("value", ascending=mode == "min").head(5)
        say(f"\n{best.to_string(index=False)}\n")
        command = f"dlp fit --config {' --config '.join(configs)}"
        say(f"next, with any other keys given here: {command}")


def _write(study: Study, folder: Path) -> None:
    """Write ``trials.csv`` and ``best.yaml``, which is laid over the config."""
    write_text(folder / "trials.csv", _table(study).to_csv(index=False, float_format="%.15g"))
    if not study.get_trials(states=[TrialState.COMPLETE]):
        return
    best = study.best_trial
    head = f"# Trial {best.number} of {folder}: {best.value:.6g}\n"
    values = {}
    for key, value in best.params.items():
        values[key] = yaml.safe_load(value) if isinstance(value, str) else short(value)
    write_text(folder / "best.yaml", head + yaml.safe_dump(values))


def read_space(space: str, monitor: str) -> Space:
    """Read a space by its path or name; keys may be nested or dotted.

    Trials are judged by `monitor`: keys that change it are refused.
    """
    path = find_config(space, "space", named_configs("spaces/"))
    ranges = {key: _distribution(key, value) for key, value in flatten(read_config(path))}
    for key in ranges:
        if key.endswith((".l1", ".l2")) and monitor in ("val_loss", "train_loss"):
            raise InputError(
                f"space: {monitor} includes the penalty {key}, and the smallest one would win; "
                "give --monitor val_data_loss or a metric."
            )
    return ranges


def _distribution(key: str, value: Any) -> distributions.BaseDistribution:
    try:
        if isinstance(value, list):
            texts = [item if isinstance(item, str) else json.dumps(item) for item in value]
            return distributions.CategoricalDistribution(texts)  # it keeps no lists
        # YAML takes 1e-4 for text.
        numbers: Any = {n: float(v) if isinstance(v, str) else v for n, v in value.items()}
        if isinstance(numbers["low"], int) and isinstance(numbers["high"], int):
            return distributions.IntDistribution(**numbers)
        return distributions.FloatDistribution(**numbers)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"space: {key} takes {{low:, high:, log:, step:}} or a list of choices; got {value} "
            f"({error})."
        ) from error


def suggest(trial: Trial, space: Space) -> list[str]:
    """Draw a value of each key; return them as arguments, classes before their arguments."""
    args = []
    for key, values in sorted(space.items()):
        value: Any
        if isinstance(values, distributions.CategoricalDistribution):
            value = trial.suggest_categorical(key, values.choices)
        elif isinstance(values, distributions.IntDistribution):
            value = trial.suggest_int(key, **vars(values))
        else:
            value = trial.suggest_float(key, **vars(values))
        args.append(f"--{key}={short(value)}")
    return args


def short(value: Any) -> Any:
    """Return 0.3 for 0.1 + 2 * 0.1, and other values unchanged."""
    return float(f"{value:.10g}") if isinstance(value, float) else value
