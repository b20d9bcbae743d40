# %% [markdown]
# # 3.6 Values and folds
#
# What does a house cost? The answer is a **value**, not a class: this is
# **regression**, of one value per row (scalar) or of several (vector). The rows are
# few, so this chapter also shows how to judge a network on few rows.
#
# The table of Boston, 1978, comes with mlxtend: 506 districts, prices in $1,000. Its
# column B judges districts by the skin colour of those who live there. We leave it out.

# %%
# %matplotlib inline
import numpy as np
import torch
from lightning import Trainer
from torch import nn

from dlp import cross_validate
from dlp.datamodules import HousingDataModule
from dlp.modules import DenseModule, KerasRMSprop
from dlp.visualization import draw_folds

torch.set_num_threads(1)
data = HousingDataModule("boston", drop_columns=["B"], split_seed=0)
train = data.examples("train")
train.inputs.frame.head(4).round(1)

# %% [markdown]
# ## One linear output, two measures of error
#
# The network ends with **one unit without an activation**, `nn.Linear(64, 1)`. It can
# give any number. A sigmoid could only give 0 to 1.
#
# The loss is the **mean squared error** (MSE). People read the **mean absolute error**
# (MAE), because it has the unit of the prices. Three prices show the difference:

# %%
prices = torch.tensor([22.0, 24.0, 21.0])
predictions = torch.tensor([20.0, 25.0, 31.0])
errors = predictions - prices
print(f"MSE {(errors**2).mean():.2f}")
print(f"MAE {errors.abs().mean():.2f}")

# %% [markdown]
# The error of 10 gives 100 of the sum of squares, 105. The MSE punishes large errors
# most.
#
# ## Standardise the columns
#
# The columns have very different sizes: shares from 0 to 1 beside taxes of 700. Large
# numbers would dominate the first layer. So each column is **standardised**: subtract
# its mean, divide by its standard deviation. That takes two lines, and the DataModule
# does the same:

# %%
columns = train.inputs.frame.to_numpy(dtype=float)
mean, std = columns.mean(axis=0), columns.std(axis=0)
scaled = (columns - mean) / std
difference = np.abs(scaled - data.inputs("train")[:].numpy()).max()
print(f"largest difference from the DataModule: {difference:.7f}")

# %% tags=["hide"]
assert difference < 1e-5
assert np.allclose(scaled.std(axis=0), 1)

# %% [markdown]
# Mean and deviation come from the **training rows alone**, and validation and test rows
# are scaled by the same two numbers. Using other rows leaks information: the network
# would be prepared with rows that should be new to it.
#
# ## K-fold validation by hand
#
# There are 404 training rows. With 80 of them held out, the score would depend on which
# 80. **K-fold validation** uses every row: cut the rows into K parts, train K new
# networks, hold out another part each time, and take the mean of the K scores.
#
# ![Four networks; each validates on another quarter of the
# rows](../docs/figures/k_fold.svg)
#
# The training loop is that of section 2.1. The folds are the last four lines.

# %%
x = torch.tensor(columns, dtype=torch.float32)
y = torch.tensor(train.targets, dtype=torch.float32).reshape(-1, 1)


def new_network():
    """Build a network with new weights: 12 columns, two hidden layers, one value."""
    hidden = [nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(64, 1))


def train_and_score(network, rows, train, val, epochs=40):
    """Train on some rows; return the MAE on others."""
    optimizer = KerasRMSprop(network.parameters(), lr=0.001)
    for _ in range(epochs):
        for batch in train[torch.randperm(len(train))].split(16):
            optimizer.zero_grad()
            loss = ((network(rows[batch]) - y[batch]) ** 2).mean()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return (network(rows[val]) - y[val]).abs().mean().item()


torch.manual_seed(0)
folds = torch.randperm(len(x)).chunk(4)
scores = []
for val in folds:
    rest = torch.cat([fold for fold in folds if fold is not val])
    rows = (x - x[rest].mean(0)) / x[rest].std(0, correction=0)
    scores.append(train_and_score(new_network(), rows, rest, val))
print("MAE of each fold", np.round(scores, 2), "mean", round(np.mean(scores), 2))

# %% [markdown]
# Each fold standardises anew, by its own training rows. The folds differ: a single
# validation part would have hidden that spread.
#
# ## The same with dlp, until the curve turns
#
# `cross_validate` does what the loop does. Small networks train side by side, so 400
# epochs take seconds. That is long enough to see overfitting.


# %%
def make_model(data):
    """Build the network of a fold."""
    return DenseModule(data.input_shape, 1, head="regression", hidden=[64, 64])


options = {"num_folds": 4, "monitor": "val_mae", "smoothing": 0.9}
result = cross_validate(data, make_model, max_epochs=400, **options)
best = result.verdict().best_epoch
print(f"lowest smoothed MAE {result.verdict().best:.2f}, at epoch {best}")

# %% [markdown]
# The first row of the figure shows the mean of the four folds; the band is their
# spread. The first epochs dwarf all others, and single epochs jump. So the second row
# leaves ten epochs out and **smooths** the rest: each point is 0.9 of the point before
# and 0.1 of the new value.

# %% alt="Over 400 epochs training falls on; validation falls, turns and rises again"
draw_folds(result.mean_curves, result.std_curves, best=("val_mae", best))

# %% tags=["hide"]
curve = result.mean_curves["val_mae"]
assert 60 < best < 350
assert np.mean(curve[-20:]) > 1.03 * result.verdict().best
assert result.mean_curves["train_mae"][-1] < result.mean_curves["train_mae"][best]
assert abs(np.mean(scores) - curve[39]) < 0.6

# %% [markdown]
# Training error falls to the end. Validation error turns: from there on the networks
# **overfit**. The turn gives the number of epochs. The valley is flat, so the turn
# moves with the folds and the batches: the book, with batches of one row, found it near
# 80.
#
# ## Repeated K-fold: P x K trainings
#
# Other folds give another mean. **Repeated K-fold** shuffles P times, cuts K folds each
# time, and takes the mean of all scores. It costs P x K trainings: here 3 x 4 = 12.
#
# ![Three shuffles of the rows; each is cut into four folds and trains four
# networks](../docs/figures/repeated_k_fold.svg)

# %%
repeated = cross_validate(data, make_model, max_epochs=best, repeats=3, **options)
maes = repeated.scores["val_mae"]
print(len(maes), "trainings")
print("folds from", round(maes.min(), 2), "to", round(maes.max(), 2))
print("means of the repetitions", maes.groupby("repeat").mean().round(2).tolist())

# %% tags=["hide"]
means = maes.groupby("repeat").mean()
assert len(maes) == 12
assert means.max() - means.min() < (maes.max() - maes.min()) / 2

# %% [markdown]
# The means of the repetitions lie closer together than the folds do.
#
# | protocol | trainings | use it when |
# | --- | --- | --- |
# | hold-out: one validation part | 1 | rows are plenty |
# | K-fold | K | rows are few |
# | repeated K-fold | P x K | rows are few and the choice is close |
#
# ## The final network
#
# Use folds to choose; then train once on all 404 rows, for the chosen number of epochs.
# The guess to beat is the median price, whatever the district.

# %%
torch.manual_seed(0)
model = make_model(data)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = Trainer(max_epochs=best, **quiet)
trainer.fit(model, data)
[test] = trainer.test(model, data, verbose=False)
guess = result.baseline["median"]["mae"]
print(f"median price: off by ${1000 * guess:,.0f}")
print(f"12 folds: off by ${1000 * maes.mean():,.0f} (std ${1000 * maes.std():,.0f})")
print(f"test part: off by ${1000 * test['test_mae']:,.0f}")

# %% tags=["hide"]
assert maes.mean() < guess / 2
assert test["test_mae"] < 3.5

# %% [markdown]
# ## Exercises
#
# **1. Predict, then run.** You run 2 repetitions of 5 folds on the 404 rows. How many
# networks are trained? How many rows does each validate on?

# %% [markdown] tags=["answer"]
# 2 x 5 = 10 networks. 404 / 5 is 80.8, so a fold has 80 or 81 rows. Over the two
# repetitions each row is validated twice.

# %% tags=["answer"]
small = cross_validate(data, make_model, max_epochs=2, num_folds=5, repeats=2)
sizes = [len(fold.predictions["index"]) for fold in small.folds]
print(len(sizes), "networks, validated on", sizes)

# %% tags=["hide"]
assert len(sizes) == 10
assert set(sizes) == {80, 81}
assert sum(sizes) == 2 * 404

# %% [markdown]
# **2. Change one thing.** Train with the MAE as the loss: `DenseModule(...,
# loss="mae")`, four folds, 100 epochs. Which two columns of the scores become equal?
# Why?

# %% tags=["answer"]
trained_on_mae = cross_validate(
    data,
    lambda data: DenseModule(
        data.input_shape, 1, head="regression", hidden=[64, 64], loss="mae"
    ),
    max_epochs=100,
    num_folds=4,
)
trained_on_mae.scores[["val_loss", "val_mae"]].round(2)

# %% [markdown] tags=["answer"]
# `val_loss` and `val_mae`: the loss now is the MAE. With the MSE the loss was the mean
# of the squares, whose unit is a squared price.

# %% tags=["hide"]
changed = trained_on_mae.scores
assert np.allclose(changed["val_loss"], changed["val_mae"], rtol=1e-4)
assert (result.scores["val_loss"] > result.scores["val_mae"] * 2).all()

# %% [markdown]
# **3. Find the mistake.** There are two in these lines. Which one makes the score too
# good to be true?

# %%
torch.manual_seed(0)
network = new_network()
rows = (x - x.mean(0)) / x.std(0, correction=0)
wrong_scores = []
for val in folds:
    rest = torch.cat([fold for fold in folds if fold is not val])
    wrong_scores.append(train_and_score(network, rows, rest, val))
print("MAE of each fold", np.round(wrong_scores, 2))

# %% [markdown] tags=["answer"]
# **One network goes through all folds.** From the second fold on, it has already seen
# the rows that judge it, so its score is too good. Build a new network in each fold.
# (`cross_validate` stops with an error if `make_model` returns the same network twice.)
#
# The other mistake: the rows are scaled by mean and deviation of **all** rows, those
# held out too. That leaks information, even where the score hardly shows it: on the
# book's folds the MAE is 2.48 with the leak and 2.47 without.

# %% tags=["answer"]
print(f"folds 2 to 4, new networks: {np.mean(scores[1:]):.2f}")
print(f"folds 2 to 4, one network: {np.mean(wrong_scores[1:]):.2f}")

# %% tags=["hide"]
assert np.mean(wrong_scores[1:]) < 0.9 * np.mean(scores[1:])

# %% [markdown]
# ## Summary
#
# - A value needs one linear output; the loss is the MSE, and people read the MAE.
# - Standardise each column by mean and deviation of the training rows alone.
# - With few rows use K-fold; if the choice is close repeat it: P x K trainings.
# - Train long enough to see the smoothed mean curve turn; the turn gives the epochs.
# - Use folds to choose; then train once on all rows.
#
# **On the command line**: `dlp crossval --config housing_kfold` for the book's four
# folds and 100 epochs, with `--data.split_seed 0 --repeats 10` for repeated K-fold.
# `dlp fit --config housing` trains the final network.
#
# Next: [4.4 Overfitting](05_overfitting.py)
