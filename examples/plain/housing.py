"""House prices in Boston's districts (section 3.6), with torch and Lightning, without dlp.

Run python examples/plain/housing.py. It needs no folder, because mlxtend contains the table.
The same experiment with dlp: dlp fit --config housing
"""

import numpy as np
import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer, seed_everything
from mlxtend.data import boston_housing_data
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
EPOCHS = 80


class Prices(LightningModule):
    """Two dense layers of 64 units, and one value, in thousands of dollars."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Linear(64, 1))
        for layer in self.network[::2]:  # Keras's initial weights; torch's differ
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        columns, prices = batch
        return F.mse_loss(self.network(columns).squeeze(1), prices)

    def test_step(self, batch: list[Tensor]) -> None:
        columns, prices = batch
        self.log("test_mae", F.l1_loss(self.network(columns).squeeze(1), prices))

    def configure_optimizers(self) -> torch.optim.Optimizer:  # as in Keras; torch has 0.01 and 0.99
        return torch.optim.RMSprop(self.parameters(), lr=0.001, alpha=0.9)


def main() -> None:
    """Train on 404 districts and print the mean absolute error on the other 102."""
    seed_everything(SEED)
    torch.set_num_threads(1)  # one thread is fastest for a small network
    columns, prices = boston_housing_data()
    order = np.random.RandomState(113).permutation(len(columns))  # the book's order
    train, test = order[:404], order[404:]
    mean, std = columns[train].mean(axis=0), columns[train].std(axis=0)
    inputs = torch.tensor((columns - mean) / std, dtype=torch.float32)
    targets = torch.tensor(prices, dtype=torch.float32)
    model = Prices()
    trainer = Trainer(max_epochs=EPOCHS, logger=False, enable_checkpointing=False)
    trainer.fit(model, DataLoader(TensorDataset(inputs[train], targets[train]), 16, shuffle=True))
    tests = DataLoader(TensorDataset(inputs[test], targets[test]), batch_size=102)
    [result] = trainer.test(model, tests, verbose=False)
    print(f"test_mae {result['test_mae']:.3f}")


if __name__ == "__main__":
    main()
