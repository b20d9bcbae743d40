"""Command ``tune``: search a space of settings, read from YAML, with Optuna."""

import json
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from lightning import Callback, LightningModule, Trainer

from dlp.errors import InputError, extra, unknown

with extra("tune"):
    import optuna
    from optuna import distributions
    from optuna.pruners import MedianPruner, NopPruner
    from optuna.samplers import TPESampler
    from optuna.study import MaxTrialsCallback, Study
    from optuna.trial import FrozenTrial, Trial, TrialState

from dlp.commands.crossval import epochs_of_fit, find_run, saved_config
from dlp.console import muted, say
from dlp.evaluation.verdict import best_index, verdict
from dlp.files import write_text
from dlp.folds.training import silent_trainer
from dlp.lightning_cli.configs import config_folder, read_config
from dlp.lightning_cli.dlp_cli import Recipe
from dlp.modules.monitor import Mode, monitor_mode
from dlp.seeds import derived_seed

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
Space = dict[str, distributions.BaseDistribution]

#: Arguments of data and Trainer that decide which rows judge a trial.
_ROWS = {"data", "class_path", "path", "test_path", "data_dir", "name", "target", "label_column"}
_ROWS |= {"task", "val_size", "test_size", "split_seed", "stratify", "group_column", "time_column"}
_ROWS |= {"num_folds", "fold", "repeat", "drop_duplicates", "limit_val_batches", "overfit_batches"}


def tune(
    recipe: Recipe, space: str, trials: int = 50, timeout: float | None = None, prune: bool = True
) -> Study:
    """Search a space of settings; the newest study of an equal config and space goes on.

    Args:
        recipe: Config.
        space: YAML file of keys of the config with {low:, high:, log:, step:} or a list of choices
            each, or the name of a space of the project.
        trials: Number of finished trials of the study.
        timeout: Time in seconds after which no trial begins.
        prune: Whether a trial stops that is worse than the median at its epoch.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # an error of a trial is raised
    config, data = recipe.config, recipe.data()
    ranges = read_space(space, config.monitor)
    mode = monitor_mode(config.monitor, getattr(recipe.model(data), "metric_modes", None))
    epochs, seed = epochs_of_fit(recipe), config.seed_everything
    folder: Path | None = None
    if not recipe.is_dev_run:
        content = saved_config(recipe, "space", "trials", "timeout", "prune")
        content |= {"space": {key: str(values) for key, values in ranges.items()}}
        folder = find_run(recipe, {**content, "rows": str(data.fit()["rows"])}, "study").folder
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/study.db" if folder else None,
        pruner=MedianPruner(5, max(2, epochs // 4)) if prune else NopPruner(),
        study_name=recipe.name,
        direction="minimize" if mode == "min" else "maximize",
        load_if_exists=True,
    )

    def objective(trial: Trial) -> float:
        # A study that goes on draws other values than before.
        trial_seed = derived_seed(seed, trial.number) % 2**32
        study.sampler = TPESampler(seed=trial_seed, constant_liar=True)
        with muted(True):
            variant = Recipe("tune", [*recipe.typed, *suggest(trial, ranges)], tune)
            report, rows = Report(trial, config.monitor, mode), variant.data()
            trainer = silent_trainer(variant.trainer_arguments(), [report])
            trainer.fit(variant.model(rows), datamodule=rows)
        reading = verdict(report.values, mode)
        assert reading is not None  # a trial that diverged has ended
        trial.set_user_attr("best_epoch", reading.best_epoch)
        return reading.best

    def finish(study: Study, trial: FrozenTrial) -> None:
        value = "" if trial.value is None else f", {config.monitor} {trial.value:.4g}"
        params = {key: short(value) for key, value in trial.params.items()}
        say(f"trial {trial.number} {trial.state.name.lower()}{value}: {params}")
        if folder is not None:
            _write(study, folder)

    trials = 1 if recipe.is_dev_run else trials
    if sum(trial.state in _FINISHED for trial in study.trials) < trials:
        enough = MaxTrialsCallback(trials, _FINISHED)
        study.optimize(objective, timeout=timeout, callbacks=[enough, finish], gc_after_trial=True)
    if folder is not None and (folder / "best.yaml").exists():
        table = _table(study)
        complete = table[table["state"] == "COMPLETE"]  # a pruned trial has no final value
        best = complete.sort_values("value", ascending=mode == "min").head(5)
        say(f"\n{best.to_string(index=False)}\n")
        configs = [word for flag, word in pairwise(recipe.typed) if flag in ("-c", "--config")]
        say(f"next: dlp fit --config {' --config '.join([*configs, f'{folder}/best.yaml'])}")
    return study


class Report(Callback):
    """Reporter of the best value so far, which stops a trial that diverged or is hopeless."""

    def __init__(self, trial: Trial, monitor: str, mode: Mode) -> None:
        self.trial, self.monitor, self.mode = trial, monitor, mode
        self.values: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch."""
        metrics, epoch = trainer.callback_metrics, trainer.current_epoch + 1
        self.values.append(float(metrics.get(self.monitor, math.nan)))
        if self.monitor not in metrics:
            if epoch >= (trainer.check_val_every_n_epoch or 1):
                raise unknown("monitor", self.monitor, metrics)
            return
        best = best_index(self.values, self.mode)
        if best is None or not math.isfinite(float(metrics.get("train_loss", 0.0))):
            raise optuna.TrialPruned
        self.trial.report(self.values[best], epoch)
        if epoch != trainer.max_epochs and self.trial.should_prune():
            raise optuna.TrialPruned


def _table(study: Study) -> pd.DataFrame:
    """Return a row per trial."""
    attributes = ("number", "state", "value", "user_attrs", "params", "duration")
    frame = study.trials_dataframe(attributes)
    return frame.rename(columns=lambda n: n.removeprefix("user_attrs_").removeprefix("params_"))


def _write(study: Study, folder: Path) -> None:
    """Write ``trials.csv`` and ``best.yaml``, which is laid over the config."""
    write_text(folder / "trials.csv", _table(study).to_csv(index=False, float_format="%.15g"))
    if any(trial.state == TrialState.COMPLETE for trial in study.trials):
        best = study.best_trial
        keys = {
            k: yaml.safe_load(v) if isinstance(v, str) else short(v) for k, v in best.params.items()
        }
        head = f"# Trial {best.number} of {folder}: {best.value:.6g}\n"
        write_text(folder / "best.yaml", head + yaml.safe_dump(keys))


def read_space(space: str, monitor: str) -> Space:
    """Read a space by its path or name; keys may be nested or dotted.

    Trials are judged by `monitor` on the same rows: keys that change either are refused.
    """
    folder = config_folder() / "spaces"
    path = Path(space) if Path(space).is_file() else folder / f"{space}.yaml"
    if not path.is_file():
        raise unknown("space", space, ["a path", *(p.stem for p in sorted(folder.glob("*.yaml")))])
    ranges = {key: _distribution(key, leaf) for key, leaf in _leaves(read_config(path))}
    for key in ranges:
        group, name = key.partition(".")[0], key.rpartition(".")[2]
        if group in ("data", "trainer") and name in _ROWS:
            raise InputError(
                f"space: {key} changes the rows that judge a trial, and the luckiest rows would "
                "win; leave it out. dlp crossval --repeats tells how much rows matter."
            )
        if name in ("l1", "l2") and monitor in ("val_loss", "train_loss"):
            raise InputError(
                f"space: {monitor} includes the penalty {key}, and the smallest one would win; "
                "give --monitor val_data_loss or a metric."
            )
    return ranges


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and not {"low", "high", "choices"} & value.keys():
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _distribution(key: str, leaf: Any) -> distributions.BaseDistribution:
    try:
        if choices := leaf if isinstance(leaf, list) else leaf.get("choices"):
            texts = [c if isinstance(c, str) else json.dumps(c) for c in choices]
            return distributions.CategoricalDistribution(texts)  # it keeps no lists
        # YAML takes 1e-4 for text.
        numbers: Any = {n: float(v) if isinstance(v, str) else v for n, v in leaf.items()}
        is_whole = isinstance(numbers["low"], int) and isinstance(numbers["high"], int)
        kind = distributions.IntDistribution if is_whole else distributions.FloatDistribution
        return kind(**numbers)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"space: {key} takes {{low:, high:, log:, step:}} or a list of choices; got {leaf} "
            f"({error})."
        ) from error


def suggest(trial: Trial, space: Space) -> list[str]:
    """Draw a value of each key; return them as arguments, classes before their arguments."""
    words = []
    for key in sorted(space):
        values: Any = space[key]
        if isinstance(values, distributions.CategoricalDistribution):
            value = trial.suggest_categorical(key, values.choices)
        else:
            is_whole = isinstance(values, distributions.IntDistribution)
            draw: Any = trial.suggest_int if is_whole else trial.suggest_float
            value = draw(key, values.low, values.high, step=values.step, log=values.log)
        words.append(f"--{key}={short(value)}")
    return words


def short(value: Any) -> Any:
    """Return 0.3 for 0.1 + 2 * 0.1, and other values unchanged."""
    return float(f"{value:.10g}") if isinstance(value, float) else value
