"""Arrays in memory, a ready-made module and a plain Trainer, which replace Keras's compile and fit.

`python examples/arrays.py` trains on the 1,797 handwritten digits that come with scikit-learn, and
draws curves.png.
"""

import torch
from lightning import Trainer
from sklearn.datasets import load_digits

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule
from dlp.visualization.curves import draw_curves

torch.manual_seed(0)
torch.set_num_threads(1)  # one thread is fastest for a small model
pixels, digits = load_digits(return_X_y=True)  # (1797, 64) from 0 to 16, and (1797,) from 0 to 9
data = ArrayDataModule(pixels / 16, digits, val_size=0.2, test_size=0.2, batch_size=32)
model = DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=[64])

history = History()
quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
trainer = Trainer(max_epochs=15, callbacks=[history], enable_progress_bar=False, **quiet)
trainer.fit(model, data)
print("validation loss per epoch:", [round(loss, 3) for loss in history.metrics["val_loss"]])
draw_curves(history.metrics).savefig("curves.png")

[result] = trainer.test(model, data, verbose=False)
print(f"test accuracy {result['test_acc']:.3f}, curves in curves.png")
