"""Train a recipe on two Ray workers: ``pip install "ray[train]"``, then ``python train.py``."""

from pathlib import Path
from typing import Any

from ray.train import ScalingConfig
from ray.train.lightning import (
    RayDDPStrategy,
    RayLightningEnvironment,
    RayTrainReportCallback,
    prepare_trainer,
)
from ray.train.torch import TorchTrainer

import dlp


def train(arguments: dict[str, Any]) -> None:
    """Fit on one worker.

    The path of the run folder is absolute, because Ray chooses the working directory of a worker.
    """
    recipe = dlp.load(arguments["config"], **arguments["keys"])
    data = recipe.data()
    trainer = recipe.trainer(
        run_dir=arguments["run_dir"],
        strategy=RayDDPStrategy(),
        plugins=[RayLightningEnvironment()],
        callbacks=[RayTrainReportCallback()],
    )
    prepare_trainer(trainer).fit(recipe.model(data), datamodule=data)


if __name__ == "__main__":
    arguments = {
        "config": "quickstart",
        "keys": {"trainer.max_epochs": 2, "trainer.accelerator": "cpu", "trainer.devices": 1},
        "run_dir": str(Path("runs/ray").resolve()),
    }
    workers = ScalingConfig(num_workers=2)
    result = TorchTrainer(train, train_loop_config=arguments, scaling_config=workers).fit()
    print(result.metrics)
