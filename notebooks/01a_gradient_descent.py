# %% [markdown]
# # 2.4 Gradient descent in pictures
#
# What does a step of training do? What do better optimizers add, and which of them is
# best?
#
# ## One weight
#
# Here is a loss that depends on a single weight. **Gradient descent** does not know the
# whole curve, only its slope at the current point. It takes a step downhill:
# `w -= rate * slope`. With **momentum**, each step also keeps a part of the previous
# step, like a ball that rolls on.

# %%
# %matplotlib inline
from functools import cache

import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from torch import nn

from dlp.datamodules import IMDBDataModule
from dlp.modules import KerasRMSprop

torch.set_num_threads(1)


def curve(w):
    """Return a loss with two valleys; the left one is deeper."""
    return w**4 / 4 - w**2 + 0.3 * w


def descend(rate, momentum=0.0, w=2.2, steps=40):
    """Return the weight at the start and after each step."""
    path, step = [w], 0.0
    for _ in range(steps):
        slope = w**3 - 2 * w + 0.3
        step = momentum * step - rate * slope
        w += step
        path.append(w)
    return torch.tensor(path)


# %% alt="0.005 is still on its way, 0.05 ends nearby, 0.45 swings; momentum crosses"
tries = {
    "rate 0.005": descend(0.005),
    "rate 0.05": descend(0.05),
    "rate 0.45": descend(0.45),
    "rate 0.05, momentum 0.9": descend(0.05, momentum=0.9),
}
figure, panels = plt.subplots(1, 4, figsize=(11, 2.8), sharey=True)
w = torch.linspace(-2.3, 2.3, 200)
for panel, (name, path) in zip(panels, tries.items(), strict=True):
    panel.plot(w, curve(w), color="0.7")
    panel.plot(path, curve(path), "o-", markersize=3, linewidth=0.5)
    panel.plot(path[-1], curve(path[-1]), "s", color="C3", label="after 40 steps")
    panel.set(title=name, xlabel="weight")
panels[0].set_ylabel("loss")
panels[0].legend()
figure.tight_layout()

# %% tags=["hide"]
ends = {name: path[-1].item() for name, path in tries.items()}
assert 1.5 < ends["rate 0.005"] < 1.7
assert abs(ends["rate 0.05"] - 1.33) < 0.01
swings = tries["rate 0.45"][-10:]
assert all((swings[1:] - swings[:-1]).abs() > 0.2)
assert swings.max() < 0  # in the deeper valley
assert descend(0.05, 0.9, steps=1000)[-1] < -1.48

# %% [markdown]
# A small rate needs many steps to get anywhere. With a large rate, the weight jumps
# over the hill, and then from one side of the valley to the other. Here it is only by
# luck that this is the deeper valley. At a rate in between, the weight settles in the
# nearest valley, a **local minimum**. In this example, momentum carries the weight into
# the deeper valley.
#
# ## Four optimizers
#
# | optimizer | a step |
# | --- | --- |
# | SGD | `rate * g`, where `g` is the gradient of a mini-batch |
# | SGD with momentum | `rate * m`, where `m = 0.9 * m + g` |
# | RMSprop | `rate * g / sqrt(v)`, where `v` is a running mean of `g**2` |
# | Adam | `rate * m / sqrt(v)`, where `m`, `v` are running means of `g`, `g**2` |
#
# Each optimizer trains the same small network on 2,000 film reviews. A review is a row
# of 1,000 numbers, with 1 for each word that the review contains and 0 for all others
# (section 3.4). Optimizers need different learning rates, so we try each optimizer with
# three.


# %%
data = IMDBDataModule(num_words=1000, train_size=2000, val_size=2000)


def rows(part):
    """Return 2,000 reviews and their targets: 1 is positive."""
    x = data.inputs(part)[torch.arange(2000)].to_dense(1000)
    targets = data.targets.encode(data.examples(part).targets[:2000])
    return x, torch.from_numpy(targets).float()


(x, y), (val_x, val_y) = rows("train"), rows("val")

# %%
OPTIMIZERS = {
    "SGD": (torch.optim.SGD, [0.1, 0.3, 1.0]),
    "momentum": (
        lambda w, lr: torch.optim.SGD(w, lr, momentum=0.9),
        [0.01, 0.03, 0.1],
    ),
    "RMSprop": (KerasRMSprop, [0.0003, 0.001, 0.003]),
    "Adam": (torch.optim.Adam, [0.0003, 0.001, 0.003]),
}


@cache  # does not run the same training twice
def lowest_loss(name, rate, seed):
    """Train a network; return its lowest validation loss."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(1000, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)
    )
    new_optimizer, _ = OPTIMIZERS[name]
    optimizer = new_optimizer(network.parameters(), lr=rate)
    losses = []
    for _ in range(12):
        for batch in torch.randperm(2000).split(100):
            optimizer.zero_grad()
            logits = network(x[batch]).flatten()
            F.binary_cross_entropy_with_logits(logits, y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            logits = network(val_x).flatten()
            losses.append(F.binary_cross_entropy_with_logits(logits, val_y).item())
    return min(losses)


table = {
    name: [lowest_loss(name, rate, seed=0) for rate in rates]
    for name, (_, rates) in OPTIMIZERS.items()
}
pd.DataFrame(table, ["low rate", "middle rate", "high rate"]).round(3)

# %% [markdown]
# Is the difference just luck? We run each optimizer at its best rate with five
# **seeds**. Another seed means other initial weights and another order of the rows.

# %% alt="RMSprop and Adam are level; both kinds of SGD end a little higher"
best = {
    name: rates[table[name].index(min(table[name]))]
    for name, (_, rates) in OPTIMIZERS.items()
}
seeds = {
    f"{name}, {rate}": [lowest_loss(name, rate, seed=seed) for seed in range(5)]
    for name, rate in best.items()
}
figure, panel = plt.subplots(figsize=(6, 2.5))
for name, losses in seeds.items():
    panel.plot(losses, [name] * 5, "o", alpha=0.6)
panel.set(xlabel="lowest validation loss", title="Each at its best rate, five seeds")
panel.invert_yaxis()

# %% [markdown]
# RMSprop and Adam are level and SGD is a little behind, so RMSprop is good enough.
# Momentum does not improve SGD here, but the best rate with momentum is the lowest one
# that we tried, so an even lower one might be better. In these twelve epochs, the rate
# of RMSprop matters more than the choice between RMSprop and Adam. A low rate mostly
# needs more epochs.
#
# ## Sigmoid and ReLU
#
# Backpropagation carries the slope of the loss back to a weight through all later
# layers. On the way, each activation function multiplies this slope by its own slope.

# %% alt="Sigmoid: a slope of at most 0.25, near 0 at both ends. ReLU: slope 0, then 1"
z = torch.linspace(-6, 6, 201, requires_grad=True)
figure, panels = plt.subplots(1, 2, figsize=(8, 2.6))
for panel, function in zip(panels, (torch.sigmoid, torch.relu), strict=True):
    values = function(z)
    [slopes] = torch.autograd.grad(values.sum(), z)
    panel.plot(z.detach(), values.detach(), label="value")
    panel.plot(z.detach(), slopes, "--", label="slope")
    panel.set(title=function.__name__, xlabel="input", ylabel="output")
    panel.legend()
figure.tight_layout()

# %% [markdown]
# The sigmoid returns a probability, so it is good for the last layer. Inside a network,
# it reduces each gradient to a quarter or less. ReLU passes a gradient on unchanged, or
# not at all.
#
# ## Cross entropy and squared error
#
# The last output of a network, the **logit** `z`, becomes the probability
# `p = sigmoid(z)`. Suppose the target is 1. A logit of -6 is then a mistake that the
# network is very sure of. Which loss corrects it?

# %% alt="At logit -6 cross entropy has the slope -1, squared error almost none"
p = torch.sigmoid(z)
losses = {"cross entropy": -torch.log(p), "squared error": (1 - p) ** 2}
figure, panels = plt.subplots(1, 2, figsize=(8, 2.6))
gradients = {}
for name, values in losses.items():
    [gradients[name]] = torch.autograd.grad(values.sum(), z, retain_graph=True)
    panels[0].plot(z.detach(), values.detach(), label=name)
    panels[1].plot(z.detach(), gradients[name], label=name)
panels[0].set(title="loss for target 1", xlabel="logit", ylabel="loss")
panels[1].set(title="its gradient", xlabel="logit", ylabel="gradient")
panels[0].legend()
figure.tight_layout()

# %% tags=["hide"]
sure = p.detach()
slope_of_sigmoid = sure * (1 - sure)
by_hand = -2 * (1 - sure) * slope_of_sigmoid
assert torch.allclose(gradients["squared error"], by_hand, atol=1e-5)
assert torch.allclose(gradients["cross entropy"], sure - 1, atol=1e-5)
assert gradients["cross entropy"][0] < -0.99
assert abs(gradients["squared error"][0]) < 0.005
assert slope_of_sigmoid.max() <= 0.25

# %% [markdown]
# The gradient of the squared error is `-2 * (1 - p) * p * (1 - p)`. Its factor
# `p * (1 - p)` is the slope of the sigmoid, which **vanishes** where `p` is near 0. In
# cross entropy, the logarithm cancels this factor, and `p - 1` is left. So the more
# confident a mistake is, the more strongly it is corrected.
#
# ## The distance between two distributions
#
# Suppose 70 % of all people call a review positive, and a network predicts `q`. Then
# the cross entropy is a weighted mean: `-0.7 * log(q) - 0.3 * log(1 - q)`. It is lowest
# at `q = 0.7`. The part above this lowest value is the **Kullback-Leibler divergence**,
# a distance between two distributions: it is zero if they are equal, and positive
# otherwise.

# %% alt="Cross entropy is lowest where the prediction is 0.7; the divergence is 0"
truth, q = 0.7, torch.linspace(0.02, 0.98, 97)
cross_entropy = -truth * torch.log(q) - (1 - truth) * torch.log(1 - q)
divergence = truth * torch.log(truth / q)
divergence += (1 - truth) * torch.log((1 - truth) / (1 - q))
figure, panel = plt.subplots(figsize=(5, 2.8))
panel.plot(q, cross_entropy, label="cross entropy")
panel.plot(q, divergence, label="divergence")
panel.axvline(truth, color="0.7", label="truth")
panel.set(xlabel="predicted probability", ylabel="loss", title="Truth: 70 % positive")
_ = panel.legend()

# %% tags=["hide"]
gap = cross_entropy - divergence
assert torch.allclose(gap, cross_entropy.min().expand(97), atol=1e-4)
assert abs(q[cross_entropy.argmin()] - truth) < 0.006
assert divergence.min() > -1e-6

# %% [markdown]
# With a target of 1, the lowest value of the cross entropy is 0, so the cross entropy
# and the divergence are both `-log(p)`.
#
# ## Exercises
#
# **1. Predict, then run.** From which starting points does a rate of 0.05 lead into the
# deeper valley?

# %% tags=["answer"]
starts = torch.linspace(-2, 2, 9).tolist()
ends = [descend(0.05, w=start, steps=300)[-1].item() for start in starts]
print([(start, round(end, 2)) for start, end in zip(starts, ends, strict=True)])

# %% [markdown] tags=["answer"]
# From all points to the left of the hilltop, which is near 0.15. So the starting point
# decides in which valley the weight ends.

# %% tags=["hide"]
assert all((end < 0) == (start < 0.15) for start, end in zip(starts, ends, strict=True))
assert abs(0.15**3 - 2 * 0.15 + 0.3) < 0.01

# %% [markdown]
# **2. Change one thing.** A network has six hidden layers. How large is the gradient
# that reaches its first layer with ReLU, and how large is it with sigmoid?


# %% tags=["answer"]
def first_gradient(activation, seed=0):
    """Return the mean size of the first layer's gradient before training."""
    torch.manual_seed(seed)
    layers = [nn.Linear(1000, 16), activation]
    for _ in range(5):
        layers += [nn.Linear(16, 16), activation]
    network = nn.Sequential(*layers, nn.Linear(16, 1))
    F.binary_cross_entropy_with_logits(network(x).flatten(), y).backward()
    return network[0].weight.grad.abs().mean().item()


for activation in (nn.ReLU(), nn.Sigmoid()):
    print(activation, first_gradient(activation))

# %% [markdown] tags=["answer"]
# With sigmoid it is far smaller, because it was multiplied six times by a quarter or
# less. This is called the **vanishing gradient**.

# %% tags=["hide"]
assert first_gradient(nn.ReLU()) > 10 * first_gradient(nn.Sigmoid())

# %% [markdown]
# **3. Find the mistake.** "To be fair, I trained with both optimizers at the same rate.
# Adam is far better than SGD."

# %%
for name in ("SGD", "Adam"):
    print(name, round(lowest_loss(name, 0.001, seed=0), 3))

# %% [markdown] tags=["answer"]
# The same rate is not fair. A step of SGD is the gradient times the rate, whereas a
# step of Adam is about as large as the rate itself. SGD's best rate is 300 times
# larger:

# %% tags=["answer"]
print({name: round(min(losses), 3) for name, losses in table.items()})

# %% tags=["hide"]
assert lowest_loss("SGD", 0.001, seed=0) > min(table["SGD"]) + 0.1

# %% tags=["hide", "real"]
assert best["momentum"] == 0.01

# %% [markdown]
# **4. Write it.** Write Adam in about five lines. `m` and `v` are running means of the
# gradient and of its square, with the factors 0.9 and 0.999. They start at 0, so divide
# them by `1 - 0.9**step` and `1 - 0.999**step` before you use them.


# %%
def adam(w, gradient, m, v, step, rate=0.001):
    """Return the new w, m and v."""
    ...


# %%
def check(function):
    """Compare five steps with torch's Adam."""
    w, m, v = torch.ones(3), torch.zeros(3), torch.zeros(3)
    theirs = nn.Parameter(w.clone())
    optimizer = torch.optim.Adam([theirs], lr=0.001)
    for step in range(1, 6):
        theirs.grad = torch.randn(3)
        optimizer.step()
        result = function(w, theirs.grad, m, v, step)
        if result is None:
            return "not yet"
        w, m, v = result
    return "you have it" if torch.allclose(w, theirs) else "not yet: torch's w differs"


print(check(adam))


# %% tags=["answer"]
def my_adam(w, gradient, m, v, step, rate=0.001):
    """Return the new w, m and v."""
    m = 0.9 * m + 0.1 * gradient
    v = 0.999 * v + 0.001 * gradient**2
    mean = m / (1 - 0.9**step)
    square = v / (1 - 0.999**step)
    return w - rate * mean / (square.sqrt() + 1e-8), m, v


print(check(my_adam))

# %% tags=["hide"]
assert check(adam) == "not yet"
assert check(my_adam) == "you have it"
assert check(lambda w, g, m, v, step: (w - 0.001 * g, m, v)) != "you have it"

# %% [markdown]
# ## Summary
#
# - The learning rate is the first setting to tune, and each optimizer has its own
#   range.
# - Momentum keeps a direction. RMSprop and Adam adapt the size of each weight's step.
# - The sigmoid belongs at the end of a network, ReLU inside it.
# - Cross entropy corrects confident mistakes, and squared error hardly does.
#
# **On the command line**: `dlp fit --config imdb --model.optimizer Adam`, or
# `--model.optimizer SGD --model.optimizer.lr 0.1 --model.optimizer.momentum 0.9`.
#
# Next: [3.4 Two classes](02_two_classes.py)
