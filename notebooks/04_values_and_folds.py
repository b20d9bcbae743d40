# %% [markdown]
# # 4. Values and folds
#
# Not every answer is a class. What does a house cost? The target is a **value**, the
# network ends with one plain output without an activation, and the loss is the **mean
# squared error**. People read the **mean absolute error** (MAE): by how much the
# answers are off.
#
# The table of Boston, 1978, comes with mlxtend: 506 districts, prices in $1,000. Its
# column B judges districts by the skin colour of those who live there. We leave it out.

# %%
# %matplotlib inline
import torch
from lightning import Trainer

from dlp import cross_validate
from dlp.datamodules import HousingDataModule
from dlp.modules import DenseModule
from dlp.visualization import draw_folds

torch.manual_seed(0)
torch.set_num_threads(1)
data = HousingDataModule("boston", drop_columns=["B"], split_seed=0)
data.examples("train").inputs.frame.head(4).round(2)

# %% [markdown]
# The columns have very different sizes: shares from 0 to 1 beside taxes of 700. Each
# column is **standardised**: subtract its mean, divide by its standard deviation. Both
# are taken from the training rows alone. Whoever looks at the others there has already
# peeked.

# %%
rows = data.inputs("train")[:]
print("means", rows.mean(0).abs().max().round(decimals=3).item())
print("deviations", rows.std(0).mean().round(decimals=2).item())

# %% [markdown]
# There are only 404 rows to train on. Eighty to validate on would be so few that the
# score depends on which ones they are. **K-fold validation** asks them all: cut the
# rows in K parts, train K networks, each with another part held back, and take the mean
# of the K scores.
#
# ![Four networks; each validates on another quarter of the
# rows](../docs/figures/k_fold.svg)


# %%
def make_model(data):
    """Build the network of a fold."""
    return DenseModule(data.input_shape, 1, head="regression", hidden=[64, 64])


result = cross_validate(data, make_model, max_epochs=60, num_folds=4, monitor="val_mae")
result.scores.filter(like="val_").round(2)

# %% [markdown]
# Look at how far apart the folds are: that is the spread a single validation part would
# have hidden. Now the mean curve. Its first epochs dwarf all others, so the lower row
# leaves ten of them out and smooths the rest.

# %% alt="Mean loss and mean error of the folds per epoch, with their spread"
draw_folds(result.mean_curves, result.std_curves, smoothing=0.9)

# %%
mean, spread = result.statistics["val_mae"]
guess = result.baseline["median"]["mae"]
print(f"off by ${1000 * mean:,.0f} (spread of the folds ${1000 * spread:,.0f})")
print(f"always the median price: off by ${1000 * guess:,.0f}")

# %% [markdown]
# Folds choose, they do not make the final network. For that, train once on all 404
# rows.

# %%
model = make_model(data)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = Trainer(max_epochs=60, **quiet)
trainer.fit(model, data)
[test] = trainer.test(model, data, verbose=False)
print(f"test part: off by ${1000 * test['test_mae']:,.0f}")

# %% tags=["hide"]
assert mean < guess / 2
assert test["test_mae"] < 3.5

# %% [markdown]
# **On the command line**: `dlp crossval --config housing_kfold` for the book's four
# folds and 100 epochs, then `dlp fit --config housing` for the final network.
#
# Next: [overfitting](05_overfitting.py)
