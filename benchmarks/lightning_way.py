"""The book's networks as a newcomer writes them with Lightning: a measurement of against_keras.py.

    python benchmarks/lightning_way.py '{"network": "imdb", ...}'

Dense tensors, a TensorDataset under a DataLoader, ``self.log`` and a torchmetrics metric in each
step, the Trainer's defaults. Uses nothing of dlp. Prints one line of JSON.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import torchmetrics
import torchvision
from epoch_times import EpochTimes
from jobs import Job
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision.transforms import v2


def convolutions(channels: tuple[int, ...], pools: tuple[int, ...]) -> list[nn.Module]:
    """Return convolutions of 3 x 3 with what follows each."""
    layers: list[nn.Module] = []
    for filters, pool in zip(channels, pools, strict=True):
        layers += [nn.LazyConv2d(filters, 3), nn.ReLU()]
        layers += [nn.MaxPool2d(pool)] if pool else []
    return [*layers, nn.Flatten()]


def network(job: Job) -> nn.Sequential:
    """Return the network, with the first weights that dlp's has."""
    base: list[nn.Module] = []
    if job.network == "mnist":
        base = convolutions((32, 64, 64), (2, 2, 0))
    elif job.network == "cats_dogs":
        base = convolutions((32, 64, 128, 128), (2, 2, 2, 2))
    elif job.network == "vgg16":
        features = torchvision.models.vgg16(weights=None).features
        features[:24].requires_grad_(False)
        base = [features, nn.Flatten()]
    hidden, outputs = {
        "imdb": ((16, 16), 1),
        "reuters": ((64, 64), 46),
        "boston": ((64, 64), 1),
        "mnist": ((64,), 10),
        "cats_dogs": ((512,), 1),
    }.get(job.network, ((256,), 1))
    dropout = [nn.Dropout(job.dropout)] if job.dropout and job.kind == "fit" else []
    dense = [layer for units in hidden for layer in (nn.LazyLinear(units), nn.ReLU())]
    before, after = ([], dropout) if job.network == "vgg16_head" else (dropout, [])
    model = nn.Sequential(*base, *before, *dense, *after, nn.LazyLinear(outputs))
    with torch.no_grad():
        model(tensor(job, "batch000"))  # which gives each layer its size
        weights = job.first_weights()
        sides: list[int] = []  # of the map that is flattened
        for parameter, value in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(as_torch(value, parameter.shape, sides)))
    return model


def as_torch(value: Any, shape: torch.Size, sides: list[int]) -> Any:
    """Return a weight of Keras in torch's layout; `sides` holds the channels seen last."""
    if value.ndim == 4:
        sides[:] = [value.shape[3]]
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    if value.ndim == 1:
        return value
    if sides:  # the first dense layer after convolutions: rows of (H, W, C)
        (channels,), side = sides, int((value.shape[0] / sides[0]) ** 0.5)
        sides.clear()
        value = value.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(shape[::-1])
    return np.ascontiguousarray(value.T)


def tensor(job: Job, name: str) -> Tensor:
    """Return inputs as torch has them: images (N, C, H, W)."""
    return torch.from_numpy(job.inputs(name, channels_first=True))


class Plain(lightning.LightningModule):
    """A network with its loss and metric, both logged at each step."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.network = network(job)
        task, classes = {"reuters": ("multiclass", 46), "mnist": ("multiclass", 10)}.get(
            job.network, ("binary", 2)
        )
        self.task = "regression" if job.network == "boston" else task
        for stage in ("train", "val"):
            metric = (
                torchmetrics.MeanAbsoluteError()
                if self.task == "regression"
                else torchmetrics.Accuracy(task, num_classes=classes)
            )
            setattr(self, f"{stage}_metric", metric)

    def step(self, batch: list[Tensor], stage: str) -> Tensor:
        """Return the loss of a batch."""
        x, y = batch
        outputs = self.network(x)
        if self.task == "multiclass":
            loss = F.cross_entropy(outputs, y.long())
        else:
            outputs, y = outputs.squeeze(1), y.float().reshape(-1)
            is_regression = self.task == "regression"
            loss = (F.mse_loss if is_regression else F.binary_cross_entropy_with_logits)(outputs, y)
        metric = getattr(self, f"{stage}_metric")
        metric(outputs, y if self.task == "regression" else y.long())
        self.log(f"{stage}_loss", loss, prog_bar=True, on_epoch=True)
        self.log(f"{stage}_metric", metric, prog_bar=True)
        return loss

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self.step(batch, "train")

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log the loss of a batch."""
        self.step(batch, "val")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the book's RMSprop."""
        wanted = [weight for weight in self.parameters() if weight.requires_grad]
        return torch.optim.RMSprop(wanted, lr=self.job.lr, alpha=0.9, eps=1e-8)


def changes() -> list[Any]:
    """Return section 5.2's augmentation by torchvision, which changes one image at a time."""
    affine = v2.RandomAffine(40, (0.2, 0.2), (0.8, 1.2), (-11.5, 11.5, -11.5, 11.5))
    return [affine, v2.RandomHorizontalFlip()]


class Augmented(Dataset[tuple[Tensor, Tensor]]):
    """Images that are changed when they are asked for."""

    def __init__(self, images: Tensor, targets: Tensor) -> None:
        self.images, self.targets, self.change = images, targets, v2.Compose(changes())

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image, changed anew, and its target."""
        return self.change(self.images[index]), self.targets[index]


def rows(job: Job, part: str) -> Any:
    """Return the rows of a part as a data set."""
    count = job.rows if part == "train" else None
    x, y = tensor(job, part)[:count], torch.from_numpy(job.targets(part))[:count]
    return (Augmented if job.augment and part == "train" else TensorDataset)(x, y)


def fit(job: Job) -> dict[str, Any]:
    """Train; return the seconds of the fit and of each epoch, and the losses."""
    model, times, losses = Plain(job), EpochTimes(), []
    train = DataLoader(rows(job, "train"), batch_size=job.batch, shuffle=True)
    val = DataLoader(rows(job, "val"), batch_size=job.batch) if job.validates else None
    note = lightning.pytorch.callbacks.LambdaCallback(
        on_train_epoch_end=lambda trainer, _: losses.append(
            float(trainer.callback_metrics["train_loss_epoch"])
        )
    )
    trainer = lightning.Trainer(
        max_epochs=job.epochs,
        accelerator="cpu",
        precision="bf16-mixed" if job.bf16 else "32-true",
        callbacks=[times, note],
    )
    begun = time.perf_counter()
    trainer.fit(model, train, val)
    seconds = time.perf_counter() - begun
    epochs = np.diff(times.noted["epochs"]).tolist()
    share = len(train.dataset) / len(job.targets("train"))  # type: ignore[arg-type] # these have a length
    return {"fit": seconds, "epochs": epochs, "losses": losses, "share": share}


def check(job: Job) -> dict[str, Any]:
    """Return the losses of single steps on dlp's batches, or what the base gives."""
    model = Plain(job)
    first = tensor(job, "batch000")
    if (Path(job.folder) / "features.npy").exists():
        with torch.no_grad():
            maps = model.network[0](first).permute(0, 2, 3, 1)
        return {"features": maps.reshape(len(maps), -1).tolist()}
    optimizer, losses = model.configure_optimizers(), []
    for number in range(job.num_checked()):
        batch = f"batch{number:03d}"
        pair = [tensor(job, batch), torch.from_numpy(job.targets(batch))]
        with torch.autocast("cpu", torch.bfloat16, enabled=job.bf16):
            loss = model.training_step(pair, number)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return {"losses": losses}


def passes(job: Job) -> dict[str, Any]:
    """Return the seconds of passes: over JPEG files, or of the base over all images."""
    if job.kind == "features":
        loader = DataLoader(rows(job, "train"), batch_size=job.batch)
        base = network(job)[0].eval()
    else:
        scale = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
        steps = [v2.Resize((150, 150)), *(changes() if job.augment else []), *scale]
        files = torchvision.datasets.ImageFolder(f"{job.folder}/jpegs", v2.Compose(steps))
        loader = DataLoader(files, job.batch, shuffle=True, num_workers=job.workers)
        base = nn.Identity()
    times = [time.perf_counter()]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=job.bf16):
        for _ in range(job.epochs):
            for images, _ in loader:
                base(images)
            times.append(time.perf_counter())
    count = len(loader.dataset)  # type: ignore[arg-type] # these have a length
    return {"fit": times[-1] - times[0], "epochs": np.diff(times).tolist(), "rows": count}


def main() -> None:
    """Do one job."""
    warnings.filterwarnings("ignore")
    job = Job.read(sys.argv[1])
    lightning.seed_everything(0, verbose=False)
    ways = {"fit": fit, "check": check, "features": passes, "input": passes}
    print(json.dumps(ways[job.kind](job)))


if __name__ == "__main__":
    main()
