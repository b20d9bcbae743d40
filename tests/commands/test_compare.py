"""``dlp compare`` on run folders as a fit writes them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dlp.cli import main
from dlp.commands.compare import labelled
from dlp.errors import InputError
from dlp.runs.finding import find_runs

LOSSES = [0.5, 0.3, 0.4]
#: For what is not the look of a figure.
UNDRAWN = pytest.mark.usefixtures("undrawn_figures")


def write_run(folder, losses=LOSSES, seed=0, results=None, **settings):
    """Write the small files of a run below ./runs."""
    folder = Path("runs") / folder
    folder.mkdir(parents=True)
    history = {
        "train_loss": [loss / 2 if loss else loss for loss in losses],
        "val_loss": losses,
        "val_acc": [1 - loss if loss else loss for loss in losses],
    }
    (folder / "history.json").write_text(json.dumps(history))
    (folder / "results.json").write_text(json.dumps({"seed": seed, **(results or {})}))
    data = {"train_size": settings.get("train_size"), "split_seed": seed}
    config = {
        "seed_everything": seed,
        "trainer": {"max_epochs": settings.get("max_epochs", 3), "enable_progress_bar": seed == 0},
        "data": {"class_path": "dlp.datamodules.IMDBDataModule", "init_args": data},
        "model": {
            "class_path": "dlp.modules.DenseModule",
            "init_args": {
                "hidden": settings.get("hidden", [16, 16]),
                "optimizer": {"class_path": settings.get("optimizer", "dlp.modules.KerasRMSprop")},
            },
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def runs(here):
    """Two seeds of an original, and a bigger network."""
    write_run(
        "imdb/version_0", [0.6, 0.4, 0.5], results={"parameters": {"total": 9, "trainable": 9}}
    )
    write_run("imdb/version_1", [0.5, 0.4, 0.2], 1, {"parameters": {"total": 9, "trainable": 9}})
    write_run(
        "imdb+bigger/version_0",
        [0.3, None, 0.7],
        hidden=[512, 512],
        results={
            "parameters": {"total": 15000, "trainable": 513},
            "test": {"test_acc": 0.9, "checkpoint": "best.ckpt", "baseline": {}},
        },
    )
    return here


def fails(capsys, *args):
    with pytest.raises(SystemExit) as exit_:
        main(["compare", *args])
    assert exit_.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


def rows(out):
    """Return the cells of the printed table."""
    lines = out.splitlines()[:-1]
    lines = lines[next(n for n, line in enumerate(lines) if line.startswith("run ")) :]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def test_a_table_and_a_figure_of_the_newest_runs(runs, capsys):
    main(["compare", "imdb", "imdb+bigger"])
    out = capsys.readouterr().out
    assert rows(out) == [
        ["run", "runs", "parameters", "best val_loss", "at epoch", "last", "test_acc"],
        ["imdb", "1", "9", "0.2000", "3", "0.2000", "-"],
        ["imdb+bigger", "1", "15,000 (513 trained)", "0.3000", "1", "0.7000", "0.9000"],
    ]
    assert out.endswith(f"wrote {Path('runs/compare.png')}\n")
    assert (runs / "runs/compare.png").read_bytes().startswith(b"\x89PNG")


@UNDRAWN
def test_a_folder_of_runs_gives_mean_and_spread(runs, capsys):
    main(["compare", "runs/imdb", "--metric", "val_acc", "--metric", "val_loss"])
    _, row = rows(capsys.readouterr().out)
    assert row[:2] == ["imdb", "2"]
    assert row[3:6] == ["0.7000 ± 0.1414", "2 to 3", "0.6500 ± 0.2121"]
    assert row[6] == "0.3000 ± 0.1414"


def test_folders_and_options_in_any_order_and_each_run_once(runs, capsys):
    first, bigger = "runs/imdb/version_0", "runs/imdb+bigger/version_0"
    main(["compare", first, "--output", "a/b.svg", "imdb+bigger", "runs/imdb", bigger])
    table = rows(capsys.readouterr().out)
    assert [row[:2] for row in table[1:]] == [["imdb", "2"], ["imdb+bigger", "1"]]
    assert "<svg" in Path("a/b.svg").read_text()


def test_a_pdf_in_place_of_an_old_one(runs):
    Path("old.pdf").write_text("old")
    main(["compare", "imdb", "--output", "old.pdf"])
    assert Path("old.pdf").read_bytes().startswith(b"%PDF")


def test_seeds_in_the_legend_and_runs_that_repeat_one_seed(runs):
    from dlp.commands.compare import _counted

    seeds = find_runs(["runs/imdb"])
    assert _counted("imdb", seeds) == "imdb (2 seeds)"
    assert _counted("imdb", [seeds[0], seeds[0]]) == "imdb (2 runs)"
    assert _counted("imdb", seeds[:1]) == "imdb"


def test_runs_of_one_name_that_differ_in_more_than_the_seed_are_told_apart(runs):
    write_run("imdb/version_2", hidden=[4, 4])
    write_run("imdb/version_3", hidden=[4, 4], seed=3)
    write_run("imdb/version_10", hidden=[4, 4], max_epochs=9)
    found = labelled(find_runs(["runs/imdb", "imdb+bigger"]))
    assert {label: [run.folder.name for run in group] for label, group in found.items()} == {
        "imdb, max_epochs 3, hidden [16, 16]": ["version_0", "version_1"],
        "imdb, max_epochs 3, hidden [4, 4]": ["version_2", "version_3"],
        "imdb, max_epochs 9, hidden [4, 4]": ["version_10"],
        "imdb+bigger": ["version_0"],
    }


def test_a_setting_that_is_null_is_not_said(here):
    write_run("imdb/version_0", train_size=500)
    write_run("imdb/version_1")
    assert [*labelled(find_runs(["runs/imdb"]))] == ["imdb, train_size 500", "imdb"]


def test_folders_that_number_runs_are_called_by_their_config(here):
    for folder in ("housing/version_2/repeat_0/fold_1", "reproduce/mnist/seed_4", "here"):
        write_run(folder)
    found = find_runs(["runs/housing", "runs/reproduce", "runs/here"])
    assert [run.name for run in found] == ["housing", "mnist", "here"]


@UNDRAWN
def test_a_cross_validation_stands_for_its_folds(here, capsys):
    whole = write_run("houses/version_1")  # the history of its refit
    (whole / "crossval.json").write_text("{}")
    for fold in range(3):
        write_run(f"houses/version_1/repeat_0/fold_{fold}", seed=fold)
    for given in ("houses", "runs/houses/version_1"):
        assert [run.folder.name for run in find_runs([given])] == ["fold_0", "fold_1", "fold_2"]
    main(["compare", "houses"])
    assert rows(capsys.readouterr().out)[1][:2] == ["houses", "3"]


@UNDRAWN
def test_more_data(here, capsys):
    for size, loss in ((500.0, 0.5), (1000.0, 0.4), (None, 0.3)):
        for seed in (0, 1):
            name = f"imdb/version_{int(size or 0)}_{seed}"
            rows_ = {"train_rows": 15000} if size is None else {}
            write_run(name, [loss, loss + seed], seed, rows_, train_size=size)
    main(["compare", "runs/imdb", "--against", "data.init_args.train_size", "--metric", "val_acc"])
    table = rows(capsys.readouterr().out)
    assert table[0][:4] == ["run", "data.train_size", "runs", "parameters"]
    assert [row[:3] for row in table[1:]] == [
        ["imdb", "500", "2"],
        ["imdb", "1000", "2"],
        ["imdb", "15000", "2"],
    ]
    assert [row[4] for row in table[1:]] == [f"{v:.4f} ± 0.0000" for v in (0.5, 0.6, 0.7)]


@UNDRAWN
@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("model.hidden", ["[16, 16]", "[512, 512]"]),
        ("data.train_size", ["null", "null"]),
        ("model.optimizer", ["KerasRMSprop", "KerasRMSprop"]),
        ("model.optimizer.class_path", ["KerasRMSprop", "KerasRMSprop"]),
    ],
)
def test_against_any_setting(runs, capsys, key, values):
    main(["compare", "imdb", "imdb+bigger", "--against", key])
    table = rows(capsys.readouterr().out)
    assert [row[1] for row in table[1:]] == values
    # Equal but for the setting: one line in the figure; else each has its own.
    one = key == "model.hidden"
    assert [row[0] for row in table[1:]] == (["imdb"] * 2 if one else ["imdb", "imdb+bigger"])


@UNDRAWN
def test_unknown_runs(here, capsys):
    none = "There are none below ./runs: train one by dlp fit"
    assert none in fails(capsys, "imdb")
    (here / "runs/imdb").mkdir(parents=True)  # as of `dlp data`, which draws into it
    assert f"no run in imdb has a history.json. {none}" in fails(capsys, "imdb")
    write_run("imdb/version_0")
    write_run("mnist/seed_0")
    main(["compare", "mnist", "imdb/version_0", "--output", "a.png"])  # below ./runs, too
    capsys.readouterr()
    assert fails(capsys, "imbd") == (
        "dlp: there is no run 'imbd'. Did you mean 'imdb'? Below ./runs are runs of imdb, mnist.\n"
    )
    assert "give the runs to draw. Below ./runs are runs of imdb, mnist." in fails(capsys)
    assert "there is no run 'runs/imdb/version_9'" in fails(capsys, "runs/imdb/version_9")
    (here / "runs/imdb/version_7").mkdir()
    assert fails(capsys, "runs/imdb/version_7") == (
        "dlp: no run in runs/imdb/version_7 has a history.json. Below ./runs are runs of imdb, "
        "mnist.\n"
    )
    assert not (here / "runs/compare.png").exists()


@UNDRAWN
def test_what_is_no_run_beside_runs_is_left_out(runs, capsys):
    Path("runs/compare.png").write_bytes(b"")  # what runs/* gives after a first figure
    main(["compare", *map(str, sorted(Path("runs").iterdir()))])
    out = capsys.readouterr().out
    assert f"left out, without history.json: {Path('runs/compare.png')}" in out
    assert len(rows(out)) == 3


def test_misspelt_metrics_settings_and_options(runs, capsys):
    message = fails(capsys, "imdb", "--metric", "val_los")
    assert "unknown metric 'val_los'. Did you mean 'val_loss'? Accepted: train_loss" in message
    assert "Did you mean 'data.train_size'?" in fails(capsys, "imdb", "--against", "train_size")
    assert "Did you mean '--metric'?" in fails(capsys, "imdb", "--metrc", "val_acc")
    assert "unknown option '--out'" in fails(capsys, "imdb", "--out", "a.png")
    assert "expected one argument" in fails(capsys, "imdb", "--metric")
    assert "must end in .png, .svg, .pdf; got a.gif." in fails(capsys, "imdb", "--output", "a.gif")
    Path("file").touch()
    assert "cannot write" in fails(capsys, "imdb", "--output", "file/a.png")


@UNDRAWN
def test_runs_without_a_metric_or_setting_are_named(runs, capsys):
    folder = write_run("own/version_0")
    (folder / "config.yaml").unlink()
    (folder / "history.json").write_text('{"train_loss": [0.5, 0.25]}')
    main(["compare", "imdb", "own"])
    out = capsys.readouterr().out
    assert f"without val_loss: {folder}" in out
    assert ["own", "1", "-", "-", "-", "-"] in [row[:6] for row in rows(out)]
    main(["compare", "own"])
    assert "best train_loss" in capsys.readouterr().out
    main(["compare", "imdb", "own", "--against", "model.hidden"])
    assert f"left out, without model.hidden: {folder}" in capsys.readouterr().out
    (folder / "history.json").write_text("{")
    assert "history.json is damaged" in fails(capsys, "own")


@UNDRAWN
def test_a_setting_without_any_number(here, capsys):
    write_run("imdb/version_0", [None, None])
    main(["compare", "imdb"])
    message = fails(capsys, "imdb", "--against", "model.hidden")
    assert "no run with the setting model.hidden has a number for val_loss" in message


def test_help_and_comparison_need_no_torch(runs):
    code = (
        "import sys\nfrom dlp.commands.compare import compare\ncompare(['imdb', 'imdb+bigger'])\n"
        "try:\n    compare(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'lightning'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("RUN", "--metric", "--against", "--output", "data.train_size", "examples:"):
        assert word in done.stdout


@UNDRAWN
def test_runs_as_a_fit_writes_them(here, capsys):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["east", "north"])
    table["sum"] = table.east + table.north
    table.to_csv("points.csv", index=False)
    Path("points.yaml").write_text(
        "data: {class_path: TableDataModule, init_args: {path: points.csv, target: sum, "
        "test_size: 10, val_size: 10}}\n"
        "model: {class_path: DenseModule, init_args: {head: regression, hidden: [4]}}\n"
        "trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false}\n"
    )
    main(["fit", "--config", "points.yaml"])
    main(["fit", "--config", "points.yaml", "--data.train_size", "20"])
    capsys.readouterr()
    main(["compare", "runs/points", "--against", "data.train_size", "--metric", "val_mae"])
    table = rows(capsys.readouterr().out)
    assert [row[:4] for row in table[1:]] == [
        ["points", "20", "1", "17"],
        ["points", "40", "1", "17"],
    ]
    results = json.loads(Path("runs/points/version_1/results.json").read_text())
    assert results["train_rows"] == 20
    assert results["parameters"] == {"total": 17, "trainable": 17}


def test_find_runs_needs_a_name(here):
    with pytest.raises(InputError, match="give the runs to draw"):
        find_runs([])
