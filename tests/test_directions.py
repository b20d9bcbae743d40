"""Whether less or more of a metric is better, and everything that asks for it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning import LightningModule
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim.lr_scheduler import ReduceLROnPlateau

from dlp.callbacks import BestCheckpoint, History
from dlp.cli import main
from dlp.crossval import cross_validate, plain_trainer
from dlp.datamodules import ArrayDataModule
from dlp.directions import best_index, contradictions, direction, needed_direction
from dlp.errors import InputError
from dlp.reports.trained_run import against_baseline
from dlp.runs.record import read_run

pytestmark = pytest.mark.usefixtures("undrawn_figures")
CURVE = [0.5, 0.2, 0.9]  # best at epoch 2 if less is better, else at epoch 3


class Scripted(LightningModule):
    """Logs a written curve, whatever the data."""

    def __init__(self, name="val_nll", higher: bool | None = False, input_shape=None) -> None:
        super().__init__()
        self.name = name
        self.weight = torch.nn.Parameter(torch.zeros(()))
        if higher is not None:
            self.metric_directions = {name: "max" if higher else "min"}

    def training_step(self, batch, batch_idx):
        return self.weight * 0 + 1

    def validation_step(self, batch, batch_idx):
        values = {self.name: CURVE[self.current_epoch], "val_loss": 1.0}
        self.log_dict(values, batch_size=1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


RECIPE = """
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: side, test_size: 0.2, batch_size: 64}
model:
  class_path: test_directions.Scripted
  init_args: {}
trainer: {max_epochs: 3, accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}
"""


@pytest.fixture
def points(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(40, 2)), columns=["east", "north"])
    table["side"] = np.where(table.east > 0, "right", "left")
    table.to_csv(tmp_path / "points.csv", index=False)
    (tmp_path / "points.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(*options):
    main(["fit", "--config", "points.yaml", *options])
    return sorted(Path("runs/points").iterdir(), key=lambda path: path.stat().st_ctime)[-1]


def epoch_of(checkpoint):
    return torch.load(checkpoint, weights_only=True)["epoch"] + 1


@pytest.mark.parametrize(
    ("name", "known", "mode"),
    [
        ("val_loss", {}, "min"),
        ("test_data_loss", {}, "min"),
        ("loss", {}, "min"),
        ("valid/Loss", {}, "min"),
        ("val_loss_epoch", {}, "min"),
        ("val_loss/dataloader_idx_1", {}, "min"),
        ("val_acc/dataloader_idx_1", {"val_acc": "max"}, "max"),
        ("val_acc", {}, "max"),
        ("test_mae", {}, "min"),
        ("rmse", {}, "min"),
        ("val_nll", {"val_nll": "min"}, "min"),
        ("val_acc", {"val_acc": "min"}, "min"),
        *((f"val_{name}", {}, None) for name in ("nll", "kl_divergence", "bce", "brier", "ece")),
        *((name, {}, None) for name in ("val_crps", "weightloss", "val_error_rate", "val_gain")),
    ],
)
def test_the_word_of_the_model_a_loss_or_a_defined_name_decides(name, known, mode):
    assert direction(name, known) == mode
    if mode is None:
        with pytest.raises(InputError, match=f"more {name} is better.*--monitor_mode min"):
            needed_direction(name, known)


def test_a_metric_that_is_nearly_one_of_the_models_is_taken_for_misspelt():
    with pytest.raises(InputError, match=r"'val_los' is not known.*Did you mean 'val_loss'"):
        needed_direction("val_los", {"val_loss": "min", "val_acc": "max"})


def test_the_best_number_is_the_first_finite_one():
    nan, inf = float("nan"), float("inf")
    assert best_index([nan, 2.0, 1.0, -inf, 1.0], "min") == 2
    assert best_index([nan, 2.0, inf, 2.0], "max") == 1
    assert best_index([nan, inf], "min") is best_index([], "max") is None


def test_callbacks_and_schedulers_with_the_wrong_mode_are_named():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))])
    schedule = SimpleNamespace(scheduler=ReduceLROnPlateau(optimizer), monitor="val_acc")
    callbacks = [EarlyStopping("val_loss"), EarlyStopping("val_auc"), EarlyStopping("other")]
    trainer = SimpleNamespace(callbacks=callbacks, lr_scheduler_configs=[schedule])
    first, second = contradictions(trainer, {"val_auc": "max"})
    assert first.startswith("EarlyStopping watches val_auc with mode: min, and more of it is")
    assert second.endswith("is better: give it mode: max")
    assert second.startswith("ReduceLROnPlateau watches val_acc")


def test_a_fit_with_a_wrong_mode_says_so(points, capsys):
    fit(
        *("--model.name", "val_acc", "--model.higher", "null", "--monitor", "val_acc"),
        *("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_acc"),
    )
    printed = capsys.readouterr().out
    assert printed.count("EarlyStopping watches val_acc with mode: min") == 1


@pytest.mark.parametrize(
    ("model", "options", "best"),
    [
        (["--model.higher", "false"], [], 2),
        (["--model.higher", "true"], [], 3),
        (["--model.higher", "null"], ["--monitor_mode", "min"], 2),
        (["--model.higher", "true"], ["--monitor_mode", "min"], 2),  # what a person says wins
    ],
)
def test_fit_compare_and_report_agree_on_the_best_epoch(points, capsys, model, options, best):
    run = fit(*model, "--monitor", "val_nll", *options)
    results = json.loads((run / "results.json").read_text())
    assert results["best_epoch"] == best
    assert results["best"]["val_nll"] == pytest.approx(CURVE[best - 1])
    assert epoch_of(run / "checkpoints" / "best.ckpt") == best
    assert read_run(run).best("val_nll")[1] == best
    capsys.readouterr()
    main(["compare", str(run), "--metric", "val_nll"])
    assert f"  {best}  " in capsys.readouterr().out
    main(["report", str(run)])
    assert f"val_nll was best at epoch {best} " in (run / "report.html").read_text()


def test_a_metric_of_unknown_direction_is_refused_before_training_only_if_monitored(points, capsys):
    run = fit("--model.higher", "null")  # val_loss is monitored
    assert (run / "checkpoints" / "last.ckpt").is_file()
    for command in (["fit"], ["crossval", "--num_folds", "2"], ["tune", "--space", "space.yaml"]):
        (points / "space.yaml").write_text("model.name: [val_nll]\n")
        options = ["--config", "points.yaml", "--model.higher", "null", "--monitor", "val_nll"]
        with pytest.raises(SystemExit) as exit_:
            main([*command, *options, "--run_dir", "refused"])
        assert exit_.value.code == 2
        assert "--monitor_mode min or --monitor_mode max" in capsys.readouterr().err
        assert not list(points.glob("refused/*"))
    main(["compare", str(run), "--metric", "val_nll"])
    printed = capsys.readouterr().out
    assert "whether less or more val_nll is better was not recorded" in printed
    assert "-  " in printed.splitlines()[-2]
    main(["compare", str(run), "--metric", "val_nll", "--monitor_mode", "min"])
    assert "0.2000" in capsys.readouterr().out


def test_the_search_goes_the_right_way(points):
    (points / "space.yaml").write_text("model.name: [val_nll, val_brier]\n")
    options = ["--trials", "2", "--sampler", "grid", "--monitor", "val_nll"]
    main(["tune", "--config", "points.yaml", "--space", "space.yaml", "--trials", "1", *options])
    config = next(points.glob("runs/points/study_0/points_best.yaml")).read_text()
    assert "val_nll 0.2 at epoch 2" in config


def test_folds_choose_the_epoch_by_the_models_word(tmp_path):
    data = ArrayDataModule(np.zeros((12, 1)), np.arange(12) % 2, batch_size=6)
    options = {"num_folds": 2, "monitor": "val_nll"}
    for higher, mode, best in ((False, None, 2), (True, None, 3), (None, "min", 2)):
        folder = tmp_path / f"{higher}"
        made = cross_validate(
            data,
            lambda _, h=higher: Scripted(higher=h),
            3,
            monitor_mode=mode,
            folder=folder,
            **options,
        )
        assert made.best_epoch == best
        assert epoch_of(folder / "repeat_0/fold_0/checkpoints/best.ckpt") == best
        done = cross_validate(
            data, lambda _, h=higher: Scripted(higher=h), 3, folder=folder, **options
        )
        assert done.best_epoch == best  # read back


def test_best_checkpoint_refuses_what_nobody_knows():
    data = ArrayDataModule(np.zeros((12, 1)), np.arange(12) % 2, val_size=4)
    best = BestCheckpoint(Path("nowhere"), "val_nll")
    with pytest.raises(InputError, match="--monitor_mode"):
        plain_trainer(1, [best]).fit(Scripted(higher=None), data)


def test_a_history_takes_the_models_word_and_the_persons_first():
    history = History(directions={"val_nll": "max"})
    history.setup(None, Scripted(), "validate")
    history.metrics = {"val_nll": CURVE}
    assert history.best_epoch("val_nll") == 3
    history = History()
    history.setup(None, Scripted(), "validate")
    history.metrics = {"val_nll": CURVE}
    assert history.best_epoch("val_nll") == 2


def test_a_baseline_is_beaten_in_the_right_direction():
    baselines = {"majority_class": {"nll": 0.5}}
    assert against_baseline("test_nll", 0.4, baselines, {"test_nll": "min"})[1] == "good"
    assert against_baseline("test_nll", 0.4, baselines, {"test_nll": "max"})[1] == "bad"
    assert against_baseline("test_nll", 0.4, baselines, {}) == ("", "")


def test_older_runs_are_read_by_the_names_that_the_heads_gave(points):
    folder = Path("runs/old/version_0")
    folder.mkdir(parents=True)
    (folder / "history.json").write_text(json.dumps({"val_mae": CURVE, "val_acc": CURVE}))
    (folder / "config.yaml").write_text(yaml.safe_dump({"monitor": "val_mae"}))
    run = read_run(folder)
    assert run.best("val_mae") == (0.2, 2)
    assert run.best("val_acc") == (0.9, 3)
    assert run.best("val_nothing") is None


def test_the_report_of_an_older_run_of_unknown_direction_claims_no_best_epoch(points):
    run = fit("--model.higher", "false", "--monitor", "val_nll")
    results = json.loads((run / "results.json").read_text())
    del results["directions"]
    (run / "results.json").write_text(json.dumps(results))
    main(["report", str(run)])
    page = (run / "report.html").read_text()
    assert "hether less or more val_nll is better is not known" in page
    assert "Best epoch" not in page
