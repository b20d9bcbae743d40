"""What a run keeps: a command that fails, stops or meets another one removes and mixes nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import yaml
from command_line import fails, metrics_of, rows_of
from lightning import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from dlp.callbacks import History
from dlp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from dlp.cli import main
from dlp.commands.next_steps import after_stop
from dlp.errors import InputError
from dlp.runs.folders import Run, claimed, locked

pytestmark = pytest.mark.usefixtures("undrawn_figures")

FIT = ("fit", "--config", "points.yaml")
RESUME = (*FIT, "--ckpt_path", "last")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def no_locks(points):
    return not list(points.rglob(".fit.lock"))


@pytest.fixture(scope="module")
def run_with_a_test(once):
    """Return the folder of a fit that ended with a test."""
    return once(*FIT, "--test_after_fit", "best")


@pytest.fixture
def tested(run_with_a_test, points):
    """Work in the folder of `points` after a fit and a test."""
    shutil.copytree(run_with_a_test / "runs", points / "runs")
    return points


# A command that fails ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--model.hidden [9] --trainer.max_epochs 5", "belongs to another model"),
        ("--data.path moved.csv --trainer.max_epochs 5", "moved.csv"),
        ("--data.test_size null --test_after_fit best", "there is no test part"),
        ("--monitor val_acc --trainer.max_epochs 5", "goes by val_loss"),
    ],
)
def test_a_failed_resume_changes_nothing(fitted, capsys, words, expected):
    before = contents(fitted / "runs")
    assert expected in fails(capsys, *RESUME, *words.split())
    assert contents(fitted / "runs") == before


@pytest.mark.parametrize(
    "words",
    [
        (*RESUME, "--trainer.max_epochs", "4"),
        ("test", "--config", "points.yaml"),
        ("predict", "--config", "points.yaml"),
        (*FIT, "--init_from", "points.yaml", "--run_dir", "new"),
    ],
    ids=lambda words: " ".join(words[:1] + words[3:4]),
)
def test_a_checkpoint_is_read_once(fitted, monkeypatch, words):
    load = Mock(wraps=torch.load)
    monkeypatch.setattr(torch, "load", load)
    main([*words])
    load.assert_called_once()


def test_a_resume_with_nothing_left_to_train_changes_nothing(tested, capsys):
    before = contents(tested / "runs")
    main([*FIT, "--ckpt_path", "last"])
    said = capsys.readouterr().out
    assert "nothing to train: runs/points/version_0 has its 3 epochs already" in said
    after = contents(tested / "runs")
    results = tested / "runs/points/version_0/results.json"
    assert json.loads(after.pop(results))["test"] == json.loads(before.pop(results))["test"]
    assert {path.name for path in after if after[path] != before[path]} <= {"reliability.png"}


def test_the_results_of_a_fit_that_was_stopped_at_its_end_are_written(fitted):
    results = fitted / "runs/points/version_0/results.json"
    before = json.loads(results.read_text())
    results.unlink()
    main([*RESUME])
    assert json.loads(results.read_text())["best"] == before["best"]


def test_a_longer_fit_no_longer_has_the_numbers_of_the_earlier_test(tested, capsys):
    main([*RESUME, "--test_after_fit", "null", "--trainer.max_epochs", "4"])
    assert "earlier test are no longer those of this model" in capsys.readouterr().out
    assert "test" not in json.loads(Path("runs/points/version_0/results.json").read_text())


@pytest.mark.parametrize("kind", ["new", "empty", "used"])
def test_a_fit_that_never_began_leaves_a_folder_as_it_was(points, capsys, kind):
    folder = points / "deep/here"
    if kind != "new":
        folder.mkdir(parents=True)
    if kind == "used":
        (folder / "notes.txt").write_text("mine")
    before = sorted(points.rglob("*"))
    for wrong in (["--model.head", "regression"], ["--trainer.accelerator", "cpux"]):
        fails(capsys, *FIT, *wrong, "--run_dir", "deep/here")
    assert sorted(points.rglob("*")) == before


def test_a_folder_with_a_part_of_a_run_is_no_new_one(fitted, capsys):
    Path("runs/points/version_0").rename("here")
    (fitted / "here/config.yaml").unlink()
    message = fails(capsys, *FIT, "--run_dir", "here")
    assert "here holds a run already" in message


# A run that was moved ----------------------------------------------------------------------------


class Drawn(Callback):
    """Logs numbers that were chosen beforehand, one an epoch."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def on_validation_epoch_end(self, trainer, pl_module):
        self.log("val_drawn_loss", self.values[trainer.current_epoch])


DRAWN = """
monitor: val_drawn_loss
trainer:
  callbacks:
  - {class_path: test_kept.Drawn, init_args: {values: [3.0, 1.0, 2.0, 2.5, 2.2]}}
"""


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_moved_or_copied_run_keeps_its_best_epoch(points, how):
    Path("drawn.yaml").write_text(DRAWN)
    main([*FIT, "--config", "drawn.yaml"])
    how("runs/points+drawn/version_0", "elsewhere")
    main(["fit", "--ckpt_path", "elsewhere", "--trainer.max_epochs", "5"])
    best = torch.load("elsewhere/checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == 1
    results = json.loads(Path("elsewhere/results.json").read_text())
    assert (results["best_epoch"], results["best"]["val_drawn_loss"]) == (2, 1.0)
    if how is shutil.copytree:
        assert len(metrics_of(points / "runs/points+drawn/version_0")) == 3


def test_the_state_of_the_best_checkpoint_speaks_of_its_folder(tmp_path):
    there = BestCheckpoint(tmp_path / "there", "val_loss")
    there.best_model_path = there.kth_best_model_path = str(tmp_path / "there/best.ckpt")
    there.best_model_score = there.kth_value = torch.tensor(0.5)
    there.best_k_models = {there.best_model_path: torch.tensor(0.5)}
    here = BestCheckpoint(tmp_path / "here", "val_loss")
    here.load_state_dict(there.state_dict())
    path = str(tmp_path / "here/best.ckpt")
    assert here.best_model_path == here.kth_best_model_path == path
    assert here.best_k_models == {path: torch.tensor(0.5)}
    assert not here.check_monitor_top_k(SingleProcess(), torch.tensor(0.6))
    assert here.check_monitor_top_k(SingleProcess(), torch.tensor(0.4))


class SingleProcess:
    """As much of a Trainer as the question takes whether a score is among the best."""

    class strategy:  # noqa: N801 - the name of the Trainer's attribute
        @staticmethod
        def reduce_boolean_decision(decision):
            return decision


# Two at once -------------------------------------------------------------------------------------


def test_one_folder_is_for_one_fit(points, capsys):
    with claimed("here", "points") as run:
        assert run.folder == Path("here")
        message = fails(capsys, *FIT, "--run_dir", "here")
        assert "another process is training in here" in message
    assert not (points / "here").exists()
    main([*FIT, "--run_dir", "here"])
    with locked(Run(points / "here")):
        message = fails(capsys, "fit", "--ckpt_path", "here", "--trainer.max_epochs", "5")
    assert "another process is training in here" in message
    main(["fit", "--ckpt_path", "here", "--trainer.max_epochs", "5"])
    assert len(metrics_of(points / "here")) == 5
    assert no_locks(points)


def test_of_many_that_ask_at_once_one_gets_the_folder(tmp_path):
    got, start = [], threading.Barrier(8)

    def ask():
        start.wait()
        try:
            with claimed(str(tmp_path / "here"), "points") as run:
                run.config.write_text("seed_everything: 0")
                (run.folder / "history.json").write_text("{}")
                got.append(1)
        except InputError:
            got.append(0)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [0] * 7 + [1]


def test_the_lock_of_a_dead_process_is_free(points):
    code = "import os; from dlp.runs.folders import claimed\nwith claimed('here', ''): os._exit(1)"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=False)
    assert (points / "here/.fit.lock").exists()
    main([*FIT, "--run_dir", "here"])
    assert (points / "here/results.json").exists()
    assert no_locks(points)


def test_a_run_is_resumed_by_its_folder(points, capsys):
    main([*FIT, "--run_dir", "here"])
    message = fails(capsys, *FIT, "--run_dir", "here")
    assert "go on with this one by --ckpt_path last --run_dir here" in message
    main([*FIT, "--run_dir", "here", "--ckpt_path", "last", "--trainer.max_epochs", "4"])
    assert len(metrics_of(points / "here")) == 4
    main(["test", "--run_dir", "here"])
    assert "test" in json.loads((points / "here/results.json").read_text())
    assert not (points / "runs").exists()
    message = fails(capsys, *RESUME, "--run_dir", "nowhere")
    assert "nowhere" in message
    message = fails(capsys, "test", "--ckpt_path", "here/checkpoints/best.ckpt", "--run_dir", "b")
    assert "lies in the run here, not in b" in message


# A command that is stopped -----------------------------------------------------------------------


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def stopped(capsys, *args):
    """Run a command that a signal stops; return its status and its last line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(list(args))
    return exit_.value.code, capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture
def signals(monkeypatch):
    """Let the process get a signal once an epoch has ended."""

    def at_epoch(number, epoch):
        recorded = History.on_train_epoch_start

        def send(self, trainer, pl_module):
            recorded(self, trainer, pl_module)
            if trainer.current_epoch == epoch:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(History, "on_train_epoch_start", send)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield at_epoch
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize(
    ("number", "status", "name"),
    [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")],
)
def test_a_fit_that_is_stopped_says_how_to_go_on(
    points, run_of_points, capsys, signals, monkeypatch, number, status, name
):
    signals(number, epoch=1)
    code, line = stopped(capsys, *FIT)
    assert code == status
    place = "runs/points/version_0/checkpoints/last.ckpt"
    command = f"dlp fit --ckpt_path {place}"
    assert line == f"dlp: stopped by {name}. Epoch 1 is saved: go on by {command}"
    assert no_locks(points)
    assert not (points / "runs/points/version_0/results.json").exists()
    monkeypatch.undo()
    monkeypatch.chdir(points)
    main(command.split()[1:])
    resumed, whole = (folder / "runs/points/version_0" for folder in (points, run_of_points))
    assert metrics_of(resumed) == metrics_of(whole)


def test_an_epoch_that_was_saved_by_another_process_is_told(run_of_points):
    """As those of ``ddp_spawn`` do: the callback of the process that is asked knows nothing."""
    run = run_of_points / "runs/points/version_0"
    kept = LastCheckpoint(run / "checkpoints")
    again = f"dlp fit --ckpt_path {run}/checkpoints/last.ckpt"
    assert after_stop(kept) == f"Epoch {len(metrics_of(run))} is saved: go on by {again}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fit_that_is_stopped_in_its_first_epoch_leaves_no_run(points, capsys, signals, number):
    signals(number, epoch=0)
    code, line = stopped(capsys, *FIT)
    assert code == 128 + number
    assert line.endswith("No epoch was saved.")
    assert not list((points / "runs/points").iterdir())


def test_what_lightning_makes_of_a_signal_is_told_too(points, capsys, monkeypatch):
    def leave(self, trainer, pl_module):
        raise SIGTERMException

    monkeypatch.setattr(History, "on_train_epoch_start", leave)
    with pytest.raises(SystemExit) as exit_:
        main([*FIT])
    assert exit_.value.code == 143


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_it_loads(tmp_path, number, status):
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "dlp", "fit", "--config", "imdb"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:  # torch loads by now
            if "torch." in line:
                break
        process.send_signal(number)
        said = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode == status
    assert said == [f"dlp: stopped by {'Ctrl-C' if status == 130 else 'SIGTERM'}.\n"]
    assert not list(tmp_path.iterdir())


def test_a_cross_validation_that_is_stopped_goes_on(points, capsys, signals, monkeypatch):
    signals(signal.SIGTERM, epoch=2)
    options = ("crossval", "--config", "points.yaml", "--num_folds", "3", "--engine", "serial")
    code, line = stopped(capsys, *options)
    assert code == 143
    assert line == (
        "dlp: stopped by SIGTERM. 0 folds are done in runs/points/version_0: the same command "
        "goes on with it."
    )
    monkeypatch.undo()
    monkeypatch.chdir(points)
    main(list(options))
    record = json.loads((points / "runs/points/version_0/crossval.json").read_text())
    assert len(record["folds"]) == 3


@pytest.mark.slow
def test_a_scheduler_stops_a_real_process(points):
    args = [*FIT, "--trainer.max_epochs", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dlp", *args],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    last = points / "runs/points/version_0/checkpoints/last.ckpt"
    deadline = time.monotonic() + 60
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "go on by dlp fit --ckpt_path" in said.splitlines()[-1]
    assert yaml.safe_load((last.parent.parent / "config.yaml").read_text())


# Files that are damaged --------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b'{"best_epoch": 3, "be', b"\xff\xfe\x00", b"[1, 2]"])
def test_damaged_results_are_said_before_anything_is_done(fitted, capsys, content):
    results = fitted / "runs/points/version_0/results.json"
    results.write_bytes(content)
    for args in (
        ("test", "--config", "points.yaml"),
        ("report", "points"),
        ("compare", "points"),
        (*RESUME, "--trainer.max_epochs", "4"),
    ):
        assert "results.json is damaged" in fails(capsys, *args)
    assert results.read_bytes() == content
    results.unlink()
    main(["test", "--config", "points.yaml"])
    assert "test" in json.loads(results.read_text())


def test_damaged_folds_are_said(points, capsys):
    options = ("crossval", "--config", "points.yaml", "--num_folds", "2")
    main([*options])
    folder = points / "runs/points/version_0"
    for name in ("crossval.json", "repeat_0/fold_1/results.json", "repeat_0/fold_0/history.json"):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(kept[:40])
        assert f"{Path(name).name} is damaged" in fails(capsys, *options, "--refit")
        (folder / name).write_bytes(kept)


# What would be dropped ---------------------------------------------------------------------------


def test_values_of_the_optimizer_that_a_checkpoint_replaces_are_refused(fitted, capsys):
    said = fails(capsys, *RESUME, "--trainer.max_epochs", "5", "--model.optimizer.init_args.lr=0.5")
    assert "model.optimizer.lr is" in said
    assert "0.5 would do nothing" in said
    assert "--init_from runs/points/version_0" in said


def test_an_edited_config_is_heeded_where_it_can_be_and_told_where_it_cannot(fitted, capsys):
    text = Path("points.yaml").read_text()
    main([*RESUME, "--trainer.max_epochs", "4"])
    said = capsys.readouterr().out
    assert "counts, not" not in said
    assert "has been edited" not in said
    Path("points.yaml").write_text(
        text.replace("max_epochs: 3", "max_epochs: 5").replace("dropout: 0.2", "dropout: 0.3")
    )
    main([*RESUME])
    said = capsys.readouterr().out
    assert "points.yaml has been edited since runs/points/version_0 began, and counts: " in said
    assert "trainer.max_epochs 5 (there 3)" in said
    assert "version_0/config.yaml counts, not points.yaml, which has: model.dropout 0.3" in said
    assert len(metrics_of(fitted / "runs/points/version_0")) == 5


def test_an_edited_predict_path_is_predicted(fitted, capsys):
    text = Path("points.yaml").read_text()
    Path("new.csv").write_text("east,north\n1,2\n3,4\n")
    Path("points.yaml").write_text(
        text.replace("target: side", "target: side, predict_path: new.csv")
    )
    main(["predict", "--config", "points.yaml"])
    assert "data.predict_path 'new.csv'" in capsys.readouterr().out
    assert len(rows_of(fitted / "runs/points/version_0/predictions_new.csv")) == 2


def test_a_config_does_not_take_the_run_of_another_of_its_file_name(fitted, capsys):
    Path("other").mkdir()
    text = Path("points.yaml").read_text().replace("hidden: [8]", "hidden: [4]")
    Path("other/points.yaml").write_text(text)
    said = fails(capsys, "test", "--config", "other/points.yaml")
    assert "runs/points/version_0 is of points.yaml, and no run below ./runs is of this" in said
    assert "train one by dlp fit --config other/points.yaml" in said
    Path("other/points.yaml").write_text(Path("points.yaml").read_text())
    main(["test", "--config", "other/points.yaml"])


def test_a_fit_lists_what_it_wrote_and_not_what_it_found(fitted, capsys):
    Path("runs/points/version_0/notes.txt").write_text("mine")
    main([*RESUME, "--trainer.max_epochs", "4"])
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("wrote runs/points/version_0: ")
    assert "results.json" in line
    assert "notes.txt" not in line
