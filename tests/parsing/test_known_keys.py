"""What is mistyped ends in the right next step, and the step is one that works."""

import argparse
from pathlib import Path

import pytest

from dlp.cli import main
from dlp.errors import InputError
from dlp.parsing.config_parser import ConfigParser
from dlp.parsing.known_keys import KEY_HABITS
from dlp.process import quiet

RECIPE = """
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: side, test_size: 0.2}
model:
  class_path: DenseModule
  init_args: {head: sigmoid, hidden: [8]}
trainer: {max_epochs: 3}
"""

#: What is typed after ``--config points.yaml`` -> what the sentence ends with, and what works.
MISTYPED = [
    # The habits of other projects
    ("--epochs 3", "Did you mean --trainer.max_epochs?", "--trainer.max_epochs 3"),
    ("--lr 0.1", "Did you mean --model.optimizer.lr?", "--model.optimizer.lr 0.1"),
    ("--learning_rate 0.1", "Did you mean --model.optimizer.lr?", "--model.optimizer.lr 0.1"),
    ("--learning-rate 0.1", "Did you mean --model.optimizer.lr?", "--model.optimizer.lr 0.1"),
    ("--batch_size 8", "Did you mean --data.batch_size?", "--data.batch_size 8"),
    ("--batch-size 8", "Did you mean --data.batch_size?", "--data.batch_size 8"),
    ("--seed 1", "Did you mean --seed_everything?", "--seed_everything 1"),
    ("--optimizer Adam", "Did you mean --model.optimizer?", "--model.optimizer Adam"),
    ("--optim Adam", "Did you mean --model.optimizer?", "--model.optimizer Adam"),
    ("--dropout 0.5", "Did you mean --model.dropout?", "--model.dropout 0.5"),
    ("--model.layers [9]", "Did you mean --model.hidden?", "--model.hidden [9]"),
    ("--gpus 1", "Did you mean --trainer.devices?", "--trainer.devices 1"),
    ("--device cpu", "Did you mean --trainer.accelerator?", "--trainer.accelerator cpu"),
    ("--output_dir here", "Did you mean --run_dir?", "--run_dir here"),
    ("--validation_split 0.3", "Did you mean --data.val_size?", "--data.val_size 0.3"),
    ("--predict_path x.csv", "Did you mean --data.predict_path?", "--data.predict_path x.csv"),
    ("--folds 3", "Did you mean --data.num_folds?", "--data.num_folds 3"),
    # Keys in the wrong place, or misspelt
    ("--trainer.epochs 3", "Did you mean --trainer.max_epochs?", "--trainer.max_epochs 3"),
    ("--trainer.max_epoch 3", "Did you mean --trainer.max_epochs?", "--trainer.max_epochs 3"),
    ("--max_epochs 3", "Did you mean --trainer.max_epochs?", "--trainer.max_epochs 3"),
    ("--trainer.batch_size 8", "Did you mean --data.batch_size?", "--data.batch_size 8"),
    ("--model.lr 0.1", "Did you mean --model.optimizer.lr?", "--model.optimizer.lr 0.1"),
    ("--model.hiden [9]", "Did you mean --model.hidden?", "--model.hidden [9]"),
    ("--model.init_args.hiden [9]", "Did you mean --model.hidden?", "--model.hidden [9]"),
    ("--Model.hidden [9]", "Did you mean --model.hidden?", "--model.hidden [9]"),
    ("--data.val_szie 0.2", "Did you mean --data.val_size?", "--data.val_size 0.2"),
    (
        "--data.table_format.decmal ,",
        "Did you mean --data.table_format.decimal?",
        "--data.table_format.decimal ,",
    ),
    ("--monitr val_acc", "Did you mean --monitor?", "--monitor val_acc"),
    (
        "--model.optimizer AdamW --model.optimizer.decay 1",
        "Did you mean --model.optimizer.weight_decay?",
        "--model.optimizer AdamW --model.optimizer.weight_decay 1",
    ),
    (
        "--model.scheduler.gamma 0.5",
        "gamma is an argument, of which class? Give --model.scheduler CLASS first.",
        "--model.scheduler StepLR --model.scheduler.step_size 1 --model.scheduler.gamma 0.5",
    ),
    (
        "--model.scheduler StepLR",
        "model.scheduler.step_size is missing: give --model.scheduler.step_size, or put it in a",
        "--model.scheduler StepLR --model.scheduler.step_size 1",
    ),
    (
        "--trainer.callbacks EarlyStopping --trainer.callbacks.monitr val_loss",
        "Did you mean --trainer.callbacks.monitor?",
        "--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val_loss",
    ),
    ("--model.zzz 1", "DenseModule accepts head, hidden, activation, dropout, loss, metrics", None),
    ("--zzz 1", "--data.KEY, --model.KEY, --trainer.KEY.", None),
    # Classes and values
    ("--model DenseModul", "there is no class 'DenseModul'. Did you mean 'DenseModule'?", None),
    ("--model torch.nn.Linear", "not of the kind that is wanted here, LightningModule.", None),
    ("--model.optimizer Optimizr", "Did you mean 'Optimizer'?", None),
    ("--trainer.max_epochs ten", "trainer.max_epochs must be int; got 'ten'.", None),
    ("--model.hidden wide", "model.hidden must be a list of int; got 'wide'.", None),
    ("--model.hidden 9 9", "A list is one word: --model.hidden [9,9]", "--model.hidden [9,9]"),
    ("--model.head sigmod", "Did you mean 'sigmoid'?", "--model.head sigmoid"),
    ("--trainer.max_epochs", "--trainer.max_epochs needs a value", None),
    ("--model.optimizer.lr fast", "model.optimizer.lr must be float; got 'fast'.", None),
    ("--model.head.threshold 1", "no key: model.head is 'sigmoid', and only a class holds", None),
    ("--trainer 2", "trainer holds keys, not 2: give --trainer.KEY VALUE", None),
    ("--data.path null", "data.path is missing: give --data.path", "--data.path points.csv"),
    ("--metric val_acc", "Did you mean --monitor?", "--monitor val_acc"),
    # Names that share a word with another, and are alike in nothing else
    ("--data.num_workers 2", "TableDataModule accepts path", None),
    ("--trainer.verbose true", "Trainer accepts accelerator", None),
    ("--model.num_outputs 3", "model.num_outputs: the data say it", "--model.num_outputs null"),
    ("--model.input_shape [3]", "model.input_shape: the data say it", None),
    # Words that belong to no option
    ("-- trainer.max_epochs 3", "-- stands alone", "--trainer.max_epochs 3"),
    ("overlay.yaml", "give it by --config overlay.yaml", None),
    ("imdb", "imdb is a config: give it by --config imdb", None),
    ("last.ckpt", "give it by --ckpt_path last.ckpt", None),
    ("trainer.max_epochs=3", "--trainer.max_epochs=3", "--trainer.max_epochs=3"),
    ("fast", "'fast' is no option: these begin with two dashes, as --config NAME does.", None),
]

#: What a config says beside the recipe -> likewise; what works is a config too.
MISWRITTEN = [
    ("epochs: 3", "Did you mean trainer.max_epochs?", "trainer.max_epochs: 3"),
    ("lr: 0.1", "Did you mean model.optimizer.lr?", "model.optimizer.lr: 0.1"),
    ("trainer: {epochs: 3}", "Did you mean trainer.max_epochs?", "trainer: {max_epochs: 3}"),
    ("trainr: {max_epochs: 3}", "Did you mean trainer?", "trainer: {max_epochs: 3}"),
    ("trainer: 3", "holds keys, not 3", "trainer: {max_epochs: 3}"),
    ("trainer: {init_args: {max_epochs: 3}}", "trainer holds its keys itself.", None),
    ("model: {init_args: {hiden: [9]}}", "Did you mean model.hidden?", "model.hidden: [9]"),
    (
        "data: {init_args: {table_format: {encdoing: cp1252}}}",
        "Did you mean data.table_format.encoding?",
        "data: {init_args: {table_format: {encoding: cp1252}}}",
    ),
    (
        "model: {class_path: DenseModule, hidden: [9]}",
        "init_args: model: {class_path: ..., init_args: {hidden: ...}}",
        "model: {class_path: DenseModule, init_args: {hidden: [9]}}",
    ),
    (
        "trainer: {callbacks: [{class_path: EarlyStopping, monitor: x}]}",
        "monitor stands beside class_path",
        "trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitor: x}}]}",
    ),
    (
        "trainer: {callbacks: [{class_path: EarlyStopping, init_args: {patient: 1, monitor: x}}]}",
        "Did you mean trainer.callbacks.patience?",
        "trainer: {callbacks: [{class_path: EarlyStopping, init_args: {patience: 1, monitor: x}}]}",
    ),
    ("", "overlay.yaml is empty: a config holds keys such as data and model.", None),
    ("trainer:\n\tmax_epochs: 3", "overlay.yaml is no YAML", None),
    ("trainer: {max_epochs: 3}\ntrainer: {min_epochs: 1}", "gives trainer twice (lines 1", None),
    (
        "trainer: {max_epochs: 3}\ntrainer.max_epochs: 4",
        "gives trainer.max_epochs twice (lines 1 and 2)",
        "trainer: {max_epochs: 3}\ntrainer.min_epochs: 1",
    ),
    (
        "model: {init_args: {hidden: [3]}}\nmodel.hidden: [4]",
        "gives model.hidden twice (lines 1 and 2)",
        None,
    ),
    (
        "model: {class_path: DenseModule, init_args: {num_outputs: 3}}",
        "model.num_outputs in overlay.yaml: the data say it",
        "model: {class_path: DenseModule, init_args: {num_outputs: null}}",
    ),
]


@pytest.fixture(scope="module")
def parser():
    """Return the parser of a fit; it may parse again and again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)
        words = "--data TableDataModule --data.path x --data.target y --model DenseModule"
        with quiet():
            return ConfigParser([*words.split(), "--model.head", "sigmoid"], "fit").parser


@pytest.fixture(autouse=True)
def recipe(tmp_path, monkeypatch):
    """Work in a folder with a recipe."""
    monkeypatch.chdir(tmp_path)
    Path("points.yaml").write_text(RECIPE)
    Path("points.csv").write_text("a,side\n1,0\n2,1\n3,0\n4,1\n5,1\n")
    Path("scalar.yaml").write_text("trainer: 3\n")


@pytest.mark.parametrize(("typed", "said", "right"), MISTYPED)
def test_what_is_mistyped_ends_in_the_right_next_step(parser, typed, said, right):
    with pytest.raises(InputError) as error:
        parser.parse_args(["--config", "points.yaml", *typed.split()])
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    if right is not None:
        parser.parse_args(["--config", "points.yaml", *right.split()])


@pytest.mark.parametrize(("written", "said", "right"), MISWRITTEN)
def test_what_is_miswritten_in_a_config_is_said_of_its_file(parser, written, said, right):
    words = ["--config", "points.yaml", "--config", "overlay.yaml"]
    Path("overlay.yaml").write_text(written + "\n")
    with pytest.raises(InputError, match=r"overlay\.yaml") as error:
        parser.parse_args(words)
    assert said in str(error.value)
    if right is not None:
        Path("overlay.yaml").write_text(right + "\n")
        parser.parse_args(words)


def test_a_comment_in_latin_1_is_said_with_its_line(parser):
    Path("overlay.yaml").write_bytes("trainer:\n  max_epochs: 3  # für alle\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"overlay\.yaml is not UTF-8 .* in line 2"):
        parser.parse_args(["--config", "points.yaml", "--config", "overlay.yaml"])


def test_a_variation_alone_asks_for_its_recipe(parser):
    with pytest.raises(InputError, match=r"--config NAME --config dropout, with one of .*imdb"):
        parser.parse_args(["--config", "dropout"])


def test_keys_are_those_of_the_class_that_counts_when_they_are_given(parser):
    to_xception = ["--config", "points.yaml", "--model", "XceptionModule"]
    parser.parse_args(to_xception)  # what the recipe gave the class before is dropped
    with pytest.raises(InputError, match=r"unknown option --model\.hidden"):
        parser.parse_args([*to_xception, "--model.hidden", "[3]"])


def test_every_habit_leads_to_a_key_of_some_command(parser):
    accepted = {
        *("output", "ckpt_path", "run_dir", "seed_everything", "num_folds", "trials"),
        *(name for name in vars(parser.get_defaults()) if "." not in name),
    }
    for keys in KEY_HABITS.values():
        for key in keys:
            first, _, name = key.partition(".")
            assert key in accepted or (name and first in ("data", "model", "trainer"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train --config imdb", "unknown command 'train'. Did you mean 'fit'?"),
        ("evaluate --config imdb", "unknown command 'evaluate'. Did you mean 'test'?"),
        ("--config imdb", "a command comes first: dlp fit --config imdb. See dlp --help."),
        ("points.yaml", "a command comes first: dlp fit --config points.yaml"),
        ("imdb --trainer.max_epochs 2", "dlp fit --config imdb --trainer.max_epochs 2"),
        ("fit points.yaml", "points.yaml is a config: give it by --config points.yaml"),
        ("fit --config points.yaml --epochs 3", "Did you mean --trainer.max_epochs?"),
        ("fit --config points.yaml --resume last", "Did you mean --ckpt_path?"),
        ("crossval --config points.yaml --folds 3", "Did you mean --num_folds?"),
        ("crossval --config points.yaml --repeat 3", "Did you mean --repeats?"),
        ("fit -config points.yaml", "begin with two dashes, --config"),
        ("fit --data.path points.csv", "data.class_path is missing: give --data CLASS"),
        ("fit --config points.yaml --seed_everything -1", "must be 0 to 4294967295, got -1."),
        ("test --config points.yaml --config scalar.yaml", "no run of 'points+scalar'"),
    ],
)
def test_commands_that_are_misnamed(words, said, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(words.split())
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_argparse_still_lists_the_options_of_a_parser_and_of_its_groups():
    parser = argparse.ArgumentParser(add_help=False)  # the list has no public name
    added = [parser.add_argument("--one"), parser.add_argument_group().add_argument("--two")]
    assert parser._actions == added


def test_help_is_a_command_too(capsys):
    main(["help"])
    assert "recipes, for --config" in capsys.readouterr().out


@pytest.mark.parametrize("said", ["trainer:\n  # max_epochs: 5\n", "trainer:\n"])
def test_a_trainer_of_which_nothing_is_said_has_its_defaults(parser, said):
    Path("overlay.yaml").write_text(said)
    words = ["--config", "points.yaml", "--config", "overlay.yaml", "--trainer.fast_dev_run=true"]
    trainer = parser.parse_args(words).trainer
    assert trainer.fast_dev_run
    assert trainer.callbacks is None
