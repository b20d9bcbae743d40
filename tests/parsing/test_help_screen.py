"""The first screen of the help says what most need, and how to see the rest."""

import argparse
import re

import pytest
import yaml

from dlp.cli import main
from dlp.parsing.help_screen import first_screen


def helped(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main([*words])
    assert exit_.value.code == 0
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def test_the_help_of_a_command_fits_a_screen_and_leads_to_the_rest(capsys):
    shown = helped(capsys, "fit", "--help")
    assert len(shown.splitlines()) < 60
    assert shown == helped(capsys, "fit", "--config", "imdb", "-h")
    for word in (
        *("--config NAME", "TableDataModule", "DenseModule", "--monitor", "--test_after_fit"),
        *("--trainer.max_epochs", "dlp fit --help all", "--print_config", "--model.help"),
    ):
        assert word in shown
    assert "enable_progress_bar" not in shown
    assert "RestorableModule" not in shown  # no class that a config would name


def test_all_options_are_shown_where_they_are_asked_for(capsys):
    shown = helped(capsys, "fit", "--help", "all")
    assert len(shown.splitlines()) > 300
    for word in ("--trainer.enable_progress_bar", "--trainer.gradient_clip_val", "--monitor"):
        assert word in shown


def test_the_steps_that_the_help_names_work(capsys):
    shown = helped(capsys, "fit", "--help")
    steps = [line.split() for line in shown.splitlines() if line.startswith("  dlp fit --")]
    (data,) = [step for step in steps if step[2] == "--data.help"]
    assert "--data.batch_size" in helped(capsys, *data[1:4])
    (model,) = [step for step in steps if step[2] == "--model.help"]
    assert "--model.head" in helped(capsys, *model[1:4])


def test_the_options_of_a_command_are_among_its_help(capsys):
    assert "--num_folds VALUE" in helped(capsys, "crossval", "--help")
    assert "--space VALUE" in helped(capsys, "tune", "--help")


@pytest.mark.parametrize("words", [["--help"], ["--help", "all"]])
def test_a_command_offers_the_options_of_a_run_that_it_takes(capsys, words):
    offered = {
        command: set(re.findall(r"^  --(\w+)", helped(capsys, command, *words), re.MULTILINE))
        for command in ("fit", "test", "crossval", "data")
    }
    assert {"refit", "smoothing", "init_from", "run_dir", "threads"} <= offered["fit"]
    assert "output" not in offered["fit"]
    assert {"ckpt_path", "baselines", "verbose", "threads"} <= offered["test"]
    assert not {"refit", "smoothing", "init_from", "monitor", "output"} & offered["test"]
    assert not {"ckpt_path", "init_from", "test_after_fit"} & offered["crossval"]
    assert not {"ckpt_path", "refit", "run_dir", "monitor"} & offered["data"]
    assert "output" in offered["data"]  # one of its own
    assert "weights_only" not in set().union(*offered.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("data --refit", "--refit is for dlp fit and dlp crossval; dlp data has no use for it."),
        ("crossval --output=x.csv", "--output is for dlp predict and dlp visualize; dlp crossval"),
        ("tune --baselines true", "dlp test and dlp crossval; dlp tune has no use for it."),
    ],
)
def test_an_option_that_a_command_has_no_use_for_is_refused(capsys, words, said):
    command, *options = words.split()
    with pytest.raises(SystemExit):
        main([command, "--config", "imdb", *options])
    assert said in capsys.readouterr().err


def test_configs_may_hold_what_a_command_does_not_take(capsys):
    shown = yaml.safe_load(helped(capsys, "test", "--config", "imdb", "--print_config"))
    assert {"monitor", "refit", "smoothing", "output"} <= shown.keys()


def test_columns_are_wrapped_and_defaults_said_once():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folds", default=4, help="How many.")
    parser.add_argument("--flag", nargs="?", default=False, help="A flag.")
    parser.add_argument("--long", default=3, help=f"{'word ' * 30}(default: three).")
    options = {each.dest: each for each in parser._actions}
    shown = first_screen("dlp fit", options, {"data": ["A"], "model": ["B"]})
    assert "--folds VALUE                 How many (default: 4)." in shown
    assert "--flag                        A flag.\n" in shown
    assert "(default: three)." in shown
    assert "default: 3" not in shown
    assert max(map(len, shown.splitlines())) <= 100
