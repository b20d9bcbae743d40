"""Logarithms of targets: what is trained on, what is measured, and what is kept."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning import Trainer
from table_examples import houses, table

from dlp.cli import main
from dlp.crossval import cross_validate
from dlp.errors import InputError
from dlp.evaluation.baselines import baselines_on
from dlp.modules import DenseModule, RegressionHead
from dlp.target_transforms import lowest, restored, transformed

VALUES = torch.tensor([0.5, 1.0, 20.0, 3000.0])


@pytest.mark.parametrize("name", ["none", "log", "log1p"])
def test_restoring_undoes_it(name):
    torch.testing.assert_close(restored(transformed(VALUES, name), name), VALUES)
    edge = torch.tensor([lowest(name)])
    assert not transformed(edge, name).isfinite().any()


def test_values_follow_their_definition():
    torch.testing.assert_close(transformed(VALUES, "log"), VALUES.log())
    torch.testing.assert_close(transformed(VALUES, "log1p"), (1 + VALUES).log())


@pytest.mark.parametrize("name", ["log", "log1p"])
def test_a_head_trains_on_logarithms_and_measures_in_the_unit(name):
    head = RegressionHead(1, None, ["mae"], [3.0], [2.0], name)
    prepared = head.prepare(VALUES)
    torch.testing.assert_close(prepared[:, 0], (transformed(VALUES, name) - 3) / 2)
    torch.testing.assert_close(head.metric_targets(prepared)[:, 0], VALUES)
    torch.testing.assert_close(head.predict(prepared)[:, 0], VALUES)
    logits = prepared + 0.1
    error = (head.predict(logits)[:, 0] - VALUES).abs().mean()
    metric = head.make_metrics()(head.scores(logits), head.metric_targets(prepared))
    torch.testing.assert_close(metric["mae"], error, rtol=1e-5, atol=0)
    with pytest.raises(InputError, match=f"target_transform: {name} takes targets above"):
        head.check(logits, torch.tensor([[1.0], [-1.0], [2.0], [2.0]]))


def test_mean_and_deviation_are_those_of_the_logarithms(csv):
    frame = houses()
    options = {"target_scaling": "standard", "val_size": 10, "split_seed": None}
    data = table(csv(frame), target_transform="log", **options)
    assert data.target_mean[0] == pytest.approx(np.log(frame.price[10:]).mean(), rel=1e-5)
    assert data.target_std[0] == pytest.approx(np.log(frame.price[10:]).std(ddof=0), rel=1e-5)
    targets = torch.cat([y for _, y in data.val_dataloader()])
    assert np.allclose(targets, frame.price[:10])  # the data keep the unit
    assert data.target_summary["mean"][0] == pytest.approx(frame.price[10:].mean(), rel=1e-6)


def test_the_checkpoint_says_which(csv):
    data = table(csv(houses()), target_transform="log1p")
    state = pickle.loads(pickle.dumps(data.state_dict()))
    restored_data = table(csv(houses()))
    restored_data.load_state_dict(state)
    assert restored_data.target_transform == "log1p"
    del state["target_transform"]  # a run of before
    restored_data.load_state_dict(state)
    assert restored_data.target_transform == "none"


@pytest.mark.parametrize(
    ("arguments", "price", "message"),
    [
        ({"target_transform": "log"}, 0.0, "smallest target is 0. Use log1p, which takes 0"),
        ({"target_transform": "log"}, -2.0, "smallest target is -2. Use target_scaling"),
        ({"target_transform": "log1p"}, -1.0, "values above -1, and the smallest target is -1"),
        ({"target_transform": "log", "target": "city"}, 1.0, "log is for values"),
        ({"target_transform": "logs"}, 1.0, "Did you mean 'log'"),
    ],
)
def test_what_has_no_logarithm_is_refused_before_training(csv, arguments, price, message):
    frame = houses()
    frame.loc[33, "price"] = price
    with pytest.raises(InputError, match=message):
        table(csv(frame), **arguments).setup("fit")


def test_a_transform_goes_with_regression_alone():
    with pytest.raises(InputError, match="standardised or transformed targets go with"):
        DenseModule((3,), 2, "softmax", target_transform="log")


def model_of(data):
    torch.manual_seed(0)
    return DenseModule(
        data.input_shape,
        data.num_outputs,
        "regression",
        hidden=[4],
        target_mean=data.target_mean,
        target_std=data.target_std,
        target_transform=data.target_transform,
    )


def test_both_engines_train_on_the_same_logarithms(csv):
    data = table(csv(houses()), target_transform="log", target_scaling="standard")
    found = [
        cross_validate(data, model_of, 2, num_folds=2, engine=engine)
        for engine in ("serial", "stacked")
    ]
    for name in ("val_loss", "val_mae"):
        ours, theirs = (result.mean[name] for result in found)
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert found[0].mean["val_loss"] < 10  # of standardised logarithms, not of prices


def test_guessing_is_measured_in_the_unit_too(csv):
    data = table(csv(houses()), target_transform="log", target_scaling="standard", test_size=10)
    found = baselines_on(model_of(data), data, "test")
    error = np.abs(data.examples("test").targets - data.target_summary["median"][0]).mean()
    assert found["median"]["mae"] == pytest.approx(error, rel=1e-4)
    assert found["median"]["loss"] < 10


def test_a_module_comes_back_from_its_checkpoint(csv, tmp_path):
    data = table(csv(houses()), target_transform="log", target_scaling="standard")
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=1, default_root_dir=tmp_path, **options)
    trainer.fit(model_of(data), data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    model = DenseModule.load_from_checkpoint(tmp_path / "model.ckpt")
    assert model.head.transform == "log"


def test_on_the_command_line_the_model_gets_it_from_the_data(csv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    csv(houses(80))
    options = {"path": "houses.csv", "target": "price", "drop_columns": ["id"], "test_size": 0.2}
    scaled = {"target_transform": "log", "target_scaling": "standard"}
    recipe = {
        "data": {"class_path": "TableDataModule", "init_args": options | scaled},
        "model": {"class_path": "DenseModule", "init_args": {"head": "regression"}},
        "trainer": {"max_epochs": 2, "enable_progress_bar": False, "enable_model_summary": False},
        "test_after_fit": "best",
        "baselines": True,
    }
    Path("prices.yaml").write_text(yaml.safe_dump(recipe))
    main(["fit", "--config", "prices.yaml"])
    results = json.loads(Path("runs/prices/version_0/results.json").read_text())
    assert results["test"]["test_loss"] < 10
    assert results["baselines"]["boosting"]["test"]["loss"] < 10
    assert results["baselines"]["boosting"]["test"]["mae"] > 1
    main(["predict", "--config", "prices.yaml"])
    lines = Path("runs/prices/version_0/predictions.csv").read_text().splitlines()[1:]
    assert min(float(line.split(",")[-1]) for line in lines) > 1
