# %% [markdown]
# # 3.6 Values and folds
#
# What does a house cost? The answer is a value and not a class. Predicting values is
# called **regression**: scalar regression if each row has one value, vector regression
# if it has several. The data set in this notebook also has few rows, which raises a
# second question: how do you judge a network when there is little data to judge it on?
#
# The Boston housing data, published in 1978, comes with mlxtend. Each of its 506 rows
# describes a district, and the target is the median price of a house there, in $1,000.
# The column B rates districts by the skin colour of the people who live there, so we
# leave it out.

# %%
# %matplotlib inline
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.model_selection import ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from torch import nn

from dlp import cross_validate
from dlp.datamodules import HousingDataModule
from dlp.modules import DenseModule, KerasRMSprop

torch.set_num_threads(1)
data = HousingDataModule("boston", drop_columns=["B"], split_seed=0)
train = data.examples("train")
train.inputs.frame.head(4).round(1)

# %% [markdown]
# ## One linear output, two measures of error
#
# The network ends with a single unit without an activation, `nn.Linear(64, 1)`. Such a
# unit can return any number, whereas a sigmoid returns only numbers between 0 and 1.
#
# The loss is the **mean squared error** (MSE), the mean of the squared differences
# between the predictions and the prices. This number is hard to read, because its unit
# is a squared price. So we also compute the **mean absolute error** (MAE), which has
# the same unit as the prices. Three prices show how the two measures differ:

# %%
prices = torch.tensor([22.0, 24.0, 21.0])
predictions = torch.tensor([20.0, 25.0, 31.0])
errors = predictions - prices
print(f"MSE {(errors**2).mean():.2f}")
print(f"MAE {errors.abs().mean():.2f}")

# %% [markdown]
# The squares of the three errors add up to 105, and 100 of this sum comes from the
# error of 10. So the MSE punishes large errors most.
#
# ## Standardise the columns
#
# The columns have very different sizes: some contain shares between 0 and 1, and one
# contains tax rates of up to about 700. Therefore each column is **standardised**: we
# subtract the mean of the column and divide by its standard deviation. The DataModule
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
# The mean and the standard deviation are computed from the training rows only, and the
# validation and test rows are scaled with the same two numbers. This is because the
# validation and test rows play the role of houses that nobody has seen yet. If they
# took part in the preparation of the training rows, some of their information would
# reach the training. This is called a **leak**, and the score may then be too good.
#
# ## K-fold validation by hand
#
# There are 404 training rows. If we kept 80 of them for validation, the score would
# depend on which 80 we chose. **K-fold validation** therefore uses every row for
# validation once: cut the rows into K parts and train K new networks, each of which is
# validated on a different part and trained on the rest. Then take the mean of the K
# scores.
#
# ![Four networks; each validates on another quarter of the
# rows](../docs/figures/k_fold.svg)
#
# The training loop is the one from section 2.1. For comparison, the last lines also
# train on the raw columns, which are not standardised. How much larger is the error
# then?

# %%
x = torch.tensor(columns, dtype=torch.float32)
y = torch.tensor(train.targets, dtype=torch.float32).reshape(-1, 1)


def new_network():
    """Build a network with new weights: 12 columns, two hidden layers, one value."""
    hidden = [nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(64, 1))


def train_and_score(network, rows, y, train, val, epochs=40):
    """Train on some rows; return the MAE on other rows."""
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
scores, raw_scores = [], []
for val in folds:
    rest = torch.cat([fold for fold in folds if fold is not val])
    rows = (x - x[rest].mean(0)) / x[rest].std(0, correction=0)
    scores.append(train_and_score(new_network(), rows, y, rest, val))
    raw_scores.append(train_and_score(new_network(), x, y, rest, val))
for name, maes in {"standardised": scores, "raw": raw_scores}.items():
    print(f"{name:12} MAE of each fold {np.round(maes, 2)}, mean {np.mean(maes):.2f}")

# %% tags=["hide"]
assert np.mean(raw_scores) > 1.8 * np.mean(scores)

# %% [markdown]
# With raw columns the error doubles, because the columns with large numbers dominate
# the first layer. Training for twice as many epochs does not make up for it. Note that
# in each fold, the columns are standardised with the mean and the deviation of that
# fold's training rows.
#
# ## The same with dlp, until the curve turns
#
# `cross_validate` does the same as the loop above, but it trains the networks side by
# side. It needs only seconds for 400 epochs, which are enough to see overfitting.


# %%
def make_model(data):
    """Build the network of a fold."""
    return DenseModule(data.input_shape, 1, head="regression", hidden=[64, 64])


options = {"monitor": "val_mae", "smoothing": 0.9}
result = cross_validate(data, make_model, max_epochs=400, num_folds=4, **options)
best = result.verdict().best_epoch
print(f"lowest smoothed MAE {result.verdict().best:.2f}, at epoch {best}")

# %% [markdown]
# In the figure below, the pale line is the mean of the four folds, and the band shows
# how much the folds differ. The first ten epochs are left out, because their errors are
# so large that the rest of the curve would look flat. The strong line is **smoothed**:
# each of its points is 0.9 times the point before plus 0.1 times the new value.


# %% alt="Over 400 epochs training keeps falling; validation falls, then rises again"
def smooth(curve):
    """Return the running mean of a curve."""
    points = [curve[0]]
    for value in curve[1:]:
        points.append(0.9 * points[-1] + 0.1 * value)
    return points


figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
epochs = range(11, 401)
parts = {"training": ("train", "#0072B2"), "validation": ("val", "#D55E00")}
for name, (part, colour) in parts.items():
    curve = np.array(result.mean_curves[f"{part}_mae"][10:])
    spread = np.array(result.std_curves[f"{part}_mae"][10:])
    band = (curve - spread, curve + spread)
    axes.fill_between(epochs, *band, alpha=0.15, color=colour, linewidth=0)
    axes.plot(epochs, curve, alpha=0.4, color=colour, label=f"{name}, each epoch")
    axes.plot(epochs, smooth(curve), color=colour, label=f"{name}, smoothed")
axes.axvline(best, color="grey", linestyle=":", label=f"lowest: epoch {best}")
axes.set(title="mean of four folds", xlabel="epoch", ylabel="MAE in $1,000")
axes.legend(ncols=2)
figure

# %% tags=["hide"]
assert best == 11 + int(np.argmin(smooth(curve)))
curve = result.mean_curves["val_mae"]
assert 60 < best < 350
assert np.mean(curve[-20:]) > 1.03 * result.verdict().best
assert result.mean_curves["train_mae"][-1] < result.mean_curves["train_mae"][best]
assert abs(np.mean(scores) - curve[39]) < 0.6

# %% [markdown]
# The training error falls until the end. The validation error falls to its lowest point
# and then rises again: from this turn on, the networks overfit. So the turn tells us
# how many epochs to train for. It is not an exact number, because the bottom of the
# curve is flat, and with other folds the turn is at another epoch. In the book, where
# each batch is one row, it is near epoch 80.
#
# ## How much does one validation part say?
#
# Now cut the rows into K = 5 folds and repeat this P = 4 times, shuffling the rows each
# time. This is **repeated K-fold**, and it takes P x K = 20 training runs. Each run on
# its own is a **hold-out**: 80 rows are used for validation and the others for
# training. How far apart will the scores be?
#
# ![Three shuffles of the rows; each is cut into four folds and trains four
# networks](../docs/figures/repeated_k_fold.svg)
#
# (In the picture K = 4 and P = 3.)

# %% alt="20 hold-outs spread from 1.7 to 3.0; four means of five lie close together"
repeated = cross_validate(data, make_model, best, num_folds=5, repeats=4, **options)
maes = repeated.scores["val_mae"]
means = maes.groupby("repeat").mean()
print(f"20 hold-outs: {maes.min():.2f} to {maes.max():.2f}")
print("means of five folds:", means.round(2).tolist())

figure = Figure(figsize=(6.5, 3.4), layout="constrained")
axes = figure.subplots()
bins = np.arange(1.6, 3.3, 0.1)
axes.hist(maes, bins, color="#56B4E9", edgecolor="white", label="one hold-out")
axes.plot(means, [0.25] * 4, "D", color="#D55E00", label="mean of five folds")
axes.set(xlabel="validation MAE in $1,000", ylabel="hold-outs", yticks=range(5))
axes.legend()
figure

# %% tags=["hide"]
assert len(maes) == 20
assert maes.between(1.6, 3.2).all()
assert means.max() - means.min() < (maes.max() - maes.min()) / 3

# %% [markdown]
# One hold-out gives an error of 1.7 and another an error of 3.0, depending on whether
# its 80 rows happen to be easy or hard. The means of five folds are close together.
#
# | protocol | training runs | use it when |
# | --- | --- | --- |
# | hold-out: one validation part | 1 | there are plenty of rows |
# | K-fold | K | there are few rows |
# | repeated K-fold | P x K | rows are few and the best settings score alike |
#
# ## How large should the network be if there are few rows?
#
# The book advises a small network, because a large one overfits. Here we train networks
# of two sizes on 60 rows. We draw these rows at random five times, and each curve is
# the mean over the five draws. Which size is better?

# %% alt="64 units reach 3.2 by epoch 50, then rise; 8 units fall slowly"
draws = ShuffleSplit(5, train_size=60, test_size=200, random_state=0)
figure = Figure(figsize=(6.5, 3.8), layout="constrained")
axes = figure.subplots()
lowest, at_end = {}, {}
for units, style in {8: "--", 64: "-"}.items():
    of_size = cross_validate(
        data,
        lambda data, units=units: DenseModule(
            data.input_shape,
            1,
            head="regression",
            hidden=[units, units],
            optimizer=lambda parameters: KerasRMSprop(parameters, lr=0.003),
        ),
        max_epochs=400,
        splitter=draws,
    )
    curve = of_size.mean_curves["val_mae"]
    lowest[units], at_end[units] = min(curve), sum(curve[-10:]) / 10
    axes.plot(range(1, 401), curve, style, label=f"{units} units per layer")
axes.set(xlabel="epoch", ylabel="mean validation MAE in $1,000", ylim=(2.5, 6))
axes.legend()
print("lowest    ", {units: round(value, 2) for units, value in lowest.items()})
print("epoch 400 ", {units: round(value, 2) for units, value in at_end.items()})
figure

# %% tags=["hide"]
assert at_end[8] < at_end[64] - 0.1
assert lowest[64] < lowest[8] + 0.1

# %% [markdown]
# After 400 epochs the small network is better, because it starts to overfit later. If
# you stop each network at its turn, neither is better: over five seeds, the difference
# between them ranges from -0.18 to +0.16. By epoch 800 the small network overfits as
# well. We also tried 256 units, and they were never best. So if you have few rows, use
# a small network or stop early.
#
# ## The final network
#
# Use the folds to choose the settings and the number of epochs. Then train once, on all
# 404 rows, for the number of epochs that you chose. The network should at least beat
# the simplest guess, which is the median price for every house.

# %%
torch.manual_seed(0)
test = data.examples("test")
test_prices = torch.tensor(test.targets, dtype=torch.float32).reshape(-1, 1)
rows = torch.cat([data.inputs("train")[:], data.inputs("test")[:]])  # standardised
prices = torch.cat([y, test_prices])
first, last = torch.arange(404), torch.arange(404, 506)
test_mae = train_and_score(new_network(), rows, prices, first, last, epochs=best)
guess = result.baseline["median"]["mae"]
print(f"median price: off by ${1000 * guess:,.0f}")
print(f"20 folds: off by ${1000 * maes.mean():,.0f} (std ${1000 * maes.std():,.0f})")
print(f"test part: off by ${1000 * test_mae:,.0f}")

# %% tags=["hide"]
assert maes.mean() < guess / 2
assert maes.mean() < test_mae < maes.max()
assert len(rows) == 506

# %% [markdown]
# The test part is like one more hold-out. Its error lies within the range of the 20
# hold-outs, and in this run it is above their mean.
#
# ## Exercises
#
# **1. Predict, then run.** Somebody enters the prices in dollars, 22,000 instead of 22.
# The columns are standardised as before. Is the error still the same percentage of the
# price?

# %% tags=["answer"]
torch.manual_seed(0)
val, rest = folds[0], torch.cat(folds[1:])
rows = (x - x[rest].mean(0)) / x[rest].std(0, correction=0)
in_dollars = train_and_score(new_network(), rows, 1000 * y, rest, val)
print(f"in $1,000: off by ${1000 * scores[0]:,.0f}")
print(f"in dollars: off by ${in_dollars:,.0f}")

# %% [markdown] tags=["answer"]
# No, because the network has hardly begun to learn. RMSprop divides each gradient by
# its recent size, so one step changes a weight by about 0.001, no matter how wrong the
# prices are. If targets are large, standardise them too, with
# `target_scaling="standard"`. Predictions are still returned in dollars.

# %% tags=["hide"]
assert in_dollars > 5 * 1000 * scores[0]

# %% [markdown]
# **2. Change one thing.** Train with the MAE as the loss:
# `DenseModule(..., loss="mae")`, with four folds and 100 epochs. Which two columns of
# the scores become equal, and why?

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
# `val_loss` and `val_mae` are equal, because the loss is now the MAE.

# %% tags=["hide"]
changed = trained_on_mae.scores
assert np.allclose(changed["val_loss"], changed["val_mae"], rtol=1e-4)
assert (result.scores["val_loss"] > result.scores["val_mae"] * 2).all()

# %% [markdown]
# **3. Find the mistake.** These lines contain two mistakes. Which one makes the score
# too good to be true?

# %%
torch.manual_seed(0)
network = new_network()
rows = (x - x.mean(0)) / x.std(0, correction=0)
wrong_scores = []
for val in folds:
    rest = torch.cat([fold for fold in folds if fold is not val])
    wrong_scores.append(train_and_score(network, rows, y, rest, val))
print("MAE of each fold", np.round(wrong_scores, 2))

# %% [markdown] tags=["answer"]
# **The same network is trained in all folds.** From the second fold on, it has already
# been trained on the rows that now judge it, so its score is too good. Build a new
# network for each fold.
#
# The other mistake is that the rows are scaled with the mean and deviation of **all**
# rows, including the validation rows. This is a leak, even if it hardly shows in the
# score.

# %% tags=["answer"]
print(f"folds 2 to 4, new networks: {np.mean(scores[1:]):.2f}")
print(f"folds 2 to 4, one network: {np.mean(wrong_scores[1:]):.2f}")

# %% tags=["hide"]
assert np.mean(wrong_scores[1:]) < 0.9 * np.mean(scores[1:])

# %% [markdown]
# **4. Write it.** Do we need a network at all? Predict each price as the mean price of
# the five most similar districts. Write `score_neighbours` in about ten lines: in each
# fold, standardise the rows, find the neighbours (`torch.cdist`, `topk`), and compute
# the MAE. Return the MAEs of all folds.


# %%
def score_neighbours(folds, k=5):
    """Return the MAE of each fold; a prediction is the mean of the k nearest rows."""
    ...


# %%
def check(score_neighbours):
    """Compare with scikit-learn."""
    found = score_neighbours(folds)
    if found is None:
        return "not yet: it returns nothing"
    expected, leaking = [], []
    for val in folds:
        rest = torch.cat([fold for fold in folds if fold is not val])
        for scores, known in ((expected, x[rest]), (leaking, x)):
            rows = (x - known.mean(0)) / known.std(0, correction=0)
            nearest = KNeighborsRegressor(5).fit(rows[rest], y[rest])
            scores.append(np.abs(nearest.predict(rows[val]) - y[val].numpy()).mean())
    if np.allclose(found, leaking, atol=1e-4):
        return "not yet: rows that are held out take part in the scaling"
    if not np.allclose(found, expected, atol=1e-4):
        return f"not yet: scikit-learn has {np.round(expected, 2)}"
    return "right"


print(check(score_neighbours))


# %% tags=["answer"]
def score_neighbours(folds, k=5):
    """Return the MAE of each fold; a prediction is the mean of the k nearest rows."""
    result = []
    for val in folds:
        rest = torch.cat([fold for fold in folds if fold is not val])
        rows = (x - x[rest].mean(0)) / x[rest].std(0, correction=0)
        distances = torch.cdist(rows[val], rows[rest])
        nearest = distances.topk(k, largest=False).indices
        predictions = y[rest][nearest].mean(dim=1)
        result.append((predictions - y[val]).abs().mean().item())
    return result


print(check(score_neighbours))
print(f"neighbours {np.mean(score_neighbours(folds)):.2f}", end=", ")
print(f"network {np.mean(scores):.2f}, median {guess:.2f}")

# %% tags=["hide"]
assert check(score_neighbours) == "right"
assert "nothing" in check(lambda _: None)
assert "scikit-learn" in check(lambda _: [1.0, 1.0, 1.0, 1.0])
assert np.mean(scores) + 0.1 < np.mean(score_neighbours(folds)) < guess / 2

# %% [markdown]
# ## Summary
#
# - To predict a value, a network needs one linear output. The loss is the MSE, and the
#   MAE is the error that people can read.
# - Standardise each column with the mean and deviation of the training rows only.
# - With few rows, a single hold-out says little. Use K-fold validation, and repeat it
#   if the best settings have similar scores.
# - Train long enough to see the smoothed mean curve turn. The turn gives the number of
#   epochs.
# - Use the folds to choose the settings and the number of epochs, then train once on
#   all rows.
#
# **On the command line**: `dlp crossval --config housing_kfold` runs the book's four
# folds and 100 epochs. With `--data.split_seed 0 --repeats 10` it runs repeated K-fold.
# `dlp fit --config housing` trains the final network.
#
# Next: [4.1 Four branches](04a_four_branches.py)
