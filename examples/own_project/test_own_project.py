"""The project's own tests: quick trial runs, in process, with no file left behind."""

import json
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from residual import PlainModule, ResidualNet
from spirals import SpiralDataModule

from dlp.cli import main
from dlp.modules import SupervisedModule

HERE = Path(__file__).parent

#: The filter of pyproject.toml again, for those who run ``pytest -W error``: that overrides it.
lightning_warns = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_data_has_three_parts_of_two_classes():
    data = SpiralDataModule(num_points=100)
    sizes = [len(data.examples(part).targets) for part in ("train", "val", "test")]
    assert sizes == [60, 20, 20]
    assert (data.input_shape, data.num_outputs) == ((2,), 2)
    points, spirals = next(iter(data.train_dataloader()))
    assert points.shape == (32, 2)
    assert points.dtype == torch.float32
    assert set(spirals.tolist()) == {0, 1}


@lightning_warns
@pytest.mark.parametrize("own", ["network", "module"])
def test_fast_dev_run(own):
    data = SpiralDataModule()
    if own == "network":
        model = SupervisedModule(ResidualNet(), head="sigmoid", num_outputs=data.num_outputs)
    else:
        model = PlainModule(data.input_shape, data.num_outputs)
    before = [weight.clone() for weight in model.parameters()]
    trainer = Trainer(fast_dev_run=True, accelerator="cpu", logger=False)
    trainer.fit(model, data)
    assert trainer.callback_metrics["val_loss"] > 0
    assert not all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize("config", ["own.yaml", "plain.yaml"])
@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_every_command_tries_both_configs(config, command, tmp_path):
    main([command, "--config", str(HERE / config), "--trainer.fast_dev_run", "true"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["own", "plain"])
def test_from_fit_to_predictions(name, tmp_path):
    config = str(HERE / f"{name}.yaml")
    main(["fit", "--config", config, "--data.num_points", "200", "--trainer.max_epochs", "2"])
    main(["test", "--config", config])
    main(["predict", "--config", config])
    run = tmp_path / "runs" / name / "version_0"
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert results["test"]["test_acc"] >= 0
    rows = (run / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "index,target,class,prob_first,prob_second"
    assert len(rows) == 1 + 40
