"""A custom network, and a custom LightningModule that does not use dlp."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor, nn


class ResidualNet(nn.Module):
    """Network of dense layers, in which the output of each hidden layer is added to its input.

    Args:
        inputs: Number of input columns.
        outputs: Number of logits.
        width: Number of units of each hidden layer.
        depth: Number of hidden layers after the first.
    """

    def __init__(self, inputs: int = 2, outputs: int = 1, width: int = 32, depth: int = 2) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, outputs), for x, (N, inputs)."""
        x = self.first(x).relu()
        for block in self.blocks:
            x = x + block(x).relu()
        return self.last(x)


class PlainModule(LightningModule):
    """LightningModule that does not use dlp.

    The command line of dlp runs any LightningModule that takes batches ``(x, y)``.

    Args:
        input_shape: Shape of one input row. The command line takes it from the data, because the
            argument has this name.
        num_outputs: Number of classes, which the command line also takes from the data.
        width: Number of units of each hidden layer.
        learning_rate: Learning rate of Adam.
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
        """Return the logits, (N, num_outputs)."""
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
        """Log ``val_loss``, which decides on the best checkpoint, and ``val_acc``."""
        self._loss(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log ``test_loss`` and ``test_acc``."""
        self._loss(batch, "test")

    def predict_step(
        self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int
    ) -> dict[str, Tensor]:
        """Return the row numbers and probabilities, which ``dlp predict`` writes to a CSV."""
        x, _, rows = batch
        return {"index": rows, "probabilities": self(x).softmax(dim=1)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)
