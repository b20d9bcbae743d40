"""The life of a run: fitted, tested, resumed, stopped; never overwritten, never random weights."""

import json
import os
import re
import shlex
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from lightning import LightningDataModule
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader, TensorDataset

from dlp import load
from dlp.callbacks import History
from dlp.cli import main
from dlp.errors import InputError
from dlp.recipes import restore

RUN = Path("runs/points/version_0")
FIT = ("fit", "--config", "points.yaml")
RESUME = (*FIT, "--ckpt_path", "last")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results(run=RUN):
    return json.loads((run / "results.json").read_text("utf-8"))


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.slow
def test_a_compiled_fit_leaves_the_checkpoint_of_a_plain_one(fitted, monkeypatch):
    # The compiler of the machine takes a minute; only tracing is of the project.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    main([*FIT, "--compile", "true"])
    from torch._dynamo.utils import counters

    assert counters["stats"]["unique_graphs"] > 0
    compiled = weights("runs/points/version_1/checkpoints/last.ckpt")
    torch.testing.assert_close(compiled, weights(RUN / "checkpoints/last.ckpt"))


def test_a_fit_writes_the_files_of_a_run(fitted):
    metrics = pd.read_csv(RUN / "metrics.csv")
    assert metrics.epoch.tolist() == [1, 2, 3]
    best = int(metrics.val_loss.argmin())
    assert results()["best_epoch"] == best + 1
    assert results()["best"]["val_acc"] == metrics.val_acc[best]
    assert results()["last"]["train_loss"] == metrics.train_loss.iloc[-1]
    assert results()["seed"] == 0
    assert results()["seconds"]["fit"] > 0
    assert torch.__version__.startswith(
        results()["versions"]["torch"].partition("+")[0]
    )
    assert results()["verdict"].startswith("val_loss was best at epoch")


def test_a_logger_of_lightning_has_the_numbers_of_each_epoch(points):
    page = (Path(__file__).parents[2] / "docs/how_to/trackers.md").read_text("utf-8")
    line = next(
        line for line in page.splitlines() if "--trainer.logger CSVLogger" in line
    )
    main([word.replace("imdb", "points.yaml") for word in line.split()[1:]])
    expected = pd.read_csv(RUN / "metrics.csv").val_loss
    values = pd.read_csv("logs/lightning_logs/version_0/metrics.csv").val_loss.dropna()
    assert [*values] == pytest.approx([*expected])


def test_a_saved_config_is_a_complete_recipe_and_keeps_the_name(fitted):
    config = yaml.safe_load((RUN / "config.yaml").read_text("utf-8"))
    assert config["model"]["class_path"] == "dlp.modules.DenseModule"
    assert (
        config["model"]["init_args"]["optimizer"]["class_path"]
        == "dlp.modules.KerasRMSprop"
    )
    changes = ("--trainer.max_epochs", "1", "--test_after_fit", "null")
    main(["fit", "--config", str(RUN / "config.yaml"), *changes])
    again = pd.read_csv("runs/points/version_1/metrics.csv")
    assert again.iloc[0].to_dict() == pd.read_csv(RUN / "metrics.csv").iloc[0].to_dict()


def test_a_loss_that_became_nan_is_told(points, capsys):
    main([*FIT, "--model.optimizer.lr", "1e30", "--trainer.max_epochs", "2"])
    assert results()["verdict"].startswith("train_loss is NaN or infinite from epoch")
    assert "training diverged; use a smaller learning rate" in capsys.readouterr().out


def test_a_fit_of_no_epochs_names_a_step_that_works(points, capsys):
    main(["fit", "--config", "points.yaml", "--trainer.max_epochs", "0"])
    assert "continue with a larger --trainer.max_epochs" in capsys.readouterr().out
    assert not Path("runs/points/version_0/results.json").exists()


def test_an_epoch_that_ends_before_its_validation_has_not_diverged(points):
    main([*FIT, "--trainer.max_steps", "4"])  # of 3 an epoch
    assert pd.read_csv(RUN / "metrics.csv")["val_loss"].isna().tolist() == [False, True]
    assert results()["verdict"].startswith("val_loss was best at epoch 1")


def test_retraining_takes_all_rows_but_the_test_part(points, capsys):
    main(
        [
            *FIT,
            "--config",
            "retrain",
            "--config",
            "early_stopping",
            "--trainer.max_epochs",
            "2",
        ]
    )
    run = Path("runs/points+retrain+early_stopping/version_0")
    assert results(run)["best_epoch"] is None
    assert results(run)["test"]["checkpoint"] == "last.ckpt"
    printed = capsys.readouterr().out
    assert "trained up to epoch 2, without validation" in printed
    assert (
        "refit has no validation set, so EarlyStopping (monitor: val_loss) is left out"
        in printed
    )
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)[
        "TableDataModule"
    ]
    assert "val_loss" not in pd.read_csv(run / "metrics.csv")
    assert state["fingerprint"]


def test_a_fit_starts_from_the_weights_of_another_run(fitted, fails):
    before = weights(RUN / "checkpoints/best.ckpt")
    main(
        [
            *FIT,
            "--init_from",
            "points",
            "--model.optimizer.lr=0.0",
            "--trainer.max_epochs=1",
        ]
    )
    after = weights("runs/points/version_1/checkpoints/last.ckpt")
    assert all(torch.equal(before[name], after[name]) for name in before)
    message = fails(*FIT, "--init_from", "points", "--ensemble", "2")
    assert "has the weights of another network" in message


def test_a_fit_starts_from_weights_of_the_same_columns(fitted, fails):
    table = pd.read_csv("points.csv")
    table.assign(x=10 * table["x"]).to_csv("points.csv", index=False)
    main([*FIT, "--init_from", "points", "--trainer.max_epochs=1"])
    table.replace("red", "amber").to_csv("points.csv", index=False)
    message = fails(*FIT, "--init_from", str(RUN))
    assert "got 'kind=amber' instead of 'kind=blue' as column 2" in message


def test_a_fit_does_not_start_from_weights_for_other_words(points, fails):
    words = (
        "--data.class_path=TextDataModule",
        "--data.path=texts.csv",
        "--data.test_size=0.2",
    )
    model = Path("points.yaml").read_text("utf-8").partition("model:")
    Path("texts.yaml").write_text("".join(model[1:]), encoding="utf-8")
    fit = ("fit", "--config", "texts.yaml", *words)
    table = pd.DataFrame({"text": ["good", "good bad"] * 20, "label": ["a", "b"] * 20})
    table.to_csv("texts.csv", index=False)
    main([*fit])
    table["text"] = ["bad", "good bad"] * 20
    table.to_csv("texts.csv", index=False)
    assert "got 'bad' instead of 'good'" in fails(*fit, "--init_from", "texts")


def test_a_checkpoint_of_another_network_is_named(fitted, fails):
    shutil.copy(RUN / "checkpoints/best.ckpt", "other.ckpt")
    Path("wide.yaml").write_text("model: {init_args: {hidden: [9]}}", encoding="utf-8")
    configs = ("--config", "points.yaml", "--config", "wide.yaml")
    for command in ("test", "validate", "predict", "fit"):
        message = fails(command, *configs, "--ckpt_path", "other.ckpt")
        assert "other.ckpt has the weights of another network: Error(s)" in message


def test_a_fit_that_never_began_leaves_no_folder(points, fails):
    assert "regression" in fails(*FIT, "--model.head", "regression")
    message = "model.optimizer: Invalid learning rate: -1.0."
    assert message in fails(*FIT, "--model.optimizer.lr", "-1")
    assert "not a valid input" in fails(*FIT, "--trainer.devices", "0")
    assert not [*Path("runs").glob("points/*")]
    message = fails(*FIT, "--data.test_size", "null", "--test_after_fit", "best")
    assert "the data has no test part" in message
    assert "num_outputs is set from the data" in fails(*FIT, "--model.num_outputs", "3")


@pytest.mark.filterwarnings(
    "ignore:.*configured with multiple `ModelCheckpoint` callbacks"
)
def test_python_writes_the_folder_that_the_command_line_writes(fitted):
    recipe = load("points.yaml", test_after_fit="best")
    data = recipe.data()
    model = recipe.model(data)
    trainer = recipe.trainer()
    trainer.fit(model, data)
    trainer.test(model, data, ckpt_path="best", weights_only=True, verbose=False)

    def content(path):
        if path.suffix == ".ckpt":
            return {name: value.tolist() for name, value in weights(path).items()}
        if path.name == "results.json":
            return results(path.parent) | {"seconds": None, "date": None}
        return path.read_bytes()

    other = RUN.with_name("version_1")
    files = sorted(path.relative_to(RUN) for path in RUN.rglob("*.*"))
    assert files == sorted(path.relative_to(other) for path in other.rglob("*.*"))
    assert [
        file for file in files if content(RUN / file) != content(other / file)
    ] == []


def test_a_trainer_of_a_recipe_records_nothing_if_asked(points):
    recipe = load("points.yaml")
    data = recipe.data()
    files = set(Path().iterdir())
    trainer = recipe.trainer(run_dir=None, max_epochs=1)
    trainer.fit(recipe.model(data), data)
    assert set(Path().iterdir()) == files
    assert trainer.checkpoint_callbacks == []


def test_no_command_uses_random_weights(points, fails):
    for command in ("test", "predict", "validate"):
        no_trial = "--trainer.fast_dev_run=false"
        assert "no checkpoint for 'points'" in fails(
            command, "--config", "points.yaml", no_trial
        )
        assert "needs --config" in fails(command)
        assert "also needs --config NAME" in fails(command, "--ckpt_path", "best")
    assert "no checkpoint for 'points'" in fails(*RESUME)
    assert "found no checkpoint for 'x.ckpt'" in fails("test", "--ckpt_path", "x.ckpt")
    assert not Path("runs").exists()
    torch.save({"state_dict": {}}, "x.ckpt")
    message = fails("test", "--config", "points.yaml", "--ckpt_path", "x.ckpt")
    assert "x.ckpt cannot be read as a checkpoint" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*RESUME, "--model.hidden", "[9]"), "--model.hidden cannot be combined"),
        ((*RESUME, "--ensemble", "3"), "--ensemble cannot be combined"),
        ((*RESUME, "--init_from", "other"), "--init_from cannot be combined"),
        (
            ("predict", *FIT[1:], "--trainer.fast_dev_run", "["),
            "--trainer.fast_dev_run: ",
        ),
        ((*RESUME, "--config", "smaller"), "no checkpoint for 'points+smaller'"),
        (
            ("test", "--ckpt_path", RUN, *FIT[1:], "--config", "smaller"),
            "not to one of points.yaml + the project's variations/smaller",
        ),
    ],
)
def test_a_checkpoint_goes_with_its_own_config(fitted, fails, words, message):
    before = contents(RUN)
    assert message in fails(*map(str, words))
    assert contents(RUN) == before


@pytest.mark.parametrize(
    "command", ["test", "predict", "validate", "fit --ckpt_path last"]
)
def test_another_config_of_that_name_does_not_take_the_run(fitted, fails, command):
    Path("other").mkdir()
    Path("other/points.yaml").write_bytes(Path("points.yaml").read_bytes())
    before = contents(RUN)
    message = fails(*command.split(), "--config", "other/points.yaml")
    assert (
        f"other/points.yaml has no run in ./runs: {RUN} comes from points.yaml"
        in message
    )
    message = fails("test", "--config", "other/points.yaml", "--ckpt_path", str(RUN))
    assert "belongs to a run of points.yaml, not to one of other/points.yaml" in message
    assert contents(RUN) == before


def test_a_run_in_a_folder_of_its_own_belongs_to_its_config(fitted, capsys):
    main([*FIT, "--run_dir", "elsewhere", "--trainer.max_epochs", "1"])
    main(["test", "--config", "points.yaml", "--ckpt_path", "elsewhere"])
    assert "using elsewhere" in capsys.readouterr().out


def test_each_run_says_what_it_comes_from_and_a_resumed_one_keeps_it(fitted):
    def configs(run):
        return json.loads((run / "run.json").read_text("utf-8"))["configs"]

    assert configs(RUN) == ["points.yaml"]
    again = ("--config", str(RUN / "config.yaml"), "--config", "retrain")
    main(["fit", *again, "--trainer.max_epochs", "1", "--test_after_fit", "null"])
    retrained = Path("runs/points+retrain/version_0")
    assert configs(retrained) == ["points.yaml", "dlp:variations/retrain"]
    resume = ("fit", "--ckpt_path", str(RUN), "--trainer.max_epochs", "4")
    main([*resume, "--test_after_fit", "null"])
    assert configs(RUN) == ["points.yaml"]


def test_a_run_of_folds_is_not_taken_for_a_fit(validated, fails):
    for command in (
        "test --config points.yaml",
        f"test --ckpt_path {RUN}",
        "export points",
    ):
        assert (
            "expected a run with one model, got a run of dlp crossval with one"
            in fails(*command.split())
        )


@pytest.mark.slow
def test_printed_commands_take_names_with_blanks(fitted, capsys):
    Path("runs/points").rename("runs/my points")
    resume = [
        "fit",
        "--ckpt_path",
        "runs/my points/version_0",
        "--test_after_fit",
        "null",
    ]
    main([*resume, "--trainer.max_epochs", "4"])
    main(["calibrate", "my points"])
    commands = re.findall(r"next: dlp (.*)", capsys.readouterr().out)
    names = [command.split()[0] for command in commands]
    assert names == ["fit", "calibrate", "test", "report", "export"]
    for command in commands[:-1]:  # an export takes seconds
        main(shlex.split(command))


def test_the_command_that_init_prints_takes_a_name_with_blanks(points, capsys):
    Path("points.csv").rename("my points.csv")
    main(["init", "my points.csv", "--target", "label"])
    command = re.search(r"then: dlp (.*)", capsys.readouterr().out)[1]
    main([*shlex.split(command), "--trainer.fast_dev_run", "true"])
    assert f"# dlp {command}\n" in Path("my points.yaml").read_text(encoding="utf-8")


def test_a_checkpoint_is_for_its_own_rows(fitted, fails):
    before = contents(RUN)
    text = Path("points.csv").read_text("utf-8")
    Path("points.csv").write_text(text + "1.0,1.0,red,yes\n", encoding="utf-8")
    resume = (*RESUME, "--trainer.max_epochs", "4")
    for command in (
        resume,
        ("predict", "--config", "points.yaml"),
        ("export", "points"),
    ):
        assert "was trained on different rows" in fails(*command)
    with pytest.raises(InputError, match="was trained on different rows"):
        restore("points")
    assert restore("points", check_rows=False).run.folder == RUN
    assert contents(RUN) == before


def test_new_rows_are_predicted_without_the_training_table(fitted):
    Path("points.csv").unlink()
    Path("new.csv").write_text("x,y,kind\n3,3,red\n-3,-3,blue\n", encoding="utf-8")
    main(["predict", "--config", "points.yaml", "--data.predict_path", "new.csv"])
    rows = pd.read_csv(RUN / "predictions_new.csv")
    assert rows["index"].tolist() == [0, 1]
    arguments = ["--data.predict_path", "new.csv", "--output", "out/here.csv"]
    main(["predict", "--ckpt_path", str(RUN), *arguments])
    assert pd.read_csv("out/here.csv").equals(rows)


def test_an_evaluation_makes_no_run(fitted):
    (RUN / "checkpoints/best.ckpt").rename("moved.ckpt")
    for command in ("test", "predict"):
        main([command, "--config", "points.yaml", "--ckpt_path", "moved.ckpt"])
    assert [path.name for path in Path("runs/points").iterdir()] == ["version_0"]
    assert len(pd.read_csv("predictions.csv")) == 24


@pytest.mark.slow
def test_a_resumed_fit_has_its_own_config_and_no_test_of_fewer_epochs(fitted):
    main([*RESUME, "--trainer.max_epochs", "5", "--test_after_fit", "null"])
    assert "test" not in results()
    config = yaml.safe_load((RUN / "config.yaml").read_text("utf-8"))
    assert config["trainer"]["max_epochs"] == 5


def test_a_resume_with_nothing_to_train_writes_what_a_kill_left_out(fitted, capsys):
    before = contents(RUN)
    (RUN / f"checkpoints/.last.ckpt.{'0' * 32}").touch()  # of a write that was killed
    expected = results()
    main([*RESUME])
    assert (
        "already has its 3 epochs; continue with a larger --trainer.max_epochs"
        in capsys.readouterr().out
    )
    assert contents(RUN) == before
    for name in ("results.json", "metrics.csv"):
        (RUN / name).unlink()
    main([*RESUME])
    times = {"seconds": expected["seconds"], "date": expected["date"]}
    assert results() | times == expected  # with those of the test
    assert (RUN / "metrics.csv").read_bytes() == before[RUN / "metrics.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot copy a process")
@pytest.mark.parametrize(
    ("name", "status"),
    [pytest.param("SIGINT", 130, marks=pytest.mark.slow), ("SIGTERM", 143)],
)
def test_a_stopped_fit_goes_on_where_it_was(points, monkeypatch, capfd, name, status):
    begin = History.on_train_epoch_start

    def stop(self, trainer, pl_module):
        begin(self, trainer, pl_module)
        if trainer.current_epoch == 2:
            os.kill(os.getpid(), getattr(signal, name))

    if (child := os.fork()) == 0:
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # ignored in background jobs
        monkeypatch.setattr(History, "on_train_epoch_start", stop)
        try:
            main([*FIT, "--trainer.max_epochs", "4"])
        except SystemExit as exit_:
            os._exit(exit_.code)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status
    printed = capfd.readouterr()
    assert "continue with dlp fit --ckpt_path runs/points/version_0" in printed.out
    assert "Traceback" not in printed.err
    saved = torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)["epoch"] + 1
    assert 1 <= saved <= len(pd.read_csv(RUN / "metrics.csv"))
    main(["fit", "--ckpt_path", str(RUN)])
    assert pd.read_csv(RUN / "metrics.csv").epoch.tolist() == [1, 2, 3, 4]


class Silent(BoringModel):
    """Module that logs nothing and has an argument which the data cannot set."""

    def __init__(self, num_outputs: int = 2) -> None:
        super().__init__()


@pytest.mark.filterwarnings("ignore")  # Lightning's, about loaders and unlogged metrics
def test_modules_of_the_user_run(capsys):
    data = "lightning.pytorch.demos.boring_classes.BoringDataModule"
    options = "--trainer.max_epochs 2 --trainer.limit_val_batches 0 --run_dir here"
    main(["fit", "--model", f"{__name__}.Silent", "--data", data, *options.split()])
    assert "trained up to epoch 2" in capsys.readouterr().out
    assert Path("here/checkpoints/last.ckpt").exists()


class Pairs(LightningDataModule):
    """Data of the user, which tells no sizes."""

    def train_dataloader(self):
        rows = torch.arange(40.0).view(20, 2)
        return DataLoader(TensorDataset(rows, rows[:, 0] % 4 / 2), batch_size=8)

    test_dataloader = predict_dataloader = train_dataloader


@pytest.mark.filterwarnings("ignore")  # Lightning's, about loaders
def test_data_of_the_user_goes_with_a_model_of_the_project():
    model = "--model DenseModule --model.head sigmoid --model.input_shape [2] --model.num_outputs 2"
    options = f"--data {__name__}.Pairs {model} --trainer.max_epochs 1 --run_dir here"
    main(["fit", *options.split()])
    main(["predict", "--ckpt_path", "here"])
    columns = ["index", "class", "prob_0", "prob_1"]
    assert list(pd.read_csv("here/predictions.csv")) == columns
