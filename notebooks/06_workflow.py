# %% [markdown]
# # 4.5 The workflow
#
# You have a new problem. Which network, how large, how long? Nobody knows beforehand,
# but seven steps find out. This chapter walks them once, on 1,797 small handwritten
# digits that come with scikit-learn.
#
# ![Seven steps from the problem to the tuned network, then one
# test](../docs/figures/workflow.svg)
#
# ## Step 1: define the problem, collect rows
#
# What goes in, what comes out? Do the inputs say anything about the output? The kind of
# output decides the **last layer and the loss**:
#
# | problem | last activation | loss | `head` |
# | --- | --- | --- | --- |
# | two classes | sigmoid | binary cross entropy | `sigmoid` |
# | one class of several | softmax | cross entropy | `softmax` |
# | several labels at once | sigmoid for each | binary cross entropy | `multilabel` |
# | any value | none | mean squared error (MSE) | `regression` |
# | a value from 0 to 1 | sigmoid | MSE or binary cross entropy | `bounded_regression` |
#
# dlp has this table as code. Each head gives its loss, and `predict` applies the last
# activation to the outputs of the network:

# %%
# %matplotlib inline
import pandas as pd
import torch
from lightning import Trainer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from dlp import cross_validate, modules
from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule, TableDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.modules import DenseModule
from dlp.visualization import draw_curves

torch.set_num_threads(1)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
outputs = torch.tensor([[1.0, -2.0, 3.0]])  # of the last layer, for one row
kinds = ["Sigmoid", "Softmax", "Multilabel", "Regression", "BoundedRegression"]
table = {}
for kind in kinds:
    head_class = getattr(modules, f"{kind}Head")
    head = head_class() if kind == "Sigmoid" else head_class(3)
    answers = head.predict(outputs[:, : head.num_logits])
    losses = ", ".join(head.losses)
    table[head.name] = [head.num_logits, answers.numpy().round(2)[0], losses]
pd.DataFrame(table, index=["outputs", "predict", "losses, the first by default"]).T

# %% tags=["hide"]
sigmoid, softmax = outputs.sigmoid(), outputs.softmax(1)
answers = {name: torch.tensor(row[1]) for name, row in table.items()}
assert torch.allclose(answers["sigmoid"][1], sigmoid[0, 0], atol=0.01)
assert torch.allclose(answers["softmax"], softmax[0], atol=0.01)
assert torch.allclose(answers["multilabel"], sigmoid[0], atol=0.01)
assert torch.allclose(answers["regression"], outputs[0])
assert torch.allclose(answers["bounded_regression"], sigmoid[0], atol=0.01)

# %% [markdown]
# (`sigmoid` has one output, and its `predict` gives both classes' probabilities.)
#
# All of these are **supervised** learning: rows come with targets. The other branches
# are unsupervised learning, which looks for structure without targets, self-supervised
# learning, which makes targets from the inputs, and reinforcement learning, in which
# actions earn rewards. Targets may also be larger than a class or a value: a sequence,
# a syntax tree, boxes around objects (detection), a class per pixel (segmentation).
#
# ## Step 2: choose a measure of success
#
# The classes of our digits are of about equal size, so accuracy will do. Where one
# class is rare, choose **precision**, the share of the rows called rare that are rare,
# and **recall**, the share of the rare rows that are found. **ROC AUC** is the chance
# that a row of class 1 is ranked above one of class 0, whatever the threshold.
#
# ## Step 3: choose how to evaluate
#
# One part trains, one part chooses, one part gives the final score: **hold-out**. With
# few rows use the folds of section 3.6. Three traps:
#
# - **Parts that represent the whole.** Shuffle before you cut; `stratify=True` keeps
#   the shares of classes.
# - **The arrow of time.** To predict the future, validate on rows later than those you
#   train on: `time_column` of a table.
# - **Duplicates.** Copies of a row must not be in two parts (section 4.4).
#
# ![Rows cut into training, validation and test part](../docs/figures/hold_out.svg)
#
# ## Step 4: prepare the rows
#
# Weights start small, so inputs should be small too: between 0 and 1, or -1 and 1, all
# in a similar range. The pixels here go from 0 to 16, hence `/ 16`.

# %%
x, y = load_digits(return_X_y=True)
print("pixels from", x.min(), "to", x.max())
data = ArrayDataModule(x / 16, y, val_size=400, test_size=400, batch_size=64)
print({part: len(data.examples(part)) for part in ("train", "val", "test")})

# %% [markdown]
# **Missing values** must become numbers. 0 is safe if the network sees such rows in
# training, and if 0 means nothing else: it learns to ignore it. A table's columns are
# standardised, so there 0 is the mean of the column: `missing="zero"` gives the mean.
# `missing="median"` fills in the median before it scales, and the config for your own
# tables does that: a few huge values move a mean far, a median hardly.
# `missing_indicator=True` adds a column that marks the holes.

# %%
incomes = pd.DataFrame({"income": [20, 30, None, 40, 900], "rich": [0, 0, 0, 0, 1]})
filled = {}
for missing in ("zero", "median"):
    holes = TableDataModule(incomes, "rich", missing=missing, val_size=None)
    place = holes.examples("train").index.tolist().index(2)  # rows are shuffled
    filled[missing] = holes.inputs("train")[:][place].item()
    print(f"{missing}: the hole becomes {filled[missing]:.2f}")

# %% tags=["hide"]
numbers = [20, 30, 35, 40, 900]  # 35 is the median of the others
column = torch.tensor(numbers, dtype=torch.float64)
expected = (35 - column.mean()) / column.std(correction=0)
assert filled["zero"] == 0
assert abs(filled["median"] - expected) < 1e-5

# %% [markdown]
# **Feature engineering** makes better columns from what you know. Is it night at some
# hour? As numbers, 23 and 0 are far apart, though the hours are neighbours. As places
# on a circle they lie side by side, and even a linear model finds the night:

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
# What does the most frequent class score, what a linear model? If no network beats
# them, something is wrong with the rows or with the question.
#
# Safe defaults for the first network: **relu** after each hidden layer, **RMSprop**
# with its rate of **0.001** (dlp's defaults), and with few rows only **one or two
# hidden layers**.


# %%
def make_model(data, **settings):
    """Build a network for digits."""
    return DenseModule(data.input_shape, data.num_outputs, "softmax", **settings)


def fit(data, epochs, **settings):
    """Train a network; return it with its metrics per epoch."""
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
# The guess is beaten; the linear model is not. This network is too small, or did not
# train long enough. The next one is larger and trains longer.
#
# ## Step 6: overfit
#
# A network that can memorise its training rows is large enough. Add layers, units and
# epochs until the two losses diverge.

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
# The larger network knows all training digits, and overfits. At its best epoch it is
# no worse than the linear model.
#
# ## Step 7: regularise and tune
#
# Now hold the network back: dropout, penalties, other sizes. Judge each try on the
# validation part. This step takes most of the time of a project; `dlp tune` does it for
# you.

# %%
tries = {
    "256, 256, dropout": {"hidden": [256, 256], "dropout": 0.5},
    "256, dropout": {"hidden": [256], "dropout": 0.5},
    "64, L2": {"hidden": [64], "l2": 0.001},
}
fits = {name: fit(data, 30, **settings)[1] for name, settings in tries.items()}
losses = pd.DataFrame(
    {name: run.get("val_data_loss", run["val_loss"]) for name, run in fits.items()}
)
losses.index += 1  # epochs
pd.DataFrame({"lowest loss": losses.min().round(3), "at epoch": losses.idxmin()})

# %% [markdown]
# The lowest losses come in the last epochs: with more time, train longer before you
# choose.
#
# Each look at the validation part leaks a little of it into your choices. After many
# looks its score is too good. **Folds** judge the winner on all rows but the test.

# %%
best = losses.min().idxmin()
epochs = int(losses[best].idxmin())
result = cross_validate(data, lambda data: make_model(data, **tries[best]), epochs)
mean, spread = result.statistics["val_acc"]
print(f"{best}, {epochs} epochs: {mean:.1%} (spread of the folds {spread:.1%})")

# %% [markdown]
# ## Refit, then test once
#
# The settings are chosen, so the validation part is free: the final network learns from
# it too. Then open the test part, once. Return to step 7 and the test set is spent.

# %%
data.resplit(data.split.without_validation())
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
# **1. Predict, then run.** Which head, and how many outputs has the network? (a) The
# age of a person on a photo; (b) which of 12 topics an article has, several at once;
# (c) spam or not; (d) the share of voters who will vote, from 0 to 1; (e) one of 46
# newswire topics.

# %% tags=["answer"]
heads = {
    "a": modules.RegressionHead(1),
    "b": modules.MultilabelHead(12),
    "c": modules.SigmoidHead(),
    "d": modules.BoundedRegressionHead(1),
    "e": modules.SoftmaxHead(46),
}
for letter, head in heads.items():
    print(letter, head.name, head.num_logits)

# %% tags=["hide"]
assert [head.num_logits for head in heads.values()] == [1, 12, 1, 1, 46]
assert heads["c"].predict(torch.zeros(1, 1)).sum() == 1

# %% [markdown]
# **2. Change one thing.** Multiply the inputs by 1,000: `x / 16 * 1000`. What becomes
# of the loss of the first epoch, and of the accuracy after ten?

# %% tags=["answer"]
parts = {"val_size": 400, "test_size": 400, "batch_size": 64}
for factor in (1, 1000):
    _, run = fit(ArrayDataModule(x / 16 * factor, y, **parts), 10, hidden=[32])
    loss, accuracy = run["train_loss"][0], run["val_acc"][-1]
    print(f"x {factor}: first loss {loss:.1f}, accuracy at epoch 10 {accuracy:.1%}")
    if factor == 1:
        small_loss = loss

# %% [markdown] tags=["answer"]
# The outputs of the untrained network become about 1,000 times as large too, so it is
# sure of random answers: the first loss is huge. Steps of 0.001 repair that slowly, and
# after ten epochs the accuracy is lower.

# %% tags=["hide"]
assert loss > 100 * small_loss
assert accuracy < 0.83

# %% [markdown]
# **3. Find the mistake.** Here are 500 "networks" that only guess. How can the best be
# right on so many of the test rows?

# %%
torch.manual_seed(0)
targets = torch.from_numpy(y[:50])
guesses = torch.randint(10, (500, 50))  # a row for each network
test_accuracy = (guesses == targets).float().mean(1)
winner = test_accuracy.argmax()
print(f"final score: {test_accuracy[winner]:.0%}")

# %% [markdown] tags=["answer"]
# The test rows **chose** the winner, so its score on them is the luck of the luckiest
# of 500. On rows that chose nothing it is as bad as all others. Choose on validation
# rows, and let the test part score the winner alone.

# %% tags=["answer"]
new_guesses = torch.randint(10, (1000,))  # by the winner, on 1,000 other rows
fair = (new_guesses == torch.from_numpy(y[50:1050])).float().mean()
print(f"on new rows: {fair:.0%}")

# %% tags=["hide"]
assert test_accuracy[winner] > 0.2
assert fair < 0.14

# %% [markdown]
# ## Summary
#
# - The kind of output decides the last layer and the loss.
# - Choose a measure and a protocol first; parts represent the whole, times keep order.
# - Scale inputs to about -1 to 1; start with relu, RMSprop at 0.001 and few layers.
# - Beat a baseline, overfit, then regularise by what the validation part says.
# - Check the winner by folds, refit it on all but the test part, and test once.
#
# **On the command line**, for film reviews: `dlp test --config imdb --baselines true`
# (step 5), `dlp fit --config imdb --config bigger` (6),
# `dlp tune --config imdb --space imdb` and `dlp crossval --config imdb` (7), then
# `dlp fit --config imdb --config retrain --trainer.max_epochs 4`.
#
# Next: [5.1, 5.2 Convnets](07_convnets.py)
