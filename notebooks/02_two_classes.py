# %% [markdown]
# # 3.4 Two classes
#
# Did the writer of a review like the film? This notebook turns texts into numbers,
# trains a network with one output, finds the epoch at which it starts to overfit, and
# trains the final network.
#
# ## Reviews as numbers

# %%
# %matplotlib inline
import re

import pandas as pd
import torch
import torch.nn.functional as F
from lightning import Trainer
from torchmetrics.classification import BinaryF1Score

from dlp.callbacks import History
from dlp.datamodules import IMDBDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.modules import DenseModule, KerasRMSprop
from dlp.visualization import draw_curves

torch.set_num_threads(1)  # the fastest for a small network
# A DataModule finds the reviews or downloads them once (80 MB), and divides them.
data = IMDBDataModule(num_words=10_000, val_size=0.4)
print({part: len(data.examples(part)) for part in ("train", "val", "test")})
print(data.class_names)
num_val = len(data.examples("val"))

# %% [markdown]
# Training, validation and test never overlap: each review is a row of exactly one part.
# But some reviews occur more than once, word for word, and their copies may be in two
# parts. The printed line counts these **duplicates**. Here they are fewer than 100
# between any two parts. Where there are many, a network is judged on rows that it has
# seen, and `drop_duplicates=True` removes them.
#
# Each word of the training reviews gets an id by its rank: 4 for the most frequent one,
# then 5, and so on up to 9,999. Id 1 starts each review, and 2 stands for all rarer
# words. The way back, from ids to words, is a dictionary:

# %%
texts = data.examples("train").inputs[:3]
ids, lengths = data.encoder.ids(texts)
rows = torch.tensor(ids).split(lengths.tolist())
words = dict(enumerate(data.encoder.words, start=4))
print("text ", texts.raw()[0][:60])
print("ids  ", rows[0][:12].tolist())
print("words", " ".join(words.get(id, "?") for id in rows[0][:12].tolist()))

# %% [markdown]
# Reviews differ in length, but a dense layer takes rows of one length. So each review
# becomes a row of 10,000 zeros, with a one at each id that it contains: **multi-hot**.
# The order of the words is lost.


# %%
def vectorize(rows, num_words=10_000):
    """Return a multi-hot row for each list of ids."""
    result = torch.zeros(len(rows), num_words)
    for number, ids in enumerate(rows):
        result[number, ids] = 1
    return result


x = vectorize(rows)
batch = data.inputs("train")[torch.arange(3)]  # it stores only where the ones are
same = torch.equal(x, batch.to_dense(10_000))
print(tuple(x.shape), "ones per row", x.sum(1).int().tolist())
print("the same as the DataModule's rows:", same)

# %% tags=["hide"]
assert same

# %% [markdown]
# ## The network
#
# Two hidden layers of 16 units with ReLU, then **one** output. Why an activation? Two
# layers without one are no more than one layer, because the product of two matrices is
# a matrix. ReLU in between lets a network learn more than a weighted sum of its inputs.
# A stack of dense layers with ReLU is a good first network for many problems.

# %%
A, B = torch.randn(10_000, 16), torch.randn(16, 1)
same = torch.allclose((x @ A) @ B, x @ (A @ B), atol=1e-3)
print("two linear layers are one:", same)
still_one = torch.allclose(torch.relu(x @ A) @ B, x @ (A @ B), atol=1e-3)
print("still one with ReLU between:", still_one)

# %% tags=["hide"]
assert same
assert not still_one

# %% [markdown]
# The **sigmoid** turns the output, the logit, into a probability of class 1, from 0 to
# 1. The loss is **binary cross entropy**: minus the logarithm of the probability of the
# true class. Why not the squared error? Here are both for a review of class 1, with
# their gradients:

# %%
logit = torch.tensor([-5.0, -2.0, 0.0, 2.0, 5.0], requires_grad=True)
p = 1 / (1 + (-logit).exp())
cross_entropy, squared_error = -p.log(), (1 - p) ** 2
[slope] = torch.autograd.grad(cross_entropy.sum(), logit, retain_graph=True)
[other_slope] = torch.autograd.grad(squared_error.sum(), logit)
table = {
    "logit": logit,
    "probability": p,
    "cross entropy": cross_entropy,
    "gradient": slope,
    "squared error": squared_error,
    "its gradient": other_slope,
}
pd.DataFrame({name: column.tolist() for name, column in table.items()}).round(3)

# %% tags=["hide"]
assert torch.allclose(cross_entropy, F.softplus(-logit), atol=1e-6)
assert slope[0] < -0.99
assert round(other_slope[0].item(), 3) == -0.013

# %% [markdown]
# The first row is a confident wrong answer. Cross entropy corrects it with a gradient
# near -1. The squared error hardly does: its gradient is -0.013.
#
# ## Optimizer, loss and metrics
#
# Three choices complete a network: optimizer, loss and metrics. Keras makes them in
# `compile`, here they are arguments of `DenseModule`. It knows the usual ones by name
# and takes your own as well.

# %%
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def fit(data, epochs, **settings):
    """Train a new network; return it with its metrics per epoch."""
    torch.manual_seed(0)
    model = DenseModule(
        data.input_shape, data.num_outputs, "sigmoid", hidden=[16, 16], **settings
    )
    history = History()
    Trainer(max_epochs=epochs, callbacks=[history], **quiet).fit(model, data)
    return model, history.metrics


def own_loss(logits, targets):
    """Return the mean binary cross entropy; F.logsigmoid is the log of the sigmoid."""
    losses = -targets * F.logsigmoid(logits) - (1 - targets) * F.logsigmoid(-logits)
    return losses.mean()


def is_sure(probabilities, targets):
    """Return for each row whether its probability is below 0.1 or above 0.9."""
    return (probabilities - 0.5).abs() > 0.4


_, own = fit(
    data,
    epochs=2,
    optimizer=lambda parameters: KerasRMSprop(parameters, lr=0.001),
    loss=own_loss,
    metrics=["acc", is_sure, BinaryF1Score()],  # a name, a function, an object
)
print({name: round(values[-1], 3) for name, values in own.items() if "val" in name})

# %% [markdown]
# ## Overfitting
#
# RMSprop, binary cross entropy and accuracy are the defaults, so the next training
# begins like the last one. It goes on for 12 epochs.

# %% alt="Training loss falls to the end; validation loss rises after epoch 4"
_, metrics = fit(data, epochs=12)
val_losses = metrics["val_loss"]
best = 1 + val_losses.index(min(val_losses))
draw_curves(metrics, best_epoch=best)

# %% tags=["hide"]
for name in ("train_loss", "val_loss", "val_acc"):
    both = torch.tensor([own[name], metrics[name][:2]])
    assert torch.allclose(*both, atol=1e-3), name
assert metrics["train_loss"][-1] < min(val_losses) - 0.05

# %% tags=["hide", "real"]
assert best == 4
assert val_losses[-1] > min(val_losses) + 0.1
assert 0 < max(metrics["val_acc"]) - metrics["val_acc"][-1] < 0.03

# %% [markdown]
# The two losses diverge. On the training reviews the loss falls to the end. On the
# validation reviews it falls, turns, and rises: from the turn on, the network learns
# what is special to its training reviews. It **overfits**. Accuracy shows this less
# clearly: a wrong answer that becomes more confident is still one wrong answer.
#
# ## The final network
#
# The turn is where to stop. With the number of epochs chosen, the validation reviews
# have done their work. So a new network trains on all 25,000 reviews, because more rows
# usually help. `resplit` joins the two parts and ranks the words anew. There is no
# validation loss any more, so nothing is chosen from here on. Last, the test set is
# used once, beside what a guess would score.

# %%
data.resplit(data.split.without_validation())
model, _ = fit(data, epochs=best)
[result] = Trainer(**quiet).test(model, data, verbose=False)
guess = guess_scores(model, data, "test")["majority_class"]
print(f"trained on {len(data.examples('train')):,} reviews for {best} epochs")
print(f"right on {result['test_acc']:.1%} of the test, a guess on {guess['acc']:.1%}")

# %% tags=["hide"]
assert result["test_acc"] > guess["acc"] + 0.2

# %% tags=["hide", "real"]
assert 0.86 < result["test_acc"] < 0.9

# %% [markdown]
# ## A review of your own
#
# A new text goes the same way: words, ids, a multi-hot row, a logit, a probability.

# %%
numbers = {word: id for id, word in enumerate(data.encoder.words, start=4)}


def predict(text):
    """Return the probability that a review is positive."""
    tokens = re.findall(r"[\w']+", text.lower())
    ids = [1] + [numbers.get(word, 2) for word in tokens]
    with torch.no_grad():
        return model(vectorize([ids])).sigmoid().item()


liked = "A wonderful film. The story is moving and the actors are great."
disliked = "A boring film. The story is a mess and the actors are terrible."
for text in (liked, disliked):
    print(f"{predict(text):.2f}", text)

# %% tags=["hide", "real"]
assert predict(liked) > 0.7 > 0.3 > predict(disliked)

# %% [markdown]
# ## Exercises
#
# **1. Predict, then run.** Which review gets the higher probability: "This is not a bad
# film, it is good" or "This is not a good film, it is bad"?

# %% [markdown] tags=["answer"]
# Both get the same probability. They have the same words, and a multi-hot row does not
# keep their order.

# %% tags=["answer"]
first = "This is not a bad film, it is good"
second = "This is not a good film, it is bad"
print(predict(first), predict(second))

# %% tags=["hide"]
assert predict(first) == predict(second)

# %% tags=["hide", "real"]
assert predict(first) != predict("This is a good film")

# %% [markdown]
# **2. Change one thing.** Divide the reviews as at first and train with
# `activation="linear"` instead of ReLU. What changes?

# %% tags=["answer"]
divided = IMDBDataModule(num_words=10_000, val_size=0.4)
_, linear = fit(divided, epochs=6, activation="linear")
print(f"ReLU   {max(metrics['val_acc']):.1%}, lowest loss {min(val_losses):.3f}")
print(f"linear {max(linear['val_acc']):.1%}, lowest loss {min(linear['val_loss']):.3f}")

# %% [markdown] tags=["answer"]
# Hardly anything: the accuracies differ by less than a point. Without an activation the
# network is a weighted sum, in which each word votes for or against the film. For
# reviews this is about as good as the hidden layers. So try a linear model first: it
# shows what a larger one has to add.

# %% tags=["hide", "real"]
assert abs(max(metrics["val_acc"]) - max(linear["val_acc"])) < 0.01

# %% [markdown]
# **3. Find the mistake.** Somebody runs the cell below after the last training and
# writes: "The final network is much better than the first one on the same 10,000
# validation reviews. So the additional reviews were worth a lot."

# %%
batch = data.inputs("train")[torch.arange(num_val)]  # these were the validation part
truth = data.targets.encode(data.examples("train").targets[:num_val])
with torch.no_grad():
    is_right = (model(batch).flatten() > 0) == (torch.from_numpy(truth) == 1)
share = is_right.float().mean().item()
print(f"before {metrics['val_acc'][best - 1]:.1%}, now {share:.1%}")

# %% [markdown] tags=["answer"]
# The final network has trained on these reviews, so its score on them says nothing
# about new ones: a **leak**. The fair score is that on the test set. It is about the
# same as that of the first network on reviews that were new to it.

# %% tags=["answer"]
print(f"on the test {result['test_acc']:.1%}")

# %% tags=["hide"]
assert share > result["test_acc"]

# %% tags=["hide", "real"]
assert share > result["test_acc"] + 0.05
assert abs(result["test_acc"] - metrics["val_acc"][best - 1]) < 0.02

# %% [markdown]
# ## Summary
#
# - A multi-hot row has a one at each word of a text and forgets their order.
# - Two classes need one output, sigmoid and binary cross entropy.
# - Without an activation between them, two layers are no more than one.
# - Where the validation loss turns, overfitting begins; there training should stop.
# - With all choices made, train a new network on all rows but the test set, and test it
#   once.
#
# **On the command line**: `dlp fit --config imdb` trains and draws the curves,
# `dlp fit --config imdb --config retrain --trainer.max_epochs 4` trains the final
# network, and `dlp predict --config imdb --text "A film to remember"` answers for your
# own text.
#
# Next: [many classes](03_many_classes.py)
