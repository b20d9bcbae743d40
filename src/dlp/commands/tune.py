"""Command ``tune``: search for hyperparameters with Optuna, in a space that a YAML file defines."""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock
from jsonargparse.typing import PositiveInt
from lightning import Callback, LightningModule, Trainer

from dlp.errors import InputError, extra, naming, reading, unknown

with extra("tune"):
    import optuna
    from optuna.pruners import MedianPruner
    from optuna.storages import BaseStorage, JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.study import MaxTrialsCallback, Study
    from optuna.trial import FrozenTrial, Trial, TrialState

from dlp.configs import find_config, flatten, named_configs, read_config
from dlp.console import command_text, muted, say
from dlp.datamodules.ownership import supervised_data
from dlp.evaluation.verdict import verdict
from dlp.files import write_text
from dlp.folds.training import silent_trainer
from dlp.modules.monitor import Mode, monitor_mode
from dlp.recipes.recipe import Recipe
from dlp.runs.folder import Run
from dlp.seeds import derived_seed

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
#: Range, list of choices or single value by dotted key.
Space = dict[str, object]


def tune(recipe: Recipe, space: str, trials: PositiveInt = 50, storage: str | None = None) -> Study:
    """Search for the best hyperparameters in a search space.

    The command trains the config with one combination of hyperparameters after another. Each
    training is a trial. A trial is stopped early if its best value of the monitored metric is worse
    than the median of the other trials at the same epoch. If the newest study has the same config
    and search space, it is continued.

    The command writes the trials to ``trials.csv`` in the folder of the study, and the best
    hyperparameters to ``best.yaml``, a config that overrides the values of the original config. It
    prints the best trials and the ``dlp fit`` command that trains with ``best.yaml``.

    Args:
        recipe: Config.
        space: Search space: the name of one of the project's spaces, or a YAML file that gives, for
            each key of the config, a list of choices or a range {low:, high:, log:, step:}.
        trials: Number of finished trials in the study, including those from earlier calls. If
            several processes share the study, they may finish a few more.
        storage: URL of a database, or path of a journal file, through which processes on several
            machines share the study. None means ``study.db`` in the folder of the study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # errors in a trial are raised as exceptions
    monitor = recipe.config.monitor
    epochs = recipe.fold_epochs()
    ranges = read_space(space, monitor)
    data = supervised_data(recipe.data())
    mode = monitor_mode(monitor, recipe.model(data))
    fingerprint = data.fit().fingerprint
    content = recipe.config_dump | {"space": ranges, "fingerprint": fingerprint}
    folder = None
    place = None  # in memory
    if recipe.is_dev_run:
        trials = 1
    else:
        run = Run.shared(recipe.name, recipe.config.run_dir, "tune", recipe.origin, content)
        folder = run.folder
        with FileLock(run.lock):  # two processes must not create its tables at once
            place = open_storage(storage or f"sqlite:///{folder}/study.db")
    study = optuna.create_study(
        storage=place,
        study_name=f"{recipe.name} {zlib.crc32(repr(content).encode()):08x}",
        load_if_exists=True,
        pruner=MedianPruner(5, max(2, epochs // 4)),
        direction="minimize" if mode == "min" else "maximize",
    )

    def objective(trial: Trial) -> float:
        # The seed depends on the trial, so that a continued study does not draw the same values
        # again.
        seed = derived_seed(recipe.config.seed_everything, trial.number) % 2**32
        study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return _train(recipe, trial, suggest(trial, ranges), mode, fingerprint)

    def finish(study: Study, trial: FrozenTrial) -> None:
        line = f"trial {trial.number} {trial.state.name.lower()}"
        if trial.value is not None:
            line += f", {monitor} {trial.value:.4g}"
        say(f"{line}: {trial.params}")
        if folder is not None:
            _write(study, folder)

    if len(study.get_trials(states=_FINISHED)) < trials:
        enough = MaxTrialsCallback(trials, _FINISHED)
        study.optimize(objective, callbacks=[enough, finish], gc_after_trial=True)
    if folder is not None:
        complete = _write(study, folder)  # an earlier call may have been killed before
        if len(complete):
            best = complete.sort_values("value", ascending=mode == "min").head(5)
            _say_best(best, [*recipe.configs, folder / "best.yaml"])
    return study


def _say_best(trials: pd.DataFrame, configs: Sequence[str | Path]) -> None:
    """Print the best trials, and the command that trains with the values of the first one."""
    say(f"\n{trials.to_string(index=False)}\n")
    command: list[object] = ["fit"]
    for config in configs:
        command += ["--config", config]
    say(f"next (add any other keys that you gave to tune): dlp {command_text(*command)}")


def open_storage(place: str) -> BaseStorage:
    """Return the storage of a study: a database for a URL, or a journal for the path of a file."""
    if "://" not in place:
        return JournalStorage(JournalFileBackend(place, JournalFileOpenLock(place)))
    with reading(place, "a database of studies"):
        return RDBStorage(place)


def _train(
    recipe: Recipe, trial: Trial, values: Mapping[str, object], mode: Mode, fingerprint: str
) -> float:
    """Train the recipe with the values of a trial; return the best value of the monitored metric.

    Raises:
        InputError: If the values change the rows on which trials are evaluated, or if the metric is
            not logged.
    """
    monitor = recipe.config.monitor
    report = TrialReport(trial, monitor, mode)
    with muted(True):
        variant = Recipe("tune", recipe.configs, recipe.words, values, function=tune)
        data = supervised_data(variant.data())
        if data.fit().fingerprint != fingerprint:
            keys = " ".join(f"--{key}={value}" for key, value in values.items())
            raise InputError(
                f"space: {keys} changes the rows on which a trial is evaluated, so that the trial "
                "with the easiest rows would win. Leave it out. dlp crossval --repeats shows how "
                "much the scores depend on the rows."
            )
        trainer = silent_trainer(variant.trainer_arguments(), [report])
        trainer.fit(variant.model(data), datamodule=data)
    reading = verdict(report.values, mode)
    if reading is None:  # never logged; a trial that diverged is pruned above
        raise unknown("monitor", monitor, trainer.callback_metrics)
    trial.set_user_attr("best_epoch", reading.best_epoch)
    return reading.best


@dataclass(eq=False)
class TrialReport(Callback):
    """Callback that reports the best value so far to Optuna, and stops trials without a chance.

    A trial is stopped if it has diverged, or if the pruner of the study decides so.

    Args:
        trial: Trial that is trained.
        monitor: Metric by which trials are compared.
        mode: ``min`` if lower values are better, ``max`` if higher values are better.
        values: Value of the metric in each epoch so far. It is NaN for an epoch without a value.
    """

    trial: Trial
    monitor: str
    mode: Mode
    values: list[float] = field(default_factory=list)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the best value up to this epoch.

        Raises:
            optuna.TrialPruned: If the trial is stopped.
        """
        metrics = trainer.callback_metrics
        epoch = trainer.current_epoch + 1
        self.values.append(float(metrics.get(self.monitor, math.nan)))
        if self.monitor not in metrics:
            return
        reading = verdict(self.values, self.mode)
        if reading is None or not math.isfinite(metrics.get("train_loss", 0.0)):
            raise optuna.TrialPruned
        self.trial.report(reading.best, epoch)
        if epoch != trainer.max_epochs and self.trial.should_prune():
            raise optuna.TrialPruned


def _write(study: Study, folder: Path) -> pd.DataFrame:
    """Write ``trials.csv``, and the values of the best trial to ``best.yaml``.

    Returns:
        The complete trials. Pruned trials are left out, because they have no final value.
    """
    frame = study.trials_dataframe(("number", "state", "value", "user_attrs", "params", "duration"))
    table = frame.rename(columns=lambda n: n.removeprefix("user_attrs_").removeprefix("params_"))
    write_text(folder / "trials.csv", table.to_csv(index=False, float_format="%.15g"))
    complete = table[table["state"] == "COMPLETE"]
    if len(complete):
        best = study.best_trial
        head = f"# Trial {best.number} of {folder}: {best.value:.6g}\n"
        values = {}
        for key, value in best.params.items():
            values[key] = yaml.safe_load(value) if isinstance(value, str) else value
        write_text(folder / "best.yaml", head + yaml.safe_dump(values))
    return complete


def read_space(space: str, monitor: str) -> Space:
    """Read a search space.

    Args:
        space: Name of one of the project's spaces, or a YAML file. Its keys may be nested or
            dotted.
        monitor: Metric by which trials are compared.

    Raises:
        InputError: If there is no such space, or if one of its keys changes how `monitor` is
            computed.
    """
    ranges = dict(flatten(read_config(find_config(space, named_configs("spaces/")))))
    for key in ranges:
        if key.endswith((".l1", ".l2")) and monitor in ("val_loss", "train_loss"):
            raise InputError(
                f"space: {monitor} includes the penalty {key}, so that the smallest penalty would "
                "win. Give --monitor val_data_loss or a metric."
            )
    return ranges


def suggest(trial: Trial, space: Space) -> dict[str, object]:
    """Return the values that the trial suggests for the keys of the search space."""
    values: dict[str, object] = {}
    for key, choices in sorted(space.items()):
        with naming(f"space: {key}"):
            values[key] = _draw(trial, key, choices)
    return values


def _draw(trial: Trial, key: str, values: object) -> object:
    """Draw a value from a range or from a list of choices. Any other value is the only choice."""
    if isinstance(values, dict):
        # PyYAML reads 1e-4 as text.
        numbers: Any = {n: float(v) if isinstance(v, str) else v for n, v in values.items()}
        if all(isinstance(number, int) for number in numbers.values()):
            return trial.suggest_int(key, **numbers)
        return trial.suggest_float(key, **numbers)
    choices = values if isinstance(values, list) else [values]
    texts = [item if isinstance(item, str) else json.dumps(item) for item in choices]
    return trial.suggest_categorical(key, texts)  # Optuna stores no lists
