"""A `Recipe`: one config as an object, from which data, model and Trainer are made anew."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback, ModelSummary
from lightning.pytorch.profilers import Profiler, SimpleProfiler

from dlp.errors import InputError
from dlp.modules import KerasRMSprop
from dlp.quick_steps import NoProfiler
from dlp.recipe import Recipe

POINTS = """
# Two classes of points in the plane
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: side, test_size: 0.2, batch_size: 16}
model:
  class_path: DenseModule
  init_args: {head: sigmoid, hidden: [8], dropout: 0.2, optimizer: {init_args: {lr: 0.02}}}
trainer:
  max_epochs: 3
  accelerator: cpu
  enable_progress_bar: false
  callbacks: {class_path: EarlyStopping, init_args: {monitor: val_loss}}
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 2)), columns=["east", "north"])
    table["side"] = np.where(table.east + table.north > 0, "right", "left")
    table.to_csv(tmp_path / "points.csv", index=False)
    (tmp_path / "points.yaml").write_text(POINTS)
    monkeypatch.chdir(tmp_path)
    return Recipe.read("points.yaml")


def test_a_recipe_says_what_it_is(recipe):
    assert (recipe.name, recipe.configs, recipe.seed) == ("points", ("points.yaml",), 0)
    assert (recipe.run.monitor, recipe.run.refit, recipe.is_trial) == ("val_loss", False, False)
    named = Recipe.parse(["--config", "points.yaml", "--config", "dropout", "--run_dir", "here"])
    assert (named.name, named.configs) == ("points+dropout", ("points.yaml", "dropout"))
    assert named.run.run_dir == "here"
    assert Recipe.parse(["-c", "points.yaml", "--refit", "--model.dropout=0.5"]).configs == ()


def test_data_model_and_trainer_are_made_anew_and_fit_together(recipe):
    data = recipe.data()
    model = recipe.model(data)
    trainer = recipe.trainer(enable_checkpointing=False, enable_model_summary=False)
    trainer.fit(model, datamodule=data)
    assert "val_loss" in trainer.callback_metrics
    assert model.hparams["input_shape"] == [2]
    assert recipe.data() is not data
    assert recipe.model(data) is not model
    stops = [one.callbacks[0] for one in (trainer, recipe.trainer())]
    assert stops[0] is not stops[1]
    assert stops[1].best_score == torch.tensor(torch.inf)


def test_data_are_read_for_the_sizes_of_a_model_and_not_before(recipe, tmp_path):
    (tmp_path / "points.csv").unlink()
    data = recipe.data()
    recipe.trainer()
    with pytest.raises(InputError, match=r"there is no file points\.csv"):
        recipe.model(data)


def test_making_objects_draws_no_random_numbers_of_its_own(recipe):
    """Weights are a function of the seed that is set before a model is made."""
    data = recipe.data()
    torch.manual_seed(1)
    first = recipe.model(data).network.layers.output.weight
    torch.manual_seed(1)
    Recipe.read("points.yaml")
    assert torch.equal(first, recipe.model(data).network.layers.output.weight)


def test_a_config_is_written_out_once_for_all_objects_of_a_recipe(recipe, monkeypatch):
    """Models keep it in checkpoints; that took two thirds of the time to make one for a fold."""
    parser = recipe.parser.parser
    written = []
    dump = type(parser).dump

    def counted(self, *args, **kwargs):
        written.append(self)
        return dump(self, *args, **kwargs)

    monkeypatch.setattr(type(parser), "dump", counted)
    data = recipe.data()
    first, second = recipe.model(data), recipe.model(data)
    assert sum(each is parser for each in written) == 1
    assert first.hparams == second.hparams
    assert first.hparams is not second.hparams
    assert first.network is not second.network
    other = recipe.with_keys({"model.hidden": [3]}).model(data)
    assert [one.hparams["hidden"] for one in (other, recipe.model(data))] == [[3], [8]]


def test_a_copy_with_other_keys_leaves_the_recipe_as_it_is(recipe):
    wide = recipe.with_keys({"model.init_args.hidden": [16, 4], "model.optimizer": "Adam"})
    assert wide.config.model.init_args.hidden == [16, 4]
    assert recipe.config.model.init_args.hidden == [8]
    assert wide.configs == ()
    data = recipe.data()
    made = [one.model(data) for one in (recipe, wide, recipe)]
    assert [model.hparams["hidden"] for model in made] == [[8], [16, 4], [8]]
    assert [type(model.configure_optimizers()).__name__ for model in made[:2]] == [
        "KerasRMSprop",
        "Adam",
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"model.dropot": 0.1}, "unknown option --model.dropot. Did you mean --model.dropout"),
        ({"trainer.max_epochs": "many"}, "trainer.max_epochs must be int; got 'many'"),
        ({"space": "here.yaml"}, "unknown option --space"),
    ],
)
def test_keys_are_checked_as_if_they_were_typed(recipe, keys, said):
    with pytest.raises(InputError, match=said):
        recipe.with_keys(keys)
    with pytest.raises(InputError, match=said):
        Recipe.parse(
            ["--config", "points.yaml", *(f"--{key}={value}" for key, value in keys.items())]
        )


def test_the_config_is_dumped_whole_and_makes_the_same_recipe(recipe, tmp_path):
    text = recipe.with_keys({"run_dir": "elsewhere", "baselines": True}).dump()
    keys = yaml.safe_load(text)
    assert "run_dir" not in keys
    assert (keys["monitor"], keys["baselines"]) == ("val_loss", True)
    assert "baselines" not in yaml.safe_load(recipe.dump(["baselines"]))
    (tmp_path / "again.yaml").write_text(text)
    assert Recipe.read(tmp_path / "again.yaml").dump() == text


class Watches(Callback):
    pass


def test_what_the_config_has_or_does_not_want_is_not_added(recipe, capsys):
    given, summary = Watches(), ModelSummary()
    kinds = recipe.trainer([given, summary]).callbacks
    assert given in kinds
    assert summary in kinds
    other = recipe.with_keys(
        {"trainer.callbacks": [{"class_path": "ModelSummary", "init_args": {"max_depth": 7}}]}
    )
    callbacks = other.trainer([given, summary]).callbacks
    assert summary not in callbacks
    assert [one._max_depth for one in callbacks if isinstance(one, ModelSummary)] == [7]
    bare = recipe.with_keys({"trainer.enable_model_summary": False})
    assert not any(isinstance(one, ModelSummary) for one in bare.trainer([summary]).callbacks)
    assert "EarlyStopping is left out" not in capsys.readouterr().out
    names = [type(one).__name__ for one in recipe.trainer(validates=False).callbacks]
    assert "EarlyStopping" not in names
    assert "EarlyStopping is left out" in capsys.readouterr().out
    with pytest.raises(InputError, match="trainer: "):
        recipe.trainer(devices=0)


class Notes(Profiler):
    def __init__(self):
        super().__init__()
        self.noted = []

    def start(self, action_name):
        self.noted.append(action_name)

    def stop(self, action_name):
        self.noted.append(action_name)


def test_nobody_profiles_unless_asked_to(recipe):
    trainer = recipe.trainer(logger=False, max_epochs=1)
    assert type(trainer.profiler) is NoProfiler
    with trainer.profiler.profile("a"), trainer.profiler.profile("a"):  # one within another
        pass
    notes = Notes()
    for profiler in (trainer.profiler, notes):
        data = recipe.data()
        trainer = recipe.trainer(logger=False, max_epochs=1, profiler=profiler)
        trainer.fit(recipe.model(data), datamodule=data)
        assert trainer.global_step == 5
    assert notes.noted.count("[Strategy]SingleDeviceStrategy.training_step") == 10  # begin and end
    named = recipe.with_keys({"trainer.profiler": "simple"}).trainer()
    assert isinstance(named.profiler, SimpleProfiler)


def test_a_model_of_a_recipe_can_be_copied_and_sent(recipe):
    model = recipe.model(recipe.data())
    for one in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(one.configure_optimizers()) is KerasRMSprop


def test_a_recipe_goes_into_another_process_and_makes_the_same_there(recipe):
    other = pickle.loads(pickle.dumps(recipe.with_keys({"model.hidden": [3]})))
    assert other.dump() == recipe.with_keys({"model.hidden": [3]}).dump()
    assert other.model(other.data()).network(torch.zeros(1, 2)).shape == (1, 1)
    assert other.with_keys({"model.dropout": 0.1}).config.model.init_args.dropout == 0.1


def test_variants_are_made_in_threads_at_once(recipe):
    def hidden(width):
        variant = recipe.with_keys({"model.hidden": [width]})
        model = variant.model(variant.data())
        variant.trainer()
        return next(model.parameters()).shape[0]

    widths = [*range(2, 8)] * 4
    with ThreadPoolExecutor(6) as pool:
        assert [*pool.map(hidden, widths)] == widths


def test_keys_may_be_paths_and_scalars_of_numpy(recipe):
    keys = {"data.path": Path("points.csv"), "model.hidden": [np.int64(4)]}
    arguments = recipe.with_keys(keys).config
    assert arguments.data.init_args.path == "points.csv"
    assert arguments.model.init_args.hidden == [4]
    with pytest.raises(InputError, match="nothing that a config can hold"):
        recipe.with_keys({"model.hidden": object()})


def test_a_config_that_an_earlier_release_printed_is_read(recipe, tmp_path):
    (tmp_path / "printed.yaml").write_text("weights_only: null\nckpt_path: null\n" + recipe.dump())
    assert Recipe.read("printed.yaml").dump() == recipe.dump()
