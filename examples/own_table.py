"""Your own table: missing values, a category, your own feature, predictions in the target's unit.

`python examples/own_table.py` writes flats.csv into the working directory.
"""

import numpy as np
import pandas as pd
import torch
from lightning import Trainer

from dlp.datamodules import TableDataModule
from dlp.modules import DenseModule


class Spaciousness:
    """Area per room, relative to the mean of the training part."""

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn the mean of the training part."""
        self.mean = float((frame["area"] / frame["rooms"]).mean())

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with the additional column ``spacious``."""
        return frame.assign(spacious=frame["area"] / frame["rooms"] / self.mean)


torch.manual_seed(0)
torch.set_num_threads(1)  # one thread is fastest for a small model
area, city = np.random.default_rng(0).uniform(30, 150, 600), np.tile(["Bonn", "Ulm"], 300)
flats = pd.DataFrame({"area": area, "rooms": np.arange(600) % 7 // 2 + 1, "city": city})
flats["rent"] = 200 + 9 * area + 150 * (city == "Bonn")
flats.loc[::60, "area"] = None  # ten areas are missing
flats.to_csv("flats.csv", index=False)
new = pd.DataFrame({"area": [60, 120], "rooms": [2, 4], "city": "Bonn"})

options = {"missing": "median", "features": Spaciousness(), "target_scaling": "standard"}
data = TableDataModule("flats.csv", "rent", predict_path=new, **options)
scale = {"target_mean": data.target_mean, "target_std": data.target_std}
model = DenseModule(data.input_shape, data.num_outputs, "regression", **scale)
trainer = Trainer(max_epochs=40, logger=False, enable_checkpointing=False)
trainer.fit(model, data)
rents = trainer.predict(model, data)[0]["values"].squeeze(1).round().tolist()
print(f"rents of the new flats (truly 890 and 1430): {rents}")
