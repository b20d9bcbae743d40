# %% [markdown]
# # 3.5 Many classes
#
# A newswire is about one of 46 topics: coffee, gold, interest rates. This notebook
# trains a network with one output per class, compares two ways to write the targets,
# asks what a guess would score, and shows what a layer with too few units loses.
#
# ## Newswires and topics

# %%
# %matplotlib inline
import torch
import torch.nn.functional as F
from lightning import Trainer
from matplotlib.figure import Figure

from dlp.callbacks import History
from dlp.datamodules import ReutersDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.modules import DenseModule
from dlp.visualization import draw_curves

torch.manual_seed(0)
torch.set_num_threads(1)  # the fastest for a small network
data = ReutersDataModule(num_words=10_000, val_size=1000)
print({part: len(data.examples(part)) for part in ("train", "val", "test")})
inputs, targets = next(iter(data.val_dataloader()))
print("targets", targets[:8].tolist())
print("topics ", [data.class_names[number] for number in targets[:8]])

# %% [markdown]
# The wires are multi-hot rows, as the reviews of section 3.4. The printed lines count
# wires whose text is in two parts, and topics that are too rare to occur in the
# validation part. A target is an **integer**, the number of the topic.
#
# ## Softmax and cross entropy
#
# The last layer has 46 units, one per topic. **Softmax** makes all their outputs
# positive and their sum one: probabilities. The loss is **cross entropy**: minus the
# logarithm of the probability of the true topic.
#
# Targets may also be **one-hot**: a row of 46 zeros with a one at the topic. Then the
# loss is written as a sum over all topics, in which every term but one is zero. It is
# the same loss.

# %%
logits = torch.randn(len(targets), 46)
probabilities = logits.exp() / logits.exp().sum(1, keepdim=True)
one_hot = F.one_hot(targets, 46).float()
of_integers = -probabilities[torch.arange(len(targets)), targets].log().mean()
of_one_hot = -(one_hot * probabilities.log()).sum(1).mean()
print("integer", targets[0].item(), "one-hot", one_hot[0, :8].int().tolist(), "...")
print(f"integers {of_integers:.4f}, one-hot {of_one_hot:.4f}")
print(f"of torch {F.cross_entropy(logits, targets):.4f}")

# %% tags=["hide"]
assert torch.allclose(of_integers, of_one_hot)
assert torch.allclose(of_integers, F.cross_entropy(logits, targets))
assert torch.allclose(of_integers, F.cross_entropy(logits, one_hot))

# %% [markdown]
# The same holds for a whole training, from the same initial weights and with the same
# batches:

# %%
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def fit(data, epochs, hidden):
    """Train a new network; return it with its metrics per epoch."""
    torch.manual_seed(0)
    model = DenseModule(data.input_shape, data.num_outputs, "softmax", hidden=hidden)
    history = History()
    Trainer(max_epochs=epochs, callbacks=[history], **quiet).fit(model, data)
    return model, history.metrics


model, metrics = fit(data, epochs=15, hidden=[64, 64])
with_rows = ReutersDataModule(num_words=10_000, val_size=1000, one_hot=True)
_, of_rows = fit(with_rows, epochs=3, hidden=[64, 64])
print("integers", [round(loss, 4) for loss in metrics["train_loss"][:3]])
print("one-hot ", [round(loss, 4) for loss in of_rows["train_loss"]])

# %% tags=["hide"]
for name in ("train_loss", "val_loss"):
    both = torch.tensor([metrics[name][:3], of_rows[name]])
    assert torch.allclose(*both, rtol=1e-3), name

# %% [markdown]
# Integers are shorter, so the course uses them. Here is the training of 15 epochs:

# %% alt="Training loss falls to the end; validation loss is lowest at epoch 11"
val_losses = metrics["val_loss"]
best = 1 + val_losses.index(min(val_losses))
draw_curves(metrics, best_epoch=best)

# %% [markdown]
# ## What would a guess score?
#
# With two equal classes a guess is right on half of the rows. Here the topics are not
# equal: more than a third of the wires are company earnings. To see what guessing by
# frequency scores, shuffle the true topics and compare them with themselves. On average
# that is right on the sum of the squared shares. A better guess is always to say the
# most frequent topic.

# %%
shuffled = targets[torch.randperm(len(targets))]
shares = targets.bincount(minlength=46) / len(targets)
guess = guess_scores(model, data, "val")["majority_class"]["acc"]
accuracy = metrics["val_acc"][best - 1]
print(f"shuffled topics      {(shuffled == targets).float().mean():.1%}")
print(f"expected of them     {shares.square().sum():.1%}")
print(f"most frequent topic  {guess:.1%}  ({data.class_names[shares.argmax()]})")
print(f"network, epoch {best:2}    {accuracy:.1%}")

# %% tags=["hide"]
assert abs((shuffled == targets).float().mean() - shares.square().sum()) < 0.06
assert shares.square().sum() < guess < accuracy - 0.3
assert guess == shares.max()

# %% tags=["hide", "real"]
assert guess > 1 / 3
assert data.class_names[shares.argmax()] == "earn"

# %% [markdown]
# ## One prediction
#
# An answer is a probability for each topic; the prediction is the topic with the
# largest one. Here is the wire of which the network is least sure:

# %%
with torch.no_grad():
    probabilities = model(inputs).softmax(1)
row = probabilities.amax(1).argmin().item()
[text] = data.examples("val").inputs[[row]].raw()
print(" ".join(text.split()[:20]), "...")
top = probabilities[row].topk(3)
for value, number in zip(top.values, top.indices, strict=True):
    print(f"{data.class_names[number]:12} {value:.3f}")
print(f"sum of all {probabilities.shape[1]}: {probabilities[row].sum():.3f}")
print("true topic:", data.class_names[targets[row]])

# %% tags=["hide"]
assert torch.allclose(probabilities.sum(1), torch.ones(len(targets)), atol=1e-5)

# %% [markdown]
# ## A layer that is too narrow
#
# All that the last layer knows about a wire comes through the layer before it. If that
# layer has few units, 46 topics must be told apart by a few numbers, and no later layer
# can bring back what was lost: an **information bottleneck**. The next cell trains
# networks whose second layer has 2 to 16 units.

# %%
units = [2, 4, 8, 16, 64]
widths = {number: fit(data, 15, hidden=[64, number])[1] for number in units[:-1]}
widths[64] = metrics
train_acc = [widths[number]["train_acc"][-1] for number in units]
val_acc = [widths[number]["val_acc"][-1] for number in units]
print({number: round(value, 3) for number, value in zip(units, val_acc, strict=True)})

# %% alt="Training and validation accuracy rise with the units of the second layer"
figure = Figure(figsize=(5.2, 3.8), layout="constrained")
axes = figure.subplots()
axes.plot(units, train_acc, "o-", color="#0072B2", label="training")
axes.plot(units, val_acc, "o--", color="#D55E00", label="validation")
axes.axhline(guess, color="grey", linestyle=":", label="most frequent topic")
axes.set_xscale("log", base=2)
axes.set_xticks(units, units)
axes.set(xlabel="units of the second layer", ylabel="accuracy after 15 epochs")
axes.grid(alpha=0.3)
axes.legend()
figure

# %% tags=["hide"]
assert val_acc == sorted(val_acc)
assert val_acc[0] < val_acc[-1] - 0.2
assert train_acc[0] < train_acc[-1] - 0.2

# %% tags=["hide", "real"]
assert val_acc[2] < val_acc[4] - 0.03 < val_acc[3]
assert train_acc[2] < train_acc[4] - 0.03

# %% [markdown]
# 16 units are nearly as good as 64. With 8 and fewer, accuracy falls, on the training
# wires too: such a network does not even learn these in 15 epochs. So try wide layers
# before narrow ones: 16 units are enough for these 46 topics, 8 are not.
#
# ## The final network
#
# As in section 3.4: the number of epochs is chosen, so a new network trains on all rows
# but the test set, which is then used once.

# %%
data.resplit(data.split.without_validation())
model, _ = fit(data, best, hidden=[64, 64])
[result] = Trainer(**quiet).test(model, data, verbose=False)
print(f"{best} epochs: right on {result['test_acc']:.1%} of the test")

# %% tags=["hide"]
assert result["test_acc"] > 0.85

# %% [markdown]
# ## Exercises
#
# **1. Predict, then run.** What happens to the probabilities if all 46 logits grow by
# 10? And if all are multiplied by 2?

# %% [markdown] tags=["answer"]
# Adding a number changes nothing: softmax divides exp(z + 10) by a sum that has the
# same factor exp(10). Doubling makes the largest probability larger. The predicted
# topic is the same in all three cases.

# %% tags=["answer"]
z = torch.tensor([2.0, 1.0, 0.0])
for changed in (z, z + 10, 2 * z):
    print(changed.tolist(), [round(p, 3) for p in changed.softmax(0).tolist()])

# %% tags=["hide"]
assert torch.allclose(z.softmax(0), (z + 10).softmax(0))
assert (2 * z).softmax(0).max() > z.softmax(0).max()

# %% [markdown]
# **2. Change one thing.** Put the narrow layer first: `hidden=[4, 64]` instead of
# `[64, 4]`, with the division of the start. Does the wide layer after it help?

# %% tags=["answer"]
divided = ReutersDataModule(num_words=10_000, val_size=1000)
_, first = fit(divided, 15, hidden=[4, 64])
print(f"[64, 64] {val_acc[-1]:.1%}, [64, 4] {val_acc[1]:.1%}", end=", ")
print(f"[4, 64] {first['val_acc'][-1]:.1%}")

# %% [markdown] tags=["answer"]
# No. A bottleneck costs accuracy wherever it is: the 64 units after it compute with the
# same four numbers.

# %% tags=["hide"]
assert first["val_acc"][-1] < val_acc[-1] - 0.1

# %% tags=["hide", "real"]
assert abs(first["val_acc"][-1] - val_acc[1]) < 0.03

# %% [markdown]
# **3. Find the mistake.** The loss of this network never falls below 2.86. Why?
#
# ```python
# network = nn.Sequential(
#     nn.Linear(10_000, 64), nn.ReLU(), nn.Linear(64, 46), nn.Softmax(dim=1)
# )
# loss = F.cross_entropy(network(x), targets)
# ```

# %% [markdown] tags=["answer"]
# `F.cross_entropy` takes logits and applies softmax itself. Here it gets probabilities,
# as if they were logits. Even the perfect answer, 1 for the true topic and 0 for all
# others, then has the loss -log(e / (e + 45)) = 2.865. Leave `nn.Softmax` out.

# %% tags=["answer"]
perfect = F.one_hot(targets, 46).float()
print(f"probabilities as logits {F.cross_entropy(perfect, targets):.3f}")
print(f"logits                  {F.cross_entropy(100 * perfect, targets):.3f}")

# %% tags=["hide"]
lowest = torch.tensor(45 + torch.e).log() - 1
assert torch.allclose(F.cross_entropy(perfect, targets), lowest)
assert f"{lowest:.3f}" == "2.865"
assert F.cross_entropy(100 * perfect, targets) < 0.001
assert F.cross_entropy((100 * logits).softmax(1), targets) > lowest

# %% [markdown]
# ## Summary
#
# - One class of many needs one output per class, softmax and cross entropy.
# - Integer and one-hot targets give the same loss and the same training.
# - A score means little without that of a guess, which depends on the shares of the
#   classes.
# - A prediction is a probability per class; their sum is one.
# - A hidden layer with far fewer units than classes is a bottleneck.
#
# **On the command line**: `dlp fit --config reuters`, with one-hot targets
# `dlp fit --config reuters --config one_hot`, and with a narrow layer
# `dlp fit --config reuters --config bottleneck`.
#
# Next: [values and folds](04_values_and_folds.py)
