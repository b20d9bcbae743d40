# %% [markdown]
# # 6. The workflow
#
# A new problem lies on the table. Which network, how large, how long? Nobody knows, and
# nobody has to: there is an order of steps that finds out. Here it is walked once, on
# 1,797 small handwritten digits that come with scikit-learn.
#
# **Step 1: say what success is, and cut the rows.** The measure is accuracy. Three
# parts: one to train on, one to choose by, one for the last word.
#
# ![Rows cut into training, validation and test part](../docs/figures/hold_out.svg)

# %%
# %matplotlib inline
import pandas as pd
import torch
from lightning import Trainer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from dlp import cross_validate
from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.modules import DenseModule
from dlp.visualization import draw_curves

torch.set_num_threads(1)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
x, y = load_digits(return_X_y=True)
data = ArrayDataModule(x / 16, y, val_size=400, test_size=400, batch_size=64)
print({part: len(data.examples(part)) for part in ("train", "val", "test")})


def make_model(data, **settings):
    """Build a network for digits."""
    return DenseModule(data.input_shape, data.num_outputs, "softmax", **settings)


def fit(data, epochs, **settings):
    """Train a network; return it with its metrics per epoch."""
    torch.manual_seed(0)
    model, history = make_model(data, **settings), History()
    Trainer(max_epochs=epochs, callbacks=[history], **quiet).fit(model, data)
    return model, history.metrics


# %% [markdown]
# **Step 2: beat a baseline.** What does the most frequent class score, what a linear
# model? If a network cannot beat them, something is wrong with the rows or with the
# question.

# %%
train, val = data.examples("train"), data.examples("val")
guess = guess_scores(make_model(data), data, "val")["majority_class"]["acc"]
regression = LogisticRegression(max_iter=1000).fit(
    train.inputs.features(), train.targets
)
linear = regression.score(val.inputs.features(), val.targets)
print(f"always one class {guess:.1%}, linear {linear:.1%}")

# %% [markdown]
# **Step 3: overfit.** Only a network that can learn its training rows by heart is
# surely large enough. Add layers, units and epochs until the two curves part.

# %% alt="The training loss goes to zero, the validation loss stays above it"
_, big = fit(data, 30, hidden=[256, 256])
draw_curves(big)

# %% [markdown]
# **Step 4: regularise.** Now hold it back: dropout, penalties, other sizes. Each try is
# judged on the validation part. This step takes most of the time of a project, and
# `dlp tune` does it overnight.

# %%
tries = {
    "256, 256, dropout": {"hidden": [256, 256], "dropout": 0.5},
    "256, dropout": {"hidden": [256], "dropout": 0.5},
    "32": {"hidden": [32]},
}
fits = {name: fit(data, 30, **settings)[1] for name, settings in tries.items()}
losses = pd.DataFrame({name: metrics["val_loss"] for name, metrics in fits.items()})
losses.index += 1  # epochs
pd.DataFrame({"lowest loss": losses.min().round(3), "at epoch": losses.idxmin()})

# %% [markdown]
# **Step 5: make sure.** Each look at the validation part tells the choices a little
# about it; after many looks it flatters them. K folds judge the winner on all rows but
# the test.

# %%
best = losses.min().idxmin()
epochs = int(losses[best].idxmin())
result = cross_validate(data, lambda data: make_model(data, **tries[best]), epochs)
mean, spread = result.statistics["val_acc"]
print(f"{best}, {epochs} epochs: {mean:.1%} (spread of the folds {spread:.1%})")

# %% [markdown]
# **Step 6: refit, then test once.** The settings are chosen, so the validation part is
# free: the final network learns from it too. Then the test part is opened. Whoever goes
# back to step 4 after that has no test part any more.

# %%
data.resplit(data.split.without_validation())
model, _ = fit(data, epochs, **tries[best])
[test] = Trainer(**quiet).test(model, data, verbose=False)
print(
    f"{len(data.examples('train'))} digits trained on, right on {test['test_acc']:.1%}"
)

# %% tags=["hide"]
assert big["train_acc"][-1] > 0.99
assert test["test_acc"] > linear > guess + 0.5
assert abs(test["test_acc"] - mean) < 0.04

# %% [markdown]
# **On the command line**, for film reviews: `dlp test --config imdb --baselines true`
# (step 2), `dlp fit --config imdb --config bigger` (3),
# `dlp tune --config imdb --space imdb` (4), `dlp crossval --config imdb` (5),
# `dlp fit --config imdb --config retrain --trainer.max_epochs 4` (6).
#
# Next: [convnets](07_convnets.py)
