# %% [markdown]
# # 3.5 Many classes
#
# A newswire is about one of 46 topics, such as coffee, gold or interest rates. This
# notebook trains a network with one output per class, and looks at its mistakes and at
# a mistake in the data themselves.
#
# ## Newswires and topics

# %%
# %matplotlib inline
import torch
import torch.nn.functional as F
from lightning import Trainer
from matplotlib.figure import Figure
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from dlp.callbacks import History
from dlp.datamodules import ReutersDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.modules import DenseModule
from dlp.visualization import draw_curves

torch.manual_seed(0)
torch.set_num_threads(1)  # fastest for a small network
data = ReutersDataModule(num_words=10_000, val_size=1000)
names = data.class_names
print(*names)
print({part: len(data.examples(part)) for part in ("train", "val", "test")})
inputs, targets = next(iter(data.val_dataloader()))
print("targets", targets[:8].tolist())
print("topics ", [names[number] for number in targets[:8]])

# %% [markdown]
# Each wire is a multi-hot row, like the reviews in section 3.4. A target is an
# **integer**, the number of the topic. Five topics are so rare that they do not occur
# in the validation part.
#
# ## Whose text is this?
#
# The data set that the book uses contains a mistake. 975 of its 11,228 wires have a
# title but no body. They were given the next body in the file, which belongs to another
# wire. Here is one of them:

# %%
published = ReutersDataModule(num_words=10_000, val_size=1000, text="as_published")
print("topic         ", names[targets[42]])
for name, wires in {"own text": data, "published text": published}.items():
    [text] = wires.examples("val").inputs[[42]].raw()
    print(f"{name:14}", " ".join(text.split()[:15]))

# %% tags=["hide"]
assert torch.equal(next(iter(published.val_dataloader()))[1], targets)

# %% tags=["hide", "real"]
assert names[targets[42]] == "crude"
assert "CRUDE OIL POSTING" in data.examples("val").inputs[[42]].raw()[0]
assert "weekly cereal" in " ".join(text.split()[:15])

# %% [markdown]
# No network can learn the topic crude oil from a cereal tender. By default, each wire
# has its own text: its body, or its title if it has no body.
#
# ## Softmax and cross entropy
#
# The last layer has 46 units, one per topic. **Softmax** makes all their outputs
# positive and scales them to the sum 1, so they become probabilities. The loss is
# **cross entropy**: minus the logarithm of the probability that the true topic gets.
#
# Targets may also be **one-hot**: a row of 46 numbers, with 1 at the topic and 0
# everywhere else. The loss is then a sum over all topics. All terms except one are
# zero, so it is the same loss.

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
truth = torch.tensor([0.7, 0.3])
entropy = -(truth * truth.log()).sum()
for prediction in torch.rand(200, 2).softmax(1):
    distance = -(truth * prediction.log()).sum() - entropy
    divergence = F.kl_div(prediction.log(), truth, reduction="sum")
    assert torch.allclose(distance, divergence, atol=1e-6)
    assert distance >= -1e-6

# %% [markdown]
# A one-hot row is a **distribution** that puts everything on one topic. Cross entropy
# also takes other distributions: if, for example, seven of ten readers assign a wire to
# the topic trade and three assign it to ship, the target gives these topics shares of
# seven and three tenths. Cross entropy is the distance between the prediction and the
# truth ([section 2.4](01a_gradient_descent.py)), plus the **entropy** of the truth,
# which is 0 for a one-hot row.

# %% alt="Training loss falls to the end; validation loss is lowest at epoch 11"
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def fit(data, epochs, hidden):
    """Train a new network; return it and its metrics for each epoch."""
    torch.manual_seed(0)
    model = DenseModule(data.input_shape, data.num_outputs, "softmax", hidden=hidden)
    history = History()
    Trainer(max_epochs=epochs, callbacks=[history], **quiet).fit(model, data)
    return model, history.metrics


model, metrics = fit(data, epochs=15, hidden=[64, 64])
val_losses = metrics["val_loss"]
best = 1 + val_losses.index(min(val_losses))
figure = draw_curves(metrics, best_epoch=best)
figure.axes[1].set_ylabel("accuracy")
figure

# %% [markdown]
# ## What would a guess score?
#
# One way is to guess by frequency: shuffle the true topics and use them as answers. On
# average, the share of right guesses is then the sum of the squared shares of the
# topics. A better way is to guess the most frequent topic every time, because more than
# a third of the wires are about company earnings.

# %%
shuffled = targets[torch.randperm(len(targets))]
shares = targets.bincount(minlength=46) / len(targets)
guess = guess_scores(model, data, "val")["majority_class"]["acc"]
accuracy = metrics["val_acc"][best - 1]
print(f"shuffled topics      {(shuffled == targets).float().mean():.1%}")
print(f"expected of them     {shares.square().sum():.1%}")
print(f"most frequent topic  {guess:.1%}  ({names[shares.argmax()]})")
print(f"network, epoch {best:2}    {accuracy:.1%}")

# %% tags=["hide"]
assert abs((shuffled == targets).float().mean() - shares.square().sum()) < 0.06
assert shares.square().sum() < guess < accuracy - 0.3
assert guess == shares.max()

# %% tags=["hide", "real"]
assert guess > 1 / 3
assert names[shares.argmax()] == "earn"

# %% [markdown]
# ## One prediction
#
# The network answers with a probability for each topic, and its prediction is the topic
# with the highest one. Here is the wire about which the network is least sure:

# %%
with torch.no_grad():
    probabilities = model(inputs).softmax(1)
predicted = probabilities.argmax(1)
row = probabilities.amax(1).argmin().item()
[text] = data.examples("val").inputs[[row]].raw()
print(" ".join(text.split()[:20]), "...")
top = probabilities[row].topk(3)
for value, number in zip(top.values, top.indices, strict=True):
    print(f"{names[number]:12} {value:.3f}")
print(f"sum of all {probabilities.shape[1]}: {probabilities[row].sum():.3f}")
print("true topic:", names[targets[row]])

# %% tags=["hide"]
assert torch.allclose(probabilities.sum(1), torch.ones(len(targets)), atol=1e-5)

# %% [markdown]
# ## A look at the mistakes
#
# What you see in the mistakes may change what you do next. So look at mistakes in the
# validation part, not in the test part. A **confusion matrix** counts the answers. It
# has a row for each true topic and a column for each predicted topic.

# %% alt="Counts for ten topics, mostly on the diagonal; 15 of money-fx are at interest"
matrix = torch.zeros(46, 46, dtype=torch.long)
for true, answer in zip(targets, predicted, strict=True):
    matrix[true, answer] += 1

common = targets.bincount(minlength=46).topk(10).indices
counts = matrix[common][:, common]
figure = Figure(figsize=(6.5, 5.5), layout="constrained")
axes = figure.subplots()
axes.imshow(counts / matrix[common].sum(1, keepdim=True), cmap="Blues", vmax=1.5)
for row, column in torch.cartesian_prod(torch.arange(10), torch.arange(10)).tolist():
    axes.text(column, row, counts[row, column].item(), ha="center", va="center")
labels = [names[number] for number in common]
axes.set_xticks(range(10), labels, rotation=45, ha="right")
axes.set_yticks(range(10), labels)
axes.set(title="validation wires of ten topics; shade: share of the row")
axes.set(xlabel="predicted topic", ylabel="true topic")
figure

# %% tags=["hide"]
assert matrix.sum() == len(targets)
assert matrix.diag().sum() == (predicted == targets).sum()

# %% tags=["hide", "real"]
assert matrix[names.index("money-fx"), names.index("interest")] == 15

# %% [markdown]
# In this run, 15 wires about currencies (money-fx) are read as interest rates. And
# about which wrong answers is the network surest?

# %%
wrong = (predicted != targets).nonzero().flatten()
surest = wrong[probabilities[wrong].amax(1).argsort(descending=True)[:5]].tolist()
for row, text in zip(surest, data.examples("val").inputs[surest].raw(), strict=True):
    print(f"{names[targets[row]]} read as {names[predicted[row]]}:")
    print("   ", *text.split()[:13], "...")

# %% [markdown]
# Some wires are about two topics. The archive lists both topics, but this data set
# keeps only the first. In one of six mistakes, the network names another topic of the
# wire, so it is not to blame.
#
# ## A rare topic
#
# Ten of the 1,000 wires are about the `reserves` of central banks. A network that never
# says `reserves` is right about this topic 99 times in 100, but it is useless. Here are
# four better measures:
#
# - **Precision**: what share of the wires that the network calls `reserves` is about
#   this topic?
# - **Recall**: what share of the wires about `reserves` does the network find?
# - **F1**: a mean of precision and recall, which is low if one of them is low.
# - **AUC**: how often does a wire about `reserves` get a higher probability for this
#   topic than another wire? Tossing a coin gives 0.5.

# %%
topic = names.index("reserves")
is_topic, is_said, score = targets == topic, predicted == topic, probabilities[:, topic]
precision = matrix[topic, topic] / matrix[:, topic].sum()
recall = matrix[topic, topic] / matrix[topic].sum()
f1 = 2 * precision * recall / (precision + recall)
auc = (score[is_topic][:, None] > score[~is_topic]).float().mean()
by_hand = torch.stack([precision, recall, f1, auc])
measures = [BinaryPrecision(), BinaryRecall(), BinaryF1Score()]
by_torchmetrics = [measure(is_said.int(), is_topic.int()) for measure in measures]
by_torchmetrics.append(BinaryAUROC()(score, is_topic.int()))
print("precision, recall, F1, AUC")
print("by hand     ", [round(value, 4) for value in by_hand.tolist()])
print("torchmetrics", [round(value.item(), 4) for value in by_torchmetrics])

# %% tags=["hide"]
assert torch.allclose(by_hand, torch.stack(by_torchmetrics), atol=1e-5)

# %% tags=["hide", "real"]
assert is_topic.sum() == 10
assert precision == 1
assert recall == 0.5
assert auc > 0.95

# %% [markdown]
# The network raises no false alarm, but it finds only half of these wires. The AUC is
# high: the wires about `reserves` mostly get a higher probability for this topic than
# other wires, but often another topic gets an even higher one. If you must find all of
# these wires, answer `reserves` even if its probability is not the highest one.
#
# ## A layer that is too narrow
#
# The last layer sees only what the layer before it passes on. If that layer has few
# units, it loses information, and no later layer can bring this information back. Such
# a layer is an **information bottleneck**. How narrow is too narrow?

# %%
units = [4, 8, 16, 64]
widths = {number: fit(data, 15, hidden=[64, number])[1] for number in units[:-1]}
widths[64] = metrics
train_acc = [widths[number]["train_acc"][-1] for number in units]
val_acc = [widths[number]["val_acc"][-1] for number in units]
print({number: round(value, 3) for number, value in zip(units, val_acc, strict=True)})

# %% alt="Training and validation accuracy rise with the units in the second layer"
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
assert val_acc[0] < val_acc[-1] - 0.1

# %% tags=["hide", "real"]
assert val_acc[1] < val_acc[3] - 0.03 < val_acc[2]
assert train_acc[0] < train_acc[3] - 0.1

# %% [markdown]
# Compared with 64 units, 16 units cost at most 3 points of accuracy, 8 units cost 3 to
# 7 points, and 4 units more than 10. After twice as many epochs, the network with 8
# units knows the training wires by heart, but on new wires it is still 2 to 4 points
# behind. So try wide layers first.
#
# ## The final network
#
# Now we train a new network on all rows except the test part. Then we train another one
# on the published texts.

# %%
for name, wires in {"own texts": data, "published texts": published}.items():
    wires = wires.with_split(wires.split.without_validation())
    model, _ = fit(wires, best, hidden=[64, 64])
    [result] = Trainer(**quiet).test(model, wires, verbose=False)
    print(f"{name:15} right on {result['test_acc']:.1%} of the test")
    if name == "own texts":
        of_own = result["test_acc"]

# %% tags=["hide"]
assert of_own > 0.85

# %% tags=["hide", "real"]
assert 0.07 < of_own - result["test_acc"] < 0.1

# %% [markdown]
# With the published texts, the book reports 79.7 %. With the right texts, the accuracy
# is 8 to 10 points higher than with the published texts. So read some rows of your data
# before you train.
#
# ## Exercises
#
# **1. Predict, then run.** What happens to the probabilities if you add 10 to all
# logits? And what happens if you multiply all logits by 2?

# %% [markdown] tags=["answer"]
# Adding 10 changes nothing: softmax divides exp(z + 10) by a sum that has the same
# factor exp(10). Multiplying by 2 makes the largest probability larger.

# %% tags=["answer"]
z = torch.tensor([2.0, 1.0, 0.0])
for changed in (z, z + 10, 2 * z):
    print(changed.tolist(), [round(p, 3) for p in changed.softmax(0).tolist()])

# %% tags=["hide"]
assert torch.allclose(z.softmax(0), (z + 10).softmax(0))
assert (2 * z).softmax(0).max() > z.softmax(0).max()

# %% [markdown]
# **2. Change one thing.** Divide the wires as at the start of this notebook, and put
# the narrow layer first: `hidden=[4, 64]`, not `[64, 4]`. Does the wide layer after it
# help?

# %% tags=["answer"]
divided = ReutersDataModule(num_words=10_000, val_size=1000)
_, first = fit(divided, 15, hidden=[4, 64])
print(f"[64, 64] {val_acc[-1]:.1%}, [64, 4] {val_acc[0]:.1%}", end=", ")
print(f"[4, 64] {first['val_acc'][-1]:.1%}")

# %% [markdown] tags=["answer"]
# No. A bottleneck costs accuracy wherever it is.

# %% tags=["hide"]
assert first["val_acc"][-1] < val_acc[-1] - 0.1

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
# `F.cross_entropy` applies softmax itself, so it expects logits, but here it gets
# probabilities. So even the perfect answer has the loss -log(e / (e + 45)) = 2.865.
# Leave out `nn.Softmax`.

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
# **4. Write it.** How good is the network on each topic? Write `topic_scores` in about
# ten lines. From the confusion matrix, it returns the precision, recall and F1 of the
# 46 topics in three columns. If the sum to divide by is 0, the measure is 0.


# %%
def topic_scores(matrix):
    """Return precision, recall and F1 of each class, in shape (classes, 3)."""
    ...


# %%
def check(topic_scores):
    """Compare the scores with torchmetrics."""
    scores = topic_scores(matrix)
    if scores is None:
        return "not yet: it returns nothing"
    if tuple(scores.shape) != (46, 3):
        return f"not yet: the shape is {tuple(scores.shape)}, not (46, 3)"
    measures = [MulticlassPrecision, MulticlassRecall, MulticlassF1Score]
    for column, measure in zip(scores.T, measures, strict=True):
        expected = measure(46, average=None)(predicted, targets)
        if not torch.allclose(column.float(), expected, atol=1e-5):
            return f"not yet: {measure.__name__} is another"
    return "right"


print(check(topic_scores))


# %% tags=["answer"]
def topic_scores(matrix):
    """Return precision, recall and F1 of each class, in shape (classes, 3)."""
    found = matrix.diag()
    said = matrix.sum(0)
    true = matrix.sum(1)
    precision = found / said.clamp(min=1)  # found is 0 where said is 0
    recall = found / true.clamp(min=1)
    f1 = 2 * found / (said + true).clamp(min=1)
    return torch.stack([precision, recall, f1], dim=1)


print(check(topic_scores))
scores = topic_scores(matrix)
occurs = matrix.sum(1) > 0
mean_f1 = scores[occurs, 2].mean().item()
share = (predicted == targets).float().mean().item()
print(f"mean F1 of {occurs.sum()} topics {mean_f1:.2f}, accuracy {share:.2f}")
rarely = (occurs & (scores[:, 1] == 0)).nonzero().flatten()
print("never found:", *[names[number] for number in rarely])

# %% tags=["hide"]
assert check(topic_scores) == "right"
assert "nothing" in check(lambda _: None)
assert "MulticlassRecall" in check(lambda m: topic_scores(m)[:, [0, 0, 2]])

# %% tags=["hide", "real"]
assert mean_f1 < share - 0.15

# %% [markdown] tags=["answer"]
# In the mean F1, every topic counts the same, and the network has learned the rare
# topics badly. The accuracy hides this, because more than half of the wires are `earn`
# or `acq`.

# %% [markdown]
# ## Summary
#
# - For one class of many, a network needs one output per class, softmax and cross
#   entropy.
# - Integer and one-hot targets give the same loss, which measures the distance between
#   two distributions.
# - A score means little until you compare it with a guess. Accuracy hides rare classes.
# - A hidden layer with far fewer units than classes is a bottleneck.
# - Read some rows, and look at some mistakes.
#
# **On the command line**: `dlp fit --config reuters`. For variations, add
# `--config one_hot`, `--config bottleneck` or `--config as_published`.
#
# Next: [3.6 Values and folds](04_values_and_folds.py)
