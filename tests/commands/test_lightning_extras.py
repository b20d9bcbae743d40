"""Every callback, logger and profiler that Lightning ships, in a run of the command line."""

import copy
import gc
import pickle
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning.pytorch import callbacks, loggers, profilers

from dlp.cli import main
from dlp.commands.fit import fit as fit_recipe
from dlp.modules import KerasRMSprop
from dlp.recipe import Recipe

RECIPE = """
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: side, val_size: 8, batch_size: 8}
model:
  class_path: DenseModule
  init_args: {head: sigmoid, hidden: [4], dropout: 0.2}
trainer: {max_epochs: 2, accelerator: cpu, enable_model_summary: false, log_every_n_steps: 1}
"""
NEEDED = {
    "BatchSizeFinder": {"max_trials": 2},
    "EarlyStopping": {"monitor": "val_loss"},
    "GradientAccumulationScheduler": {"scheduling": {0: 2, 1: 1}},
    "LearningRateFinder": {"num_training_steps": 6},
    "ModelCheckpoint": {"monitor": "val_acc", "mode": "max"},
    "ModelPruning": {"pruning_fn": "l1_unstructured", "amount": 0.5},
    "OnExceptionCheckpoint": {"dirpath": "."},
    "StochasticWeightAveraging": {"swa_lrs": 0.01, "swa_epoch_start": 1},
    "ThroughputMonitor": {"batch_size_fn": "test_lightning_extras.rows"},
    "Timer": {"duration": "00:00:01:00"},
    "CSVLogger": {"save_dir": "logs"},
    "TensorBoardLogger": {"save_dir": "logs"},
    "AdvancedProfiler": {"dirpath": ".", "filename": "report"},
    "PyTorchProfiler": {"dirpath": ".", "filename": "report"},
    "SimpleProfiler": {"dirpath": ".", "filename": "report"},
}
#: Callbacks that change nothing: they may all be in one fit.
WATCHING = [
    *("BasePredictionWriter", "Callback", "Checkpoint", "EarlyStopping", "LambdaCallback"),
    *("LearningRateMonitor", "ModelCheckpoint", "ModelSummary", "SpikeDetection"),
    *("ThroughputMonitor", "Timer", "TQDMProgressBar"),
]
#: What cannot be in a run of this model, and the sentence that says so.
REFUSED = {
    "BackboneFinetuning": "trains model.backbone, and DenseModule has no attribute of that name",
    "BaseFinetuning": "says not what to train: name a subclass",
    "ProgressBar": "several classes are called ProgressBar",
    "Logger": "Logger is abstract: name one of CSVLogger",
    "Profiler": "Profiler is abstract",
}
#: The package that must be there, and else the sentence that says so.
PACKAGES = {
    "DeviceStatsMonitor": "psutil",
    "RichModelSummary": "rich",
    "RichProgressBar": "rich",
    "CometLogger": "comet_ml",
    "LitLogger": "litlogger",
    "MLFlowLogger": "mlflow",
    "TensorBoardLogger": "tensorboard",
    "WandbLogger": "wandb",
    "XLAProfiler": "torch_xla",
}

#: Besides what Lightning warns of in any run with these classes.
pytestmark = [
    pytest.mark.usefixtures("undrawn_figures"),
    pytest.mark.filterwarnings("ignore:Skipping (batch size scaler|learning rate finder)"),
    pytest.mark.filterwarnings("ignore:.*you need to define a `flops_per_batch`"),
    pytest.mark.filterwarnings("ignore:.*was called without a model"),
    pytest.mark.filterwarnings("ignore:.*there is no last checkpoint available"),
    pytest.mark.filterwarnings("ignore:The PyTorch Profiler default schedule"),
    pytest.mark.filterwarnings("ignore:Warning. Profiler clears events"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def rows(batch):
    return len(batch[1])


@pytest.fixture(scope="module")
def table():
    """Draw the points once: reading a file is quick, but pandas makes it slowly."""
    points = pd.DataFrame(np.random.default_rng(0).normal(size=(32, 2)), columns=["east", "north"])
    points["side"] = np.where(points.east + points.north > 0, "right", "left")
    return points.to_csv(index=False)


@pytest.fixture
def points(table, tmp_path, monkeypatch):
    (tmp_path / "points.csv").write_text(table)
    (tmp_path / "points.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(key, names):
    """Fit with the classes `names` as the trainer's `key`, into the folder ``run``."""
    classes = [{"class_path": name, "init_args": NEEDED.get(name, {})} for name in names]
    settings = {key: classes if key == "callbacks" else classes[0]}
    Path("more.yaml").write_text(yaml.safe_dump({"trainer": settings}))
    main(["fit", "--config", "points.yaml", "--config", "more.yaml", "--run_dir", "run"])


def check_run():
    """Both epochs are recorded, and the run can be repeated from its config."""
    lines = Path("run/metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2"]
    main(["fit", "--config", "run/config.yaml", "--trainer.fast_dev_run", "true"])


def is_absent(name):
    return name in PACKAGES and find_spec(PACKAGES[name]) is None


def usable(names):
    return [name for name in names if name not in REFUSED and not is_absent(name)]


def test_the_callbacks_that_watch_serve_together(points):
    fit("callbacks", WATCHING)
    check_run()
    logged = [*(points / "run/lightning_logs").rglob("metrics.csv")]
    assert "lr-KerasRMSprop" in logged[0].read_text()


@pytest.mark.parametrize("name", [n for n in usable(callbacks.__all__) if n not in WATCHING])
def test_every_callback(points, name):
    fit("callbacks", [name])
    check_run()


@pytest.mark.parametrize("name", usable(loggers.__all__))
def test_every_logger(points, name):
    fit("logger", [name])
    check_run()


@pytest.mark.parametrize("name", usable(profilers.__all__))
def test_every_profiler(points, name):
    fit("profiler", [name])
    check_run()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (key, name)
        for key, package in (("callbacks", callbacks), ("logger", loggers), ("profiler", profilers))
        for name in package.__all__
        if name in REFUSED or is_absent(name)
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(points, key, name, capsys):
    with pytest.raises(SystemExit):
        fit(key, [name])
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("dlp: ")]
    assert re.search(REFUSED.get(name, f"pip install|there is no class '{name}'"), line)
    assert not Path("run/metrics.csv").exists()
    if key == "profiler":  # it warns when it is freed: that is to happen here
        gc.collect()


def test_a_model_of_a_command_can_be_copied_and_sent(points):
    """EMA and SWA copy it; ``ddp_spawn`` sends it to other processes."""
    words = ["--config", "points.yaml", "--trainer.fast_dev_run", "true"]
    trained = fit_recipe(Recipe.parse(words)).model
    inputs = torch.ones(1, 2)
    for model in (copy.deepcopy(trained), pickle.loads(pickle.dumps(trained))):
        assert torch.equal(model.eval()(inputs), trained.eval()(inputs))
        assert type(model.configure_optimizers()) is KerasRMSprop


def test_the_averaged_weights_are_kept(points, capsys):
    """Lightning puts them into the model after the last checkpoint."""
    fit("callbacks", ["StochasticWeightAveraging"])
    said = r"the averaged weights are in run/checkpoints/averaged.ckpt: dlp (\w+ --ckpt_path \S+)\n"
    advised = re.search(said, capsys.readouterr().out)
    assert advised
    main(advised[1].split())
    states = [
        torch.load(f"run/checkpoints/{name}.ckpt", weights_only=True)["state_dict"]
        for name in ("averaged", "last")
    ]
    name = "network.layers.output.weight"
    assert not torch.equal(states[0][name], states[1][name])
    main(["validate", "--ckpt_path", "run/checkpoints/averaged.ckpt"])


def crossval(names):
    classes = [{"class_path": name, "init_args": NEEDED.get(name, {})} for name in names]
    Path("more.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": classes}}))
    words = ["--num_folds", "2", "--run_dir", "folds"]
    main(["crossval", "--config", "points.yaml", "--config", "more.yaml", *words])


def test_callbacks_serve_each_fold(points):
    crossval(["EMAWeightAveraging", "TQDMProgressBar", "LearningRateMonitor", "Timer"])
    assert len([*(points / "folds/lightning_logs").rglob("metrics.csv")]) == 2


def test_what_cannot_be_in_a_fold_is_said_in_one_sentence(points, capsys):
    with pytest.raises(SystemExit):
        crossval(["BackboneFinetuning"])
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("dlp: ")]
    assert REFUSED["BackboneFinetuning"] in line


def test_one_callback_needs_no_list(points):
    (points / "more.yaml").write_text("trainer: {callbacks: {class_path: EMAWeightAveraging}}")
    given = ["--config", "points.yaml", "--config", "more.yaml", "--trainer.fast_dev_run", "true"]
    made = [type(one).__name__ for one in Recipe.parse(given).trainer().callbacks]
    assert made.count("EMAWeightAveraging") == 1
    main(["fit", *given])
    main(["crossval", *given, "--num_folds", "2"])
