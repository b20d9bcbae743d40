from functools import partial
from pathlib import Path

import torch
from torch import nn

from dlp.modules import SupervisedModule
from dlp.reader.image import ImageEncoder
from dlp.recipes import image_models
from dlp.recipes.image_models import ImageModel


def test_the_head_of_values_may_be_on_another_device_than_the_network(monkeypatch):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    module = SupervisedModule(
        network, "regression", 2, target_mean=[1.0, 2.0], target_std=[3.0, 4.0]
    )
    model = ImageModel(
        name="pets",
        folder=Path(),
        network=network,
        predict=partial(image_models._answered, module),
        encoder=ImageEncoder(2, 2),
        output_names=["weight", "height"],
    )
    network.to("meta")
    # A tensor on meta has no numbers to copy.
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda logits: torch.zeros_like(logits, device="cpu")
    )
    assert model.scores(torch.rand(3, 2, 2)).tolist() == [1.0, 2.0]
