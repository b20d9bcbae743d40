"""Mistakes of the command line: each ends in one sentence with the next step."""

import shlex
from pathlib import Path

import pytest

from dlp.errors import InputError
from dlp.lightning_cli.invocation import resolve
from dlp.lightning_cli.recipe import Recipe

RECIPE = """\
data: {class_path: TableDataModule, init_args: {path: points.csv, target: side}}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [8]}}
trainer: {max_epochs: 3}
"""

TYPED = [
    # Names of other projects
    ("--epochs 3", "unrecognized arguments: --epochs 3. Did you mean trainer.max_epochs?"),
    ("--learning-rate 0.1", "Did you mean model.optimizer.lr?"),
    ("--batch_size 8", "Did you mean data.batch_size?"),
    ("--seed 1", "Did you mean seed_everything?"),
    ("--dropout 0.5", "Did you mean model.dropout?"),
    ("--model.layers [9]", "Did you mean model.hidden?"),
    ("--gpus 1", "Did you mean trainer.devices?"),
    ("--device cpu", "Did you mean trainer.accelerator?"),
    ("--output_dir here", "Did you mean run_dir?"),
    ("--validation_split 0.3", "Did you mean data.val_size?"),
    ("--folds 3", "Did you mean data.num_folds?"),
    # Keys in another place, or misspelt
    ("--trainer.max_epoch 3", "Did you mean trainer.max_epochs?"),
    ("--trainer.batch_size 8", "Did you mean data.batch_size?"),
    ("--model.lr 0.1", "Did you mean model.optimizer.lr?"),
    ("--model.init_args.hiden [9]", "'hiden' is not accepted. Did you mean model.hidden?"),
    ("--Model.hidden [9]", "Did you mean model.hidden?"),
    ("--data.shuffle no", "data: Option 'shuffle' is not accepted."),
    ("--monitr val_acc", "Did you mean monitor?"),
    ("--model.optimizer AdamW --model.optimizer.weigth_decay 1", "optimizer.weight_decay?"),
    ("--model.scheduler.gamma 0.5", "Give a class before, by --config NAME."),
    ("--model.scheduler StepLR", "scheduler: the following arguments are required: step_size."),
    ("--trainer.callbacks EarlyStopping --trainer.callbacks.monitr x", "callbacks.monitor?"),
    # Classes and values
    ("--model DenseModul", "got 'DenseModul'. Did you mean DenseModule?"),
    ("--model dlp.modules.DenseModul", "Did you mean DenseModule?"),
    ("--model torch.nn.Linear", "to a subclass of LightningModule; got 'torch.nn.Linear'."),
    ("--model nowhere.Net", "model: No module named 'nowhere'; got 'nowhere.Net'."),
    ("--model.optimizer Adm", "model.optimizer: Expected a dot import path string: Adm. Did you"),
    ("--model.scheduler ReduceLROnPlateau", "Multiple subclasses with name ReduceLROnPlateau"),
    ("--model.head sigmod", "got 'sigmod'. Did you mean sigmoid?"),
    ("--data.val_size x", "data.val_size: Expected int or float; got 'x'."),
    ("--trainer.max_epochs ten", "trainer.max_epochs: Expected int; got 'ten'."),
    ("--trainer.max_epochs", "--trainer.max_epochs: expected one argument"),
    ("--model.optimizer.lr fast", "model.optimizer.lr: Expected float; got 'fast'."),
    ("--model.hidden 9 9", "Expected Sequence; got '9'. A list is one word, such as [9,9]."),
    ("--smoothing 1.5", "smoothing: Not of type ClosedUnitInterval: 1.5 does not conform"),
    ("--trainer 2", "trainer: Unable to load config '2'."),
    ("--data.path null", "data: the following arguments are required: path."),
    # Words of no key
    ("-- trainer.max_epochs 3", "A key has two dashes"),
    ("overlay.yaml", "overlay.yaml. A key has two dashes, as in --config NAME."),
    ("trainer.max_epochs=3", "A key has two dashes"),
    ("--config", "expected one argument; for example --config imdb."),
]

WRITTEN = [
    ("epochs: 3", "Did you mean trainer.max_epochs?"),
    ("trainer: {epochs: 3}", "does not accept option 'epochs'. Did you mean trainer.max_epochs?"),
    ("trainr: {max_epochs: 3}", "Did you mean trainer.max_epochs?"),
    ("model: {init_args: {hiden: [9]}}", "Did you mean model.hidden?"),
    ("model: {class_path: DenseModule, hidden: [9]}", "belong below init_args"),
    ("trainer: {callbacks: [{class_path: EarlyStopping, monitor: x}]}", "belong below init_args"),
    ("data: {init_args: {positive_class: yes}}", "got 'True'. Put yes, no, on and off in quotes."),
    ("ckpt_path: last", "ckpt_path belongs on the command line"),
]


@pytest.fixture(autouse=True)
def recipe():
    Path("points.yaml").write_text(RECIPE, encoding="utf-8")
    Path("points.csv").write_text("a,side\n0.1,0\n0.2,1\n0.5,0\n0.4,1\n0.3,1\n", encoding="utf-8")


def load(*args):
    return Recipe(resolve("load", args))


@pytest.fixture(scope="module")
def parse():
    """Parse the arguments of a command; nothing is built."""
    words = "--data TableDataModule --data.path x --data.target y --model DenseModule"
    parser = load(*words.split(), "--seed_everything", "0").parser
    return lambda *args: parser.parse_args(resolve("load", args).words)


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
    assert message in refusal(parse, "--config", "points.yaml", "--config", "overlay.yaml")


def test_without_a_config_the_missing_class_is_named():
    message = "required: data. A config has it: --config NAME"
    assert message in refusal(load, "--model", "DenseModule")
    message = "data: Option 'path' is not accepted. Give a class before"
    assert message in refusal(load, "--data.path", "points.csv")
