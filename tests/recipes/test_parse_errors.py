"""Mistakes of the command line: each ends in one sentence with the next step."""

import shlex
from pathlib import Path

import pytest

from dlp.errors import InputError
from dlp.recipes.command_line import typed_recipe
from dlp.recipes.parse_errors import one_sentence

RECIPE = """\
data: {class_path: TableDataModule, init_args: {path: points.csv, target: side}}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [8]}}
trainer: {max_epochs: 3}
"""

TYPED = [
    (
        "--epochs 3",
        "unrecognized arguments: --epochs 3. Did you mean trainer.max_epochs?",
    ),
    ("--learning-rate 0.1", "Did you mean model.optimizer.lr?"),
    ("--trainer.batch_size 8", "Did you mean data.batch_size?"),
    ("--data.shuffle no", "data: Option 'shuffle' is not accepted."),
    (
        "--trainer.callbacks EarlyStopping --trainer.callbacks.monitr x",
        "callbacks.monitor?",
    ),
    ("--model.optimizer SGD --model.optimizer.momentm 3", "optimizer.momentum?"),
    ("--model DenseModul", "string: DenseModul. Did you mean DenseModule?"),
    ("--data TableDataModul", "string: TableDataModul. Did you mean TableDataModule?"),
    ("--trainer.callbacks EarlyStoping", "EarlyStoping. Did you mean EarlyStopping?"),
    ("--trainer.callbacks EarlyStopping", "arguments are required: monitor."),
    ("--smoothing 7", "Give a number from 0 to 1, such as 0.9."),
    (
        "--model.optimizer Adm",
        "model.optimizer: Expected a dot import path string: Adm. Did you",
    ),
    ("--model.head sigmod", "string: sigmod. Did you mean sigmoid?"),
    ("--data.val_size x", "data.val_size: Expected int or float; got 'x'."),
    (
        "--model.hidden 9 9",
        "Expected Sequence; got '9'. Write a list as one word without spaces, such as [9,9].",
    ),
    ("trainer.max_epochs=3", "two dashes, as in --config NAME."),
]
WRITTEN = [
    (
        "trainer: {epochs: 3}",
        "does not accept option 'epochs'. Did you mean trainer.max_epochs?",
    ),
    ("model: {class_path: DenseModule, hidden: [9]}", "belong below init_args"),
    (
        "trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitr: x}}]}",
        "trainer.callbacks: Option 'monitr' is not accepted. Did you mean trainer.call",
    ),
    (
        "data: {init_args: {positive_class: yes}}",
        "got 'True'. YAML reads yes, no, on and off as True or False. Put quotes",
    ),
]


@pytest.fixture(autouse=True)
def recipe():
    Path("points.yaml").write_text(RECIPE, encoding="utf-8")
    Path("points.csv").write_text(
        "a,side\n0.1,0\n0.2,1\n0.5,0\n0.4,1\n0.3,1\n", encoding="utf-8"
    )


def load(*args):
    return typed_recipe("data", args, lambda recipe: None)


@pytest.fixture(scope="module")
def parse():
    """Parse the arguments of a command; nothing is built."""
    words = "--data TableDataModule --data.path x --data.target y --model DenseModule"
    parser = load(*words.split(), "--seed_everything", "0").parser
    return lambda *args: parser.parse_args(args)


def refusal(parse, *args):
    """Return the sentence by which arguments are refused."""
    with pytest.raises(InputError) as error:
        parse(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("typed", "message"), TYPED)
def test_a_mistyped_argument_ends_in_the_next_step(parse, typed, message):
    assert message in refusal(parse, "--config", "points.yaml", *shlex.split(typed))


@pytest.mark.parametrize(("written", "message"), WRITTEN)
def test_a_miswritten_config_ends_in_the_next_step(parse, written, message):
    Path("overlay.yaml").write_text(written, encoding="utf-8")
    assert message in refusal(
        parse, "--config", "points.yaml", "--config", "overlay.yaml"
    )


def test_without_a_config_the_missing_class_is_named():
    message = "required: data. Give a config that contains it: --config NAME"
    assert message in refusal(load, "--model", "DenseModule")
    message = "data: Option 'path' is not accepted. Name a class first"
    assert message in refusal(load, "--data.path", "points.csv")


def test_words_that_jsonargparse_does_not_have_today_are_shown_as_they_are():
    error = TypeError("Argument a: of no use")
    error.__cause__ = ValueError("7 is too large")
    assert one_sentence(str(error), error, ["model.lr"], {}) == "7 is too large."
    assert one_sentence("no such word", None, ["model.lr"], {}) == "no such word."
