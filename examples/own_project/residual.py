"""A network of one's own, and a LightningModule of one's own that takes nothing from dlp."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor, nn


class ResidualNet(nn.Module):
    """Dense layers, each of which adds to what it was given.

    Args:
        inputs: Numbers a row.
        outputs: Logits a row.
        width: Units of each hidden layer.
        depth: Number of hidden layers after the first.
    """

    def __init__(self, inputs: int = 2, outputs: int = 1, width: int = 32, depth: int = 2) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, outputs) of x (N, inputs)."""
        x = self.first(x).relu()
        for block in self.blocks:
            x = x + block(x).relu()
        return self.last(x)


class PlainModule(LightningModule):
    """Any LightningModule that takes ``(x, y)`` batches runs under dlp's command line.

    Args:
        input_shape: Shape of an input row; the command line fills it in from the data...
        num_outputs: ... and the number of classes, because these two have the names it knows.
        width: Units of each hidden layer.
        learning_rate: Of Adam.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        width: int = 32,
        learning_rate: float = 0.01,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.learning_rate = learning_rate
        self.network = ResidualNet(input_shape[0], num_outputs, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, num_outputs)."""
        return self.network(x)

    def _loss(self, batch: tuple[Tensor, Tensor], stage: str) -> Tensor:
        x, y = batch
        logits = self(x)
        loss = F.cross_entropy(logits, y)
        accuracy = (logits.argmax(dim=1) == y).float().mean()
        values = {f"{stage}_loss": loss, f"{stage}_acc": accuracy}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(y))
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self._loss(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log ``val_loss``, by which the best checkpoint is chosen, and ``val_acc``."""
        self._loss(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log ``test_loss`` and ``test_acc``."""
        self._loss(batch, "test")

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return what ``dlp predict`` writes as a CSV: the data has one batch to predict."""
        x, _ = batch
        return {"index": torch.arange(len(x)), "probabilities": self(x).softmax(dim=1)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
