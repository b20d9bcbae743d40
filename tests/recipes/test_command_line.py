"""Words of a command and values of Python become one config."""

from pathlib import Path

import pytest
import yaml

import dlp
from dlp.commands.trainer import predict
from dlp.configs import read_config
from dlp.errors import InputError
from dlp.recipes.command_line import typed_recipe
from helpers.sets import write_points


@pytest.fixture(autouse=True)
def points(tmp_path):
    write_points(tmp_path)


def trial(*words):
    """Return the recipe of a prediction of one batch."""
    words = ["--config", "points.yaml", "--trainer.fast_dev_run", *words]
    return typed_recipe("predict", words, predict)


def test_a_flag_alone_tries_one_batch():
    assert trial().is_dev_run
    assert not dlp.load("points.yaml").is_dev_run


def test_a_config_says_that_one_batch_is_tried_and_a_word_that_it_is_not():
    Path("trial.yaml").write_text("trainer: {fast_dev_run: true}", encoding="utf-8")
    words = ["--config", "points.yaml", "--config", "trial.yaml"]
    assert typed_recipe("predict", words, predict).is_dev_run
    with pytest.raises(InputError, match=r"found no checkpoint for 'points\+trial'"):
        typed_recipe("predict", [*words, "--trainer.fast_dev_run=false"], predict)


def test_texts_are_taken_as_they_are_typed():
    texts = ['a "joy" 😀', "3", "x: [y"]
    words = [word for text in texts for word in ("--text", text)]
    assert trial(*words).config.text == texts


def test_texts_are_refused_for_a_table():
    recipe = trial()
    with pytest.raises(InputError, match="--text is for models of texts; give --data"):
        predict(recipe, text=["a film"])


def test_configs_come_before_other_words_wherever_they_stand():
    words = ["--trainer.max_epochs", "7", "--config", "points.yaml"]
    recipe = typed_recipe("data", words, lambda recipe: None)
    assert recipe.config.trainer.max_epochs == 7


def test_a_class_among_values_comes_before_its_arguments():
    values = {"model.optimizer.lr": 0.5, "model.optimizer": "Adam"}
    optimizer = dlp.load("points.yaml", **values).config.model.init_args.optimizer
    assert optimizer.class_path == "torch.optim.Adam"
    assert optimizer.init_args.lr == 0.5
    assert optimizer.init_args.betas == (0.9, 0.999)


def test_values_complete_a_config():
    content = read_config(Path("points.yaml"))
    del content["data"]["init_args"]["path"]
    Path("open.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match="path"):
        dlp.load("open.yaml")
    config = dlp.load("open.yaml", **{"data.path": "points.csv"}).config
    assert config.data.init_args.path == "points.csv"


def test_a_value_of_an_unknown_key_is_refused_with_the_nearest():
    message = r"does not accept option 'epochs'. Did you mean trainer.max_epochs\?"
    with pytest.raises(InputError, match=message):
        dlp.load("points.yaml", **{"trainer.epochs": 3})
