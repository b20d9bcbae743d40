# %% [markdown]
# # 4.5 The workflow
#
# You have a new problem. Which network do you need, how large should it be, and how
# long should it train? Seven steps answer these questions. This notebook goes through
# them once, on 1,797 small digits that come with scikit-learn.
#
# ![Seven steps from the problem to the tuned network, then one
# test](../docs/figures/workflow.svg)
#
# ## Step 1: define the problem, collect rows
#
# Decide what goes into the network and what should come out of it, and ask whether the
# inputs contain any information about the output. The kind of output then determines
# the **last layer and the loss**:
#
# | problem | last activation | loss | `head` |
# | --- | --- | --- | --- |
# | two classes | sigmoid | binary cross entropy | `sigmoid` |
# | one class of several | softmax | cross entropy | `softmax` |
# | several labels at once | sigmoid for each | binary cross entropy | `multilabel` |
# | any value | none | mean squared error (MSE) | `regression` |
# | a value from 0 to 1 | sigmoid | MSE or binary cross entropy | `bounded_regression` |
#
# A row of this table is called a `head` in dlp: one object that contains the
# activation, the loss and the metrics. All of these problems belong to **supervised**
# learning. Section 4.1 shows the other branches.

# %%
# %matplotlib inline
from functools import partial

import pandas as pd
import torch
from lightning import Trainer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from threadpoolctl import threadpool_limits

from dlp import cross_validate
from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.modules import DenseModule, KerasRMSprop
from dlp.visualization import draw_curves

threadpool_limits(1)  # for scikit-learn
torch.set_num_threads(1)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}

# %% tags=["hide"]
from dlp import modules
from dlp.modules.heads import HEADS

outputs = torch.tensor([[1.0, -2.0, 3.0]])
sigmoid, softmax = outputs.sigmoid(), outputs.softmax(1)
table = {  # class: last activation of the outputs, losses with the default first
    modules.SigmoidHead: (sigmoid[:, :1], ["bce", "mse"]),
    modules.SoftmaxHead: (softmax, ["cross_entropy"]),
    modules.MultilabelHead: (sigmoid, ["bce", "mse"]),
    modules.RegressionHead: (outputs, ["mse", "mae", "huber"]),
    modules.BoundedRegressionHead: (sigmoid, ["mse", "bce"]),
}
names = ["sigmoid", "softmax", "multilabel", "regression", "bounded_regression"]
assert dict(zip(names, table, strict=True)) == HEADS
for head_class, (answers, losses) in table.items():
    head = head_class() if head_class is modules.SigmoidHead else head_class(3)
    predicted = head.predict(outputs[:, : head.num_logits])
    assert torch.allclose(predicted[:, -answers.shape[1] :], answers)
    assert list(head.losses) == losses

# %% [markdown]
# ## Step 2: choose a measure of success
#
# The classes of our digits are about equally frequent, so accuracy is enough. If one
# class is rare, look at precision and recall (section 3.5).
#
# ## Step 3: choose how to evaluate
#
# Use one part of the rows for training, one for choosing settings, and one for the
# final score. This is called **hold-out**. If there are few rows, use the folds from
# section 3.6. In either case, avoid three traps:
#
# - **Parts that do not represent the whole.** If the rows are sorted by class, for
#   example, the parts contain different classes. So shuffle the rows before you cut
#   them.
# - **The arrow of time.** If you want to predict the future, validate on rows that are
#   later than the training rows.
# - **Duplicates.** If there are several copies of a row, put all of them into the same
#   part (section 3.4).
#
# ![Rows cut into a training, a validation and a test
# part](../docs/figures/hold_out.svg)
#
# ## Step 4: prepare the rows
#
# Weights start small, so the inputs should be small too: between 0 and 1 or between -1
# and 1, and all in a similar range. The pixels here range from 0 to 16, so the next
# cell divides them: `x / 16`.

# %%
x, y = load_digits(return_X_y=True)
print("pixels from", x.min(), "to", x.max())
data = ArrayDataModule(x / 16, y, val_size=400, test_size=400, batch_size=64)
print({part: len(data.examples(part)) for part in ("train", "val", "test")})

# %% [markdown]
# **Missing values** must become numbers. You can write 0 for them if two conditions are
# satisfied: 0 has no other meaning in this column, and the network sees such rows in
# training, so that it learns to ignore the 0. The next cell shows why the second
# condition matters. It trains on 400 rows with two columns, and the second value is
# often missing. We train one network on complete rows, and another one on rows with
# missing values (the code calls them holes). Then we test both networks on rows with
# missing values:


# %%
def error_at_holes(trains_with_holes, seed=0):
    """Return the error on rows with holes, after training with or without holes."""
    torch.manual_seed(seed)
    x = 2 + torch.rand(800, 2)
    y = x[:, 0] + 3 * x[:, 1]
    with_holes = x.clone()
    with_holes[torch.rand(800) < 0.3, 1] = 0
    x_test, y_test = with_holes[400:], y[400:]
    is_hole = x_test[:, 1] == 0
    test = {"x_test": x_test[is_hole], "y_test": y_test[is_hole]}
    x_train = with_holes if trains_with_holes else x
    rows = ArrayDataModule(x_train[:400], y[:400], val_size=None, **test)
    fast = partial(KerasRMSprop, lr=0.01)
    model = DenseModule(rows.input_shape, 1, "regression", hidden=[16], optimizer=fast)
    trainer = Trainer(max_epochs=30, **quiet)
    trainer.fit(model, rows)
    return trainer.test(model, rows, verbose=False)[0]["test_mae"]


with_holes, without_holes = error_at_holes(True), error_at_holes(False)
print(f"trained without holes: error {without_holes:.2f}")
print(f"trained with holes:    error {with_holes:.2f}")

# %% tags=["hide"]
assert with_holes < without_holes / 2

# %% [markdown]
# For your own tables, `missing="median"` fills in the median of the column, and
# `missing_indicator=True` adds a column that marks missing values.
#
# **Feature engineering** makes better columns from what you know about the problem.
# Suppose, for example, that a model must tell from the hour whether it is night. As
# numbers, the hours 23 and 0 are far apart. As points on a circle they are next to each
# other, and even a linear model (section 3.4) can recognise the night:

# %%
hours = 24 * torch.rand(300, generator=torch.Generator().manual_seed(0))
is_night = (hours < 6) | (hours > 18)
angles = 2 * torch.pi * hours / 24
encodings = {
    "a number": hours[:, None],
    "a place on a circle": torch.stack([angles.sin(), angles.cos()], dim=1),
}
scores = {}
for name, columns in encodings.items():
    model = LogisticRegression()
    scores[name] = cross_val_score(model, columns.numpy(), is_night.numpy()).mean()
    print(f"the hour as {name}: {scores[name]:.0%} right")

# %% tags=["hide"]
assert scores["a number"] < 0.8 < 0.95 < scores["a place on a circle"]

# %% [markdown]
# ## Step 5: beat a baseline
#
# First compute two baselines: the score that you get if you always guess the most
# frequent class, and the score of a linear model. If no network beats them, something
# is wrong with the rows or with the question. Safe settings for the first network are
# **relu**, **RMSprop** with a learning rate of **0.001** (dlp's defaults) and, if there
# are few rows, only **one or two hidden layers**.


# %%
def make_model(data, **settings):
    """Build a network for digits."""
    return DenseModule(data.input_shape, data.num_outputs, "softmax", **settings)


def fit(data, epochs, **settings):
    """Train a network; return it and its metrics for each epoch."""
    torch.manual_seed(0)
    model, history = make_model(data, **settings), History()
    Trainer(max_epochs=epochs, callbacks=[history], **quiet).fit(model, data)
    return model, history.metrics


train, val = data.examples("train"), data.examples("val")
guess = guess_scores(make_model(data), data, "val")["majority_class"]["acc"]
regression = LogisticRegression(max_iter=1000)
regression.fit(train.inputs.features(), train.targets)
linear = regression.score(val.inputs.features(), val.targets)
_, first = fit(data, 15, hidden=[64])
print(f"one class {guess:.1%}, linear {linear:.1%}, network {first['val_acc'][-1]:.1%}")

# %% [markdown]
# The network beats the guess, but not the linear model. Either it is too small, or it
# was not trained for long enough. So the next network is larger and is trained for
# longer.
#
# ## Step 6: overfit
#
# A network that can memorise its training rows is large enough. So add layers, units
# and epochs until you see the validation loss rise while the training loss still falls.

# %% alt="The training loss goes to zero; the validation loss turns and rises slowly"
_, big = fit(data, 50, hidden=[256, 256])
print(f"highest validation accuracy {max(big['val_acc']):.1%}")
draw_curves(big)

# %% tags=["hide"]
assert big["train_acc"][-1] > 0.99
assert big["val_loss"][-1] > min(big["val_loss"]) * 1.1
assert linear > first["val_acc"][-1] > guess + 0.5
assert max(big["val_acc"]) > linear

# %% [markdown]
# The larger network has learned all training digits by heart, so it overfits. But at
# its best epoch, it is at least as good as the linear model.
#
# ## Step 7: regularise and tune
#
# Now restrain the network with dropout and penalties, and try other sizes and learning
# rates. Judge each of these networks on the validation part. Here every network is
# trained for 40 epochs. This favours networks that learn fast, because a slow one may
# not have reached its lowest loss by then. The command
# `dlp tune --config imdb --space imdb` tries settings for you, on film reviews.

# %%
slow = partial(KerasRMSprop, lr=0.0003)
tries = {
    "256, 256, dropout": {"hidden": [256, 256], "dropout": 0.5},
    "256, dropout": {"hidden": [256], "dropout": 0.5},
    "256, dropout, slow": {"hidden": [256], "dropout": 0.5, "optimizer": slow},
    "64, L2": {"hidden": [64], "l2": 0.001},
}
fits = {name: fit(data, 40, **settings)[1] for name, settings in tries.items()}
losses = pd.DataFrame(
    {name: run.get("val_data_loss", run["val_loss"]) for name, run in fits.items()}
)
losses.index += 1  # epochs
pd.DataFrame({"lowest loss": losses.min().round(3), "at epoch": losses.idxmin()})

# %% [markdown]
# If the loss of a network is lowest in one of the last epochs, it might become even
# lower with more epochs.
#
# Each time you choose settings by their score on the validation part, a little
# information about this part leaks into your choices. After many such choices, the
# score on the validation part is too good. So we judge the winner again, with **folds**
# of all rows except the test part.

# %%
best = losses.min().idxmin()
epochs = int(losses[best].idxmin())
result = cross_validate(data, lambda data: make_model(data, **tries[best]), epochs)
mean, spread = result.statistics["val_acc"]
print(f"{best}, {epochs} epochs: {mean:.1%} (spread of the folds {spread:.1%})")

# %% [markdown]
# ## Refit, then test once
#
# Now that the settings are chosen, the final network may learn from the validation part
# too. Then use the test part, but only once. If you look at the test score and then
# return to step 7, you need a new test part.

# %%
data = data.with_split(data.split.without_validation())
model, _ = fit(data, epochs, **tries[best])
[test] = Trainer(**quiet).test(model, data, verbose=False)
train, unseen = data.examples("train"), data.examples("test")
regression.fit(train.inputs.features(), train.targets)
linear = regression.score(unseen.inputs.features(), unseen.targets)
print(
    f"trained on {len(train)} digits: {test['test_acc']:.1%} right, linear {linear:.1%}"
)

# %% tags=["hide"]
assert test["test_acc"] > linear - 0.02
assert test["test_acc"] > guess + 0.5
assert abs(test["test_acc"] - mean) < 0.04

# %% [markdown]
# ## Exercises
#
# **1. Write it.** A column contains the days of the week as numbers from 0 to 6. They
# form a circle, just like the hours. Replace the `...`; the next cell checks your
# answer.


# %%
def day_features(days):
    """Return a sine and a cosine for each day, of shape (N, 2)."""
    ...


# %%
def check(features):
    """Check that neighbouring days are equally far apart, also Sunday and Monday."""
    places = features(torch.arange(7))
    if places is None:
        return False
    steps = (places - places.roll(1, 0)).norm(dim=1)
    return places.shape == (7, 2) and torch.allclose(steps, steps[:1].expand(7))


print("right" if check(day_features) else "not yet")


# %% tags=["answer"]
def my_day_features(days):
    """Return a sine and a cosine for each day, of shape (N, 2)."""
    angles = 2 * torch.pi * days / 7
    return torch.stack([angles.sin(), angles.cos()], dim=1)


print("right" if check(my_day_features) else "not yet")

# %% tags=["hide"]
assert check(my_day_features)
assert not check(day_features)

# %% [markdown]
# **2. Change one thing.** Multiply the inputs by 1,000: `x / 16 * 1000`. What happens
# to the loss in the first epoch, and to the accuracy after ten epochs?

# %% tags=["answer"]
parts = {"val_size": 400, "test_size": 400, "batch_size": 64}
for factor in (1, 1000):
    _, run = fit(ArrayDataModule(x / 16 * factor, y, **parts), 10, hidden=[32])
    loss, accuracy = run["train_loss"][0], run["val_acc"][-1]
    print(f"x {factor}: first loss {loss:.1f}, accuracy at epoch 10 {accuracy:.1%}")
    if factor == 1:
        small_loss = loss

# %% [markdown] tags=["answer"]
# The outputs of the untrained network also become about 1,000 times as large. So the
# network is very certain of its random answers, and the first loss is huge. With a
# learning rate of 0.001 the weights change only a little in each step, so it takes many
# steps to correct this.

# %% tags=["hide"]
assert loss > 100 * small_loss
assert accuracy < 0.83

# %% [markdown]
# **3. Find the mistake.** Here are 500 "networks" that only guess. How can the best of
# them be right on so many of the test rows?

# %%
torch.manual_seed(0)
targets = torch.from_numpy(y[:50])
guesses = torch.randint(10, (500, 50))  # a row for each network
test_accuracy = (guesses == targets).float().mean(1)
winner = test_accuracy.argmax()
print(f"final score: {test_accuracy[winner]:.0%}")

# %% [markdown] tags=["answer"]
# The winner was **chosen** by its score on the test rows, so this score only shows that
# it is the luckiest of 500. Choose the winner by the score on validation rows, and use
# the test part only for the final score of the winner.

# %% tags=["answer"]
new_guesses = torch.randint(10, (1000,))  # the winner's, for 1,000 other rows
fair = (new_guesses == torch.from_numpy(y[50:1050])).float().mean()
print(f"on new rows: {fair:.0%}")

# %% tags=["hide"]
assert test_accuracy[winner] > 0.2
assert fair < 0.14

# %% [markdown]
# ## Summary
#
# - The kind of output determines the last layer and the loss.
# - Scale inputs to about -1 to 1. Start with relu, RMSprop at 0.001 and few layers.
# - Beat a baseline, then enlarge the network until it overfits, then regularise it and
#   judge the result on the validation part.
# - Check the winner with folds, train it again on all rows except the test part, and
#   test once.
#
# **On the command line**, for film reviews: `dlp test --config imdb --baselines true`
# (step 5), `dlp fit --config imdb --config bigger` (6),
# `dlp tune --config imdb --space imdb` and `dlp crossval --config imdb` (7), then
# `dlp fit --config imdb --config retrain --trainer.max_epochs 4`.
#
# Next: [5.1, 5.2 Convnets](07_convnets.py)
