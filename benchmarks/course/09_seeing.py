"""Numbers behind the notebook 09_seeing: empty channels, patterns of filters, and heat maps."""

import os
from functools import cache
from typing import Any

import torch
from claims import Claim
from lightning import Trainer
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from dlp.callbacks import CacheFeatures
from dlp.datamodules import CatsVsDogsDataModule
from dlp.modules import Backbone, PretrainedModule
from dlp.visualization import GradCAM, activations

EPOCHS = (10, 20)
#: Activation layers: the first one, the first of three blocks each, and the last one.
LAYERS = {"block 0": "0.2", "block 2": "2.conv.0.2", "block 9": "9.conv.0.2"}
LAYERS |= {"block 17": "17.conv.0.2", "block 18": "18.2"}


def weights() -> str:
    """Return the file or the name of MobileNetV2's weights, as the notebook does."""
    return os.environ.get("DLP_WEIGHTS", "DEFAULT")


@cache
def backbone() -> Backbone:
    """Return the pretrained network."""
    return Backbone("mobilenet_v2", weights()).eval()


def photographs(seed: int) -> CatsVsDogsDataModule:
    """Return photographs, 80 to train on and 60 to test on, different ones for each seed."""
    data = CatsVsDogsDataModule(
        None, 120 * 5, image_size=224, val_size=None, train_size=80, test_size=60, split_seed=seed
    )
    data.prepare_data()
    data.setup("test")
    return data


def measure_channels(images: Tensor) -> dict[str, float]:
    """Return the share of channels that are zero at all positions of a photograph."""
    names = {f"model.features.{place}": name for name, place in LAYERS.items()}
    empty = {}
    for layer, maps in activations(backbone(), images, list(names)).items():
        empty[names[layer]] = maps.amax((2, 3)) == 0
    shares = {name: values.float().mean(1) for name, values in empty.items()}
    numbers = {f"{name}, empty": share.mean().item() for name, share in shares.items()}
    deeper = shares["block 17"] > shares["block 9"]
    numbers["photographs with more empty in block 17 than in 9"] = deeper.float().mean().item()
    numbers["block 0, empty in all"] = empty["block 0"].all(0).sum().item()
    numbers["block 17, empty in all"] = empty["block 17"].all(0).sum().item()
    return numbers


def measure_pattern(seed: int, steps: int) -> dict[str, float]:
    """Return by which factor some steps of gradient ascent increase the response of a filter."""
    torch.manual_seed(seed)
    net = backbone().model.features
    pixels = 128 + 20 * torch.rand(1, 3, 96, 96)
    responses = []
    for _ in range(steps):
        pixels.requires_grad_()
        x = (pixels / 255 - backbone().mean) / backbone().std
        for block in net[:4]:
            x = block(x)
        response = net[4].conv[0][0](x)[0, 0].mean()
        responses.append(response.item())
        (gradient,) = torch.autograd.grad(response, pixels)
        pixels = (pixels + gradient / gradient.square().mean().sqrt()).detach()
    return {f"response after {steps} steps / at first": responses[-1] / responses[0]}


def measure_heat(seed: int, data: CatsVsDogsDataModule, images: Any, classes: Any) -> Any:
    """Return how blurring the hottest fifth, or the same shape elsewhere, changes the logit."""
    numbers = {}
    for epochs in EPOCHS:
        torch.manual_seed(seed)
        model = PretrainedModule(
            data.input_shape, 2, "sigmoid", "mobilenet_v2", weights(), hidden=[]
        )
        Trainer(
            max_epochs=epochs,
            callbacks=[CacheFeatures()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(model, data)
        model.eval()
        with torch.no_grad():
            logits = model(images).flatten()
        predicted = (logits > 0).long()
        numbers[f"test accuracy, {epochs} epochs"] = (predicted == classes).float().mean().item()
        with GradCAM(model) as cam:
            heat = cam(images, predicted)[:, None]
        heat = torch.nn.functional.interpolate(heat, images.shape[2:], mode="bilinear")
        borders = heat.flatten(1).quantile(0.8, dim=1)
        hot = heat > borders[:, None, None, None]
        elsewhere = hot.roll((112, 112), dims=(2, 3))
        blurred = gaussian_blur(images, [61, 61], [20.0, 20.0])
        signs = predicted * 2 - 1
        falls = {}
        for name, mask in {"hot": hot, "elsewhere": elsewhere}.items():
            with torch.no_grad():
                changed = model(torch.where(mask, blurred, images)).flatten()
            falls[name] = (logits - changed) * signs
            numbers[f"fall of the logit, {name} blurred, {epochs} epochs"] = (
                falls[name].mean().item()
            )
        more = (falls["hot"] > falls["elsewhere"]).float().mean().item()
        numbers[f"photographs where hot counts more, {epochs} epochs"] = more
    return numbers


def measure(seed: int) -> dict[str, float]:
    """Return the numbers for a seed."""
    torch.set_num_threads(1)
    data = photographs(seed)
    images, classes = next(iter(data.test_dataloader()))
    numbers = measure_channels(images)
    for steps in (40, 80):
        numbers |= measure_pattern(seed, steps)
    return numbers | measure_heat(seed, data, images, classes)


CLAIMS = [
    Claim(
        "Of MobileNetV2's block 17 more channels are empty than of block 9, in every photograph.",
        [
            "block 2, empty",
            "block 9, empty",
            "block 17, empty",
            "photographs with more empty in block 17 than in 9",
        ],
        lambda n: n["photographs with more empty in block 17 than in 9"] > 0.95,
    ),
    Claim(
        "It is no law: of the first layer more channels are empty than of the last.",
        ["block 0, empty", "block 18, empty"],
        lambda n: n["block 0, empty"] > n["block 18, empty"],
    ),
    Claim(
        "Twelve of 32 channels of the first layer are empty in all photographs, whatever these "
        "show; of block 17 nearly none is.",
        ["block 0, empty in all", "block 17, empty in all"],
        lambda n: n["block 0, empty in all"] == 12 and n["block 17, empty in all"] < 10,
    ),
]
CLAIMS += [
    Claim(
        f"Steps along the gradient make the response of a filter larger ({steps} steps).",
        [f"response after {steps} steps / at first"],
        lambda n, steps=steps: n[f"response after {steps} steps / at first"] > 2,
    )
    for steps in (40, 80)
]
CLAIMS += [
    Claim(
        "In at least 88 % of the photographs the logit falls more if the hottest fifth is "
        f"blurred than if the same shape is, elsewhere ({epochs} epochs).",
        [
            f"fall of the logit, hot blurred, {epochs} epochs",
            f"fall of the logit, elsewhere blurred, {epochs} epochs",
            f"photographs where hot counts more, {epochs} epochs",
        ],
        lambda n, epochs=epochs: n[f"photographs where hot counts more, {epochs} epochs"] >= 0.88,
    )
    for epochs in EPOCHS
]
