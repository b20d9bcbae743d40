# %% [markdown]
# # 5.4 Seeing what a convnet sees
#
# The layers of a convnet write maps, and maps are pictures. So you can look inside, in
# three ways: at the outputs of a layer for an image, its **activations**; at the
# **pattern** that a filter responds to most; and at a **heat map** of the places that
# speak for a class.
#
# The network is the MobileNetV2 of section 5.3, trained on ImageNet's photographs. Only
# its last layer is new: it learns cats and dogs from 80 photographs. 80 others are the
# test. The weights are of another training than torchvision's: your numbers differ
# a little.

# %%
# %matplotlib inline
import os

import torch
from lightning import Trainer
from matplotlib.figure import Figure
from torch import nn

from dlp.callbacks import CacheFeatures
from dlp.datamodules import CatsVsDogsDataModule
from dlp.modules import PretrainedModule
from dlp.visualization import GradCAM, activations, filter_patterns

torch.set_num_threads(1)
torch.manual_seed(0)
parts = {"train_size": 80, "val_size": None, "test_size": 80}
data = CatsVsDogsDataModule(None, per_class=120, image_size=224, **parts)
weights = os.environ.get("DLP_WEIGHTS", "DEFAULT")
model = PretrainedModule(
    data.input_shape, 2, "sigmoid", "mobilenet_v2", weights, hidden=[]
)
Trainer(
    max_epochs=10,
    callbacks=[CacheFeatures()],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
).fit(model, data)

# %%
model.eval()
images, classes = next(iter(data.test_dataloader()))
with torch.no_grad():
    logits = torch.cat([model(part) for part in images.split(20)])
dog = logits.sigmoid().flatten()  # the probability of a dog
predicted = (dog > 0.5).long()
print(f"{(predicted == classes).sum()} of {len(images)} are right")

# %% tags=["hide"]
assert len(images) == 80

# %% tags=["hide", "real"]
assert (predicted == classes).sum() >= 72
assert (predicted != classes).any()

# %% [markdown]
# ## Activations
#
# MobileNetV2 is a chain of 19 blocks, numbered from 0; the five stages of section 5.3
# are groups of these. `activations` returns the outputs of layers inside it, by their
# names: here the first convolution of five blocks, after its ReLU.
#
# A channel is **empty** if it is 0 everywhere. Guess: where are more of them empty, in
# early blocks or in deep ones?

# %%
blocks = "network.backbone.model.features"  # as torchvision calls them
layers = {
    "block 0": f"{blocks}.0",
    "block 2": f"{blocks}.2.conv.0",
    "block 9": f"{blocks}.9.conv.0",
    "block 17": f"{blocks}.17.conv.0",
    "block 18": f"{blocks}.18",
}
maps = activations(model, images[:20], list(layers.values()))
for name, layer in layers.items():
    empty = maps[layer].amax(dim=(2, 3)) == 0  # (photographs, channels)
    print(
        f"{name:8} {tuple(maps[layer].shape[1:])!s:15} "
        f"empty in a photograph {empty.float().mean():5.1%}, "
        f"in all 20 {empty.all(dim=0).float().mean():5.1%}"
    )

# %% alt="A cat and twelve maps of three blocks: the cat, then parts, then a few places"
figure = Figure(figsize=(11, 3.6), layout="constrained")
names = ["block 2", "block 9", "block 17"]
for row, block in zip(figure.subplots(3, 13), names, strict=True):
    row[0].imshow(images[0].permute(1, 2, 0))
    row[0].set_ylabel(block)
    for axes, channel in zip(row[1:], maps[layers[block]][0], strict=False):
        shares = channel / channel.max().clamp_min(1e-9)
        drawn = axes.imshow(shares, vmin=0, vmax=1)
    for axes in row:
        axes.set(xticks=[], yticks=[])
figure.suptitle("A photograph, and the first 12 channels of three blocks")
bar = figure.colorbar(drawn, ax=figure.axes, ticks=[0, 1], fraction=0.02)
bar.set_ticklabels(["0", "largest\nof its\nchannel"])
figure

# %% [markdown]
# Block 2 still shows the photograph: its edges, its light and dark parts. Deeper maps
# have fewer places and say less about how it looks, more about what is on it.
#
# From block 2 to 17 more are empty the deeper you go, in block 17 others in each
# photograph: its filters are choosier, as the book says. Blocks 0 and 18 break the
# rule. Twelve filters of block 0 are empty in all photographs: they answer to nothing.

# %% tags=["hide"]
net = model.network.backbone.model.features
backbone = model.network.backbone
with torch.no_grad():
    x = net[2].conv[0](net[1](net[0]((images[:20] - backbone.mean) / backbone.std)))
assert torch.allclose(x, maps[layers["block 2"]], atol=1e-4)
shares = {
    name: (maps[layer].amax(dim=(2, 3)) == 0).float().mean(dim=1)
    for name, layer in layers.items()
}
assert shares["block 17"].shape == (20,)

# %% tags=["hide", "real"]
never = {
    name: (maps[layer].amax(dim=(0, 2, 3)) == 0).float().mean()
    for name, layer in layers.items()
}
assert (shares["block 17"] > shares["block 9"]).all()
assert shares["block 17"].mean() > 0.1 > shares["block 18"].mean()
assert (maps[layers["block 17"]][0, :12].amax(dim=(1, 2)) == 0).sum() >= 2
assert 32 * never["block 0"] == 12
assert never["block 17"] < 0.01

# %% [markdown]
# ## Patterns
#
# What does a filter look for? Start with grey noise and change the pixels, step by
# step, so that the mean of the filter's map grows. This is gradient ascent, on the
# pixels in place of the weights.

# %%
backbone = model.network.backbone  # MobileNetV2
net = backbone.model.features  # its blocks
expand = net[4].conv[0][0]  # the convolution with which block 4 begins

torch.manual_seed(0)
pixels = 128 + 20 * torch.rand(1, 3, 96, 96)  # on a scale of 0 to 255
responses = []
for _ in range(40):
    pixels.requires_grad_()
    x = (pixels / 255 - backbone.mean) / backbone.std  # as the weights expect images
    for block in net[:4]:  # blocks 0 to 3
        x = block(x)
    response = expand(x)[0, 0].mean()  # the map of filter 0
    responses.append(response.item())
    (gradient,) = torch.autograd.grad(response, pixels)
    pixels = (pixels + gradient / gradient.square().mean().sqrt()).detach()
print(f"response {responses[0]:.2f}, after 40 steps {responses[-1]:.2f}")

# %% [markdown]
# `filter_patterns` does this for many filters. It also moves the image a little before
# each step, against grids, and cuts off its border.

# %% alt="Six patterns of three blocks: textures; spots and braids; arcs and swirls"
figure = Figure(figsize=(11, 5.9), layout="constrained")
fields = {4: 19, 7: 59, 11: 171}  # side of the receptive field, in pixels
for row, (block, side) in zip(figure.subplots(3, 6), fields.items(), strict=True):
    layer = f"model.features.{block}.conv.0.0"
    row[0].set_ylabel(f"block {block}\nreceptive field {side} x {side}")
    patterns = filter_patterns(backbone, layer, range(6), steps=20)
    for axes, pattern in zip(row, patterns, strict=True):
        axes.imshow(pattern.permute(1, 2, 0))
        axes.set(xticks=[], yticks=[])
figure.suptitle(
    "Patterns of six filters each, 64 x 64 pixels; block 11 sees more than is drawn"
)
figure

# %% tags=["hide"]
side, step, sides = 1, 1, {}
for name, layer in net.named_modules():
    if isinstance(layer, nn.Conv2d):
        side += (layer.kernel_size[0] - 1) * step
        step *= layer.stride[0]
        sides[name] = side
assert [sides[f"{block}.conv.0.0"] for block in fields] == list(fields.values())
assert sides["18.0"] == 491
assert responses[-1] > responses[0]

# %% tags=["hide", "real"]
assert responses[-1] > 2 * responses[0]

# %% [markdown]
# Block 4 responds to textures: spots, a fine net, stripes of one direction. Block 7
# sees more and shows rings, braids and round spots with a bright centre, like eyes. In
# block 11 there are arcs, fans and swirls. (Receptive fields: see
# [Convnets](07_convnets.py).)
#
# ## Heat maps
#
# Which places of a photograph speak for its class? **Grad-CAM** takes the maps of the
# last convolution. Its steps:
#
# 1. A **hook**, a function that torch calls with the output of a layer, keeps the maps
#    while the network computes the logit of the class (for cat, the negative of the
#    one logit).
# 2. The gradient says how the logit changes with each value of the maps.
# 3. The mean of the gradient over a map is the weight of that map.
# 4. Add the maps with these weights. ReLU keeps what speaks for the class.
#
# ![Two maps, multiplied by their weights and added; ReLU sets negative places to
# 0](../docs/figures/grad_cam.svg)

# %%
photo = images[classes == 1][:1]  # a dog: the one logit is that of class 1
kept = []


def keep(layer, inputs, output):
    """Keep the maps; the gradient shall be computed down to them."""
    kept.append(output.requires_grad_())


handle = net[18].register_forward_hook(keep)
logit = model(photo)[0, 0]
handle.remove()

(maps,) = kept
(gradient,) = torch.autograd.grad(logit, maps)
map_weights = gradient.mean(dim=(2, 3), keepdim=True)
heat = (map_weights * maps).sum(dim=1).relu().detach()

with GradCAM(model) as cam:
    same = cam(photo, 1)
print(cam.layer, tuple(heat.shape), torch.allclose(heat, same, atol=1e-5))

# %% tags=["hide"]
assert torch.allclose(heat, same, atol=1e-5)
assert cam.layer == "network.backbone.model.features.18"
assert heat.shape == (1, 7, 7)

# %% [markdown]
# The network reads three photographs rightly, and the fourth wrongly. Each map is that
# of the class that it chose. Where will the heat be in the fourth?


# %%
def draw_heat(photos, heats, titles):
    """Draw photographs; below each, its heat over the photograph in grey."""
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    panels = figure.subplots(2, len(photos))
    for column, photo, heat, title in zip(panels.T, photos, heats, titles, strict=True):
        heat = nn.functional.interpolate(heat[None, None], 224, mode="bilinear")[0, 0]
        heat = heat / heat.max().clamp_min(1e-9)
        column[0].imshow(photo.permute(1, 2, 0))
        column[0].set_title(title)
        column[1].imshow(photo.mean(dim=0), cmap="gray", vmin=0, vmax=1)
        # Where there is no heat, the photograph stays as it is.
        drawn = column[1].imshow(heat, "inferno", alpha=0.75 * heat, vmin=0, vmax=1)
        for axes in column:
            axes.set_axis_off()
    figure.colorbar(drawn, ax=panels, fraction=0.02, label="share of the hottest place")
    return figure


(right,) = torch.where(predicted == classes)
(wrong,) = torch.where(predicted != classes)
chosen = torch.cat([right[:3], wrong[:1]])
with GradCAM(model) as cam:
    heats = cam(images[chosen], predicted[chosen])

# %% alt="Two cats and two dogs, heat on their faces; the last dog is read as cat"
names = ["cat", "dog"]
titles = [
    f"{names[classes[i]]}, read as {names[predicted[i]]} "
    f"({torch.stack([1 - dog[i], dog[i]])[predicted[i]]:.2f})"
    for i in chosen
]
draw_heat(images[chosen], heats, titles)

# %% [markdown]
# The heat lies on the faces, in the fourth too: the places that speak for cat are on
# the dog's head. What it found there the map does not say. Each place is 32 pixels
# wide, and sees its surroundings too, in principle the whole photograph. So a map says
# roughly where, never which pixels. Each map is divided by its hottest place, so
# colours of two maps cannot be compared: a weak answer glows too.
#
# Does heat mean something? Blur the hottest fifth of a photograph: the logit of the
# class falls by more than if the same shape is blurred elsewhere. That was so in at
# least 88 % of 60 other photographs, for each of five seeds: it falls by 1.3 to 2.3,
# elsewhere by about 0.
#
# ## Exercises
#
# **1. Predict, then run.** Draw the heat map of the same dog for the class cat
# (`cam(photo, 0)`). Where is it hot: in the same places, elsewhere, or nowhere?

# %% tags=["answer"]
with GradCAM(model) as cam:
    cat = cam(photo, 0)
both = (heat > 0) & (cat > 0)
print(f"of 49 places hot for dog {(heat > 0).sum()}, for cat {(cat > 0).sum()}")
print("for both:", both.sum().item())

# %% [markdown] tags=["answer"]
# Elsewhere or nowhere. The network has one logit: what raises it speaks for dog, what
# lowers it speaks for cat. So before ReLU the second map is the negative of the first,
# and no place can be hot in both.

# %% tags=["hide"]
assert not both.any()

# %% [markdown]
# **2. Write it.** Behind the last maps this network has an average over the places and
# one dense layer. For such a network there is an older method without a gradient, the
# **class activation map** (CAM): add the maps with the weights of the dense layer.
# `backbone(photo)` gives the maps, `dense.weight[0]` the weights. Is it the same as
# Grad-CAM?

# %%
dense = model.network.classifier.output


def class_activation_map(photo):
    """Return the map (7, 7) of the class dog; no gradient, no ReLU."""
    ...


# %%
def check(function):
    """Compare with Grad-CAM; both are scaled to a maximum of 1."""
    with torch.no_grad():
        result = function(photo)
    if result is None:
        return "not yet: it returns nothing"
    if result.shape != heat[0].shape:
        return f"not yet: {tuple(result.shape)}, should be {tuple(heat[0].shape)}"
    result = result.relu()
    if not torch.allclose(result / result.max(), heat[0] / heat.max(), atol=1e-4):
        return "not yet: another map than Grad-CAM's"
    return "you have it: CAM equals Grad-CAM here"


check(class_activation_map)


# %% tags=["answer"]
def class_activation_map_answer(photo):
    """Return the map (7, 7) of the class dog; no gradient, no ReLU."""
    (maps,) = backbone(photo)
    return (dense.weight[0][:, None, None] * maps).sum(dim=0)


print(check(class_activation_map_answer))
with torch.no_grad():
    evidence = class_activation_map_answer(photo)
    print("ratio to Grad-CAM:", (evidence.relu().max() / heat.max()).round().item())
    print(f"mean + bias {evidence.mean() + dense.bias[0]:.3f}, logit {logit:.3f}")

# %% [markdown] tags=["answer"]
# The average divides each value by 49. So the gradient of the logit is the dense weight
# divided by 49, at all places of a map: the maps are the same but for this factor. And
# CAM's mean, with the bias, is the logit. It splits the answer over the places.
# Grad-CAM also works where more layers follow.

# %% tags=["hide"]
assert check(class_activation_map).startswith("not yet")
assert check(class_activation_map_answer).startswith("you have it")
assert torch.allclose(evidence.relu() / 49, heat[0], atol=1e-5)
assert torch.allclose(evidence.mean() + dense.bias[0], logit, atol=1e-3)

# %% [markdown]
# **3. Change one thing.** Take the maps of an earlier block for the four photographs:
# `GradCAM(model, "network.backbone.model.features.13")`. There are more places. Is the
# heat map better?

# %% tags=["answer"] alt="The same photographs; small hot spots, many at the border"
with GradCAM(model, "network.backbone.model.features.13") as cam:
    finer = cam(images[chosen], predicted[chosen])
draw_heat(images[chosen], finer, titles)

# %% [markdown] tags=["answer"]
# No. The eyes of the second are hot; else the heat lies on walls, at the border and on
# a paw. Grad-CAM gives a map one weight, the mean of its gradient. The blocks that
# follow here weigh the places of a map differently.

# %% tags=["hide"]
assert finer.shape[1:] == (14, 14)

# %% [markdown]
# **4. Find the mistake.** This loop shall compute the maps of three photographs, and
# returns three equal ones. Why?

# %%
kept = []
handle = net[18].register_forward_hook(lambda *args: kept.append(args[-1]))
loop = []
with torch.no_grad():
    for image in images[:3]:
        model(image[None])
        loop.append(kept[0])

# %% tags=["answer"]
print("equal:", loop[0].equal(loop[1]), "; outputs kept:", len(kept))
handle.remove()

# %% [markdown] tags=["answer"]
# The hook appends at each call, and `kept[0]` stays the output for the first
# photograph. Take `kept[-1]`. And remove a hook when you are done: else it keeps the
# maps of all later calls.

# %% tags=["hide"]
assert loop[0].equal(loop[2])
assert not kept[0].equal(kept[1])
assert len(kept) == 3

# %% [markdown]
# ## Summary
#
# - Activations are the outputs of a layer; each channel is a picture.
# - Gradient ascent on the pixels shows what a filter responds to: early filters to
#   textures, deeper ones to combinations.
# - Grad-CAM weighs the maps of the last convolution by the gradient of a class's logit.
# - A hook reads the output of a layer inside; remove it afterwards.
#
# **On the command line**: `dlp visualize activations cats_dogs`,
# `dlp visualize filters vgg16` and `dlp visualize heatmap cats_dogs` draw the same for
# a run of your own or a network of torchvision.
#
# Next: [Your data](10_your_data.py)
