# %% [markdown]
# # 3.4 Two classes
#
# Did the writer of a review like the film? This notebook turns texts into numbers,
# trains a network with one output, and finds the epoch at which the network starts to
# overfit.
#
# ## Reviews as numbers
#
# A network computes with tensors of floats. A picture becomes the brightness of its
# pixels; a sound becomes the air pressure, measured thousands of times a second; a text
# becomes the ids of its words. This first step is called **vectorisation**.

# %%
# %matplotlib inline
import re
from contextlib import redirect_stdout

import torch
import torch.nn.functional as F
from lightning import Trainer
from matplotlib.figure import Figure
from torch import nn
from torchmetrics.classification import BinaryF1Score

from dlp.callbacks import History
from dlp.datamodules import IMDBDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.modules import DenseModule, KerasRMSprop

torch.set_num_threads(1)  # fastest for a small network
# A DataModule finds the reviews or downloads them once (80 MB), and divides them.
data = IMDBDataModule(num_words=10_000, val_size=0.4)
data.setup("fit")  # it learns the vocabulary from the training reviews
print({part: len(data.examples(part)) for part in ("train", "val", "test")})
num_val = len(data.examples("val"))

# %% [markdown]
# Some reviews occur in two of the parts, word for word. The first line of the output
# counts such **duplicates**. To remove them, set `drop_duplicates=True`.
#
# Each word in the training reviews gets an id according to its rank: 4 for the most
# frequent word, 5 for the next one, and so on up to 9,999. Four ids do not belong to
# any word: 0 fills up short texts, 1 marks the start, 2 is used for all rarer words,
# and 3 is unused. A dictionary leads back from the ids to the words:

# %%
texts = data.examples("train").inputs[:3]
ids, lengths = data.encoder.ids(texts.raw())
rows = torch.tensor(ids).split(lengths.tolist())
words = {0: "<fill>", 1: "<start>", 2: "<rare>", 3: "<unused>"}
words |= dict(enumerate(data.encoder.words_, start=4))
print("ids  ", rows[0][:12].tolist(), "...")
print("words", " ".join(words[id] for id in rows[0][:41].tolist()), "...")
print("text ", " ".join(texts.raw()[0].split()[:40]), "...")

# %% tags=["hide"]
assert rows[0][0] == 1
assert not torch.cat(rows).eq(0).any()
assert not torch.cat(rows).eq(3).any()
assert data.encoder.decode(rows[0][1:9].tolist()).split() == [
    words[id].replace("<rare>", "?") for id in rows[0][1:9].tolist()
]

# %% [markdown]
# Reviews differ in length, but a dense layer takes rows of one length. So each review
# becomes a row of 10,000 numbers, with 1 at each id that the review contains and 0
# everywhere else. This is called **multi-hot**. The order of the words is lost.


# %%
def vectorize(rows, num_words=10_000):
    """Return a multi-hot row for each list of ids."""
    result = torch.zeros(len(rows), num_words)
    for number, ids in enumerate(rows):
        result[number, ids] = 1
    return result


x = vectorize(rows)
first_three = data.inputs("train")[torch.tensor([0, 1, 2])]
same = torch.equal(x, first_three.to_dense(10_000))
print(tuple(x.shape), "ones per row", x.sum(1).int().tolist())
print("the same as the DataModule's rows:", same)

# %% tags=["hide"]
assert same

# %% [markdown]
# The DataModule stores only the positions of the ones. `to_dense` writes the zeros too.
#
# ## The network
#
# The network has two hidden layers of 16 units with ReLU, and then **one** output. Such
# a stack is a good first network for many problems. Why ReLU? Without an activation,
# two layers can do no more than one layer, because the product of two matrices is a
# matrix. They would be a **linear model**: its output is a weighted sum of the inputs.

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
# The **sigmoid** turns the output, the logit, into the probability of class 1. A loss
# measures the **prediction error**, the distance between the prediction and the target.
# Here the loss is **binary cross entropy**: minus the logarithm of the probability that
# the true class gets. The squared error would hardly correct a confident wrong answer
# ([section 2.4](01a_gradient_descent.py)).
#
# We compute this loss for four **targets**, with made-up logits:

# %%
_, targets = next(iter(data.val_dataloader()))
print(data.class_names, targets[:4].tolist(), targets.dtype)
logits, y = torch.tensor([1.0, -1.0, 0.5, 2.0]), targets[:4].float()
p = logits.sigmoid()
print(f"by hand  {(-y * p.log() - (1 - y) * (1 - p).log()).mean():.4f}")
print(f"by torch {F.binary_cross_entropy_with_logits(logits, y):.4f}")

# %% tags=["hide"]
assert targets.dtype == torch.int64
by_hand = (-y * p.log() - (1 - y) * (1 - p).log()).mean()
assert torch.allclose(by_hand, F.binary_cross_entropy_with_logits(logits, y))
try:
    refused = False
    F.binary_cross_entropy_with_logits(logits, targets[:4])
except RuntimeError:
    refused = True
assert refused

# %% [markdown]
# The targets are class numbers, **int64**. But this loss multiplies by its targets, so
# it takes **floats**: torch refuses integers, and `DenseModule` converts them. A target
# could even be 0.7, if seven of ten readers call a review positive. In the next
# notebook, with 46 classes, the targets stay int64. There a target is an index that
# picks one of the probabilities.
#
# ## Optimizer, loss and metrics
#
# In Keras, you pass these three choices to `compile`. Here they are arguments of
# `DenseModule`, which knows the usual ones by name and also takes your own.

# %%
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def fit(data, epochs, seed=0, **settings):
    """Train a new network; return it and its metrics for each epoch."""
    torch.manual_seed(seed)
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


model, own = fit(
    data,
    epochs=1,
    optimizer=lambda parameters: KerasRMSprop(parameters, lr=0.001),
    loss=own_loss,
    metrics=["acc", is_sure, BinaryF1Score()],  # a name, a function, an object
)
print({name: round(values[-1], 3) for name, values in own.items()})

# %% [markdown]
# (The next notebook explains F1.) The validation reviews are new to the network. Why is
# the validation loss still lower than the training loss?

# %%
[after] = Trainer(**quiet).validate(model, data.train_dataloader(), verbose=False)
print(f"training rows   during epoch 1 {own['train_loss'][0]:.3f}", end=", ")
print(f"after it {after['val_loss']:.3f}")
print(f"validation rows                      after it {own['val_loss'][0]:.3f}")

# %% tags=["hide"]
assert own["train_loss"][0] > own["val_loss"][0] > after["val_loss"]

# %% [markdown]
# The training loss is the mean **during** the epoch, and the network was almost
# untrained when it met the first batches. The validation loss is computed **after** the
# epoch. If we compute both losses at the same moment, the loss is lower on the training
# reviews.
#
# ## Overfitting
#
# Now we train for 12 epochs. The optimizer and the loss are the same as before, but we
# get them as defaults:

# %% alt="Training loss falls to the end; validation loss rises after epoch 4"
_, metrics = fit(data, epochs=12, metrics=["acc", is_sure])
val_losses = metrics["val_loss"]
best = 1 + val_losses.index(min(val_losses))
epochs = range(1, 13)

figure = Figure(figsize=(10, 3.8), layout="constrained")
names = {"loss": "loss", "acc": "accuracy"}
for axes, name in zip(figure.subplots(1, 2), names, strict=True):
    axes.plot(epochs, metrics[f"train_{name}"], "o-", label="training")
    axes.plot(epochs, metrics[f"val_{name}"], "o--", label="validation")
    axes.axvline(best, color="grey", linestyle=":", label=f"best: epoch {best}")
    axes.set(xlabel="epoch", ylabel=names[name])
    axes.legend()
figure

# %% tags=["hide"]
for name in ("train_loss", "val_loss", "val_acc"):
    both = torch.tensor([own[name], metrics[name][:1]])
    assert torch.allclose(*both, atol=1e-3), name
assert metrics["train_loss"][-1] < min(val_losses) - 0.05

# %% tags=["hide", "real"]
assert best == 4
assert val_losses[-1] > min(val_losses) + 0.1
assert 0 < max(metrics["val_acc"]) - metrics["val_acc"][-1] < 0.04

# %% [markdown]
# On the training reviews, the loss falls until the end. On the validation reviews it
# falls, turns, and rises. From the turn on, the network learns what is special to its
# training reviews: it **overfits**. The accuracy shows this less clearly. Why?
#
# We call the network sure of an answer if the probability is below 0.1 or above 0.9.

# %%
for epoch in (2, 12):
    sure, right = metrics["val_is_sure"][epoch - 1], metrics["val_acc"][epoch - 1]
    print(f"epoch {epoch:2}: sure of {sure:.0%} of the reviews, right on {right:.1%}")

# %% tags=["hide", "real"]
assert metrics["val_is_sure"][11] > metrics["val_is_sure"][1] + 0.2
assert metrics["val_acc"][11] < metrics["val_acc"][1] + 0.01

# %% [markdown]
# The network becomes surer, but not better. If it becomes surer of a wrong answer, the
# loss rises. But the accuracy stays the same, because it is still one wrong answer.
#
# ## Other encodings
#
# A row can contain more information than which words occur. With `count`, it contains
# how often each word occurs. **tf-idf** reduces the count of a word that occurs in many
# reviews, and scales each row to length 1. Is that better? One run cannot answer this,
# so here are three runs with each encoding:

# %%
for encoding in ("multi_hot", "count", "tfidf"):
    encoded = IMDBDataModule(num_words=10_000, val_size=0.4, encoding=encoding)
    with redirect_stdout(None):  # the duplicates were counted above
        runs = [fit(encoded, epochs=8, seed=seed)[1] for seed in range(3)]
    losses = [round(min(run["val_loss"]), 3) for run in runs]
    print(f"{encoding:9} loss {losses}", end=" accuracy ")
    print([round(max(run["val_acc"]), 3) for run in runs])
    if encoding == "multi_hot":
        of_multi_hot = losses

# %% tags=["hide", "real"]
assert max(losses) < min(of_multi_hot) - 0.01

# %% [markdown]
# With every seed, tf-idf has the lowest loss, but it gains at most one point of
# accuracy.
#
# ## The final network
#
# The turn shows where to stop. Now that the number of epochs is chosen, the validation
# reviews have done their work. So `with_split` joins them with the training reviews,
# and a new network is trained on all 25,000 reviews. At the very end, the test part is
# used once.

# %%
data = data.with_split(data.split.without_validation())
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
# A new text goes through the same steps as the reviews: its words become ids, the ids
# become a multi-hot row, and the network turns this row into a logit and then a
# probability.

# %%
numbers = {word: id for id, word in enumerate(data.encoder.words_, start=4)}


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
# Both get the same probability. They consist of the same words, and a multi-hot row
# does not keep their order.

# %% tags=["answer"]
first = "This is not a bad film, it is good"
second = "This is not a good film, it is bad"
print(predict(first), predict(second))

# %% tags=["hide"]
assert predict(first) == predict(second)

# %% tags=["hide", "real"]
assert predict(first) != predict("This is a good film")

# %% [markdown]
# **2. Change one thing.** Divide the reviews as at the start of this notebook, and
# train with `activation="linear"` instead of ReLU. What changes?

# %% tags=["answer"]
divided = IMDBDataModule(num_words=10_000, val_size=0.4)
_, linear = fit(divided, epochs=6, activation="linear")
print(f"ReLU   {max(metrics['val_acc']):.1%}, lowest loss {min(val_losses):.3f}")
print(f"linear {max(linear['val_acc']):.1%}, lowest loss {min(linear['val_loss']):.3f}")

# %% [markdown] tags=["answer"]
# Hardly anything: the accuracies differ by less than a point. In the linear model, each
# word votes for or against the film, and this works about as well. So try a linear
# model first.

# %% tags=["hide", "real"]
assert abs(max(metrics["val_acc"]) - max(linear["val_acc"])) < 0.01

# %% [markdown]
# **3. Find the mistake.** Somebody runs this cell and writes: "On the same 10,000
# validation reviews, the final network is much better. So the additional reviews were
# worth a lot."

# %%
batch = data.inputs("train")[torch.arange(num_val)]  # these were the validation part
truth = data.targets.encode(data.examples("train").targets[:num_val])
with torch.no_grad():
    is_right = (model(batch).flatten() > 0) == (torch.from_numpy(truth) == 1)
share = is_right.float().mean().item()
print(f"before {metrics['val_acc'][best - 1]:.1%}, now {share:.1%}")

# %% [markdown] tags=["answer"]
# The final network was trained on these reviews, so its score on them says nothing
# about new reviews. This is a **leak**. The fair score is the score on the test part,
# which is about the same as the first network's score on the validation part.

# %% tags=["answer"]
print(f"on the test {result['test_acc']:.1%}")

# %% tags=["hide"]
assert share > result["test_acc"]

# %% tags=["hide", "real"]
assert share > result["test_acc"] + 0.05
assert abs(result["test_acc"] - metrics["val_acc"][best - 1]) < 0.02

# %% [markdown]
# **4. Write it.** Train in plain torch: write the body of `train_epoch`, in about ten
# lines. `torch.randperm(len(x)).split(512)` gives the row numbers of shuffled batches.
# For each batch, run the five lines from section 2.1, from `zero_grad` to `step`. The
# loss is `F.binary_cross_entropy_with_logits`.


# %%
def train_epoch(network, x, y, optimizer):
    """Train for one epoch; return the mean loss of the batches.

    The network returns one logit per row; y contains floats, 0 or 1.
    """
    ...


# %% [markdown]
# The check compares two steps with a formula: with N rows and the probability p, the
# gradient of the loss with respect to a logit is `(p - y) / N`.


# %%
def check(train_epoch):
    """Compare two epochs, each a step of gradient descent at rate 1, with formulas."""
    x, y = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), torch.tensor([1.0, 1, 0])
    network = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Flatten(0))
    weights = network[0].weight.detach().flatten().clone()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    losses = [train_epoch(network, x, y, optimizer) for _ in range(2)]
    for _ in range(2):
        weights -= ((x @ weights).sigmoid() - y) @ x / 3
    if losses[1] is None:
        return "not yet: it returns nothing"
    if not torch.allclose(network[0].weight.flatten(), weights, atol=1e-5):
        return "not yet: two steps lead to other weights; are old gradients cleared?"
    return "right" if losses[1] < losses[0] else "not yet: this is not the loss"


print(check(train_epoch))


# %% tags=["answer"]
def train_epoch(network, x, y, optimizer):
    """Train for one epoch; return the mean loss of the batches."""
    losses = []
    for batch in torch.randperm(len(x)).split(512):
        logits = network(x[batch])
        loss = F.binary_cross_entropy_with_logits(logits, y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


print(check(train_epoch))
x = data.inputs("train")[torch.arange(2000)].to_dense(10_000)
y = torch.from_numpy(data.targets.encode(data.examples("train").targets[:2000]))
y = y.float()
layers = [nn.Linear(10_000, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0)]
network = nn.Sequential(*layers)
optimizer = KerasRMSprop(network.parameters(), lr=0.001)
print([round(train_epoch(network, x, y, optimizer), 3) for _ in range(5)])

# %% tags=["hide"]
assert check(train_epoch) == "right"
assert "nothing" in check(lambda *_: None)
assert "gradients" in check(lambda *_: 1.0)

# %% [markdown]
# ## Summary
#
# - Data become tensors of floats. A multi-hot row has a 1 for each word in the text.
# - Two classes need one output, the sigmoid, binary cross entropy and float targets.
# - Overfitting begins where the validation loss turns from falling to rising. This is
#   where training should stop.
# - Then train a new network on all rows except the test part, and test it once.
#
# **On the command line**: `dlp fit --config imdb` draws the curves,
# `dlp fit --config imdb --config retrain --trainer.max_epochs 4` trains the final
# network, and `dlp predict --config imdb --text "A film to remember"` predicts the
# class of a text.
#
# Next: [3.5 Many classes](03_many_classes.py)
