# %% [markdown]
# # 5.4 Seeing what a convnet sees
#
# The layers of a convnet return feature maps, and a map can be drawn as a picture. So
# you can look inside the network. This notebook does so in three ways. The
# **activations** are the outputs of a layer for one image. A **pattern** is the image
# to which a filter responds most. A **heat map** shows which places in an image speak
# for a class.
#
# The network is the MobileNetV2 from section 5.3, which was trained on ImageNet's
# photographs. Only its last layer is new: it learns to distinguish cats from dogs from
# 80 photographs. Another 80 photographs are the test part. The outputs on this page
# were computed with weights from another training than torchvision's weights, so your
# numbers will differ a little.

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
# MobileNetV2 is a chain of 19 blocks, numbered from 0. The five stages in section 5.3
# are groups of these blocks. `activations` takes the names of layers inside the network
# and returns their outputs. Here we take the first convolution in each of five blocks,
# after its ReLU.
#
# A channel is **empty** if it is 0 everywhere. Before you run the cell, guess: are
# there more empty channels in early blocks or in deep blocks?

# %%
blocks = "network.backbone.model.features"  # torchvision's name
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

# %% alt="A cat; twelve maps from three blocks: the cat, then parts, then a few places"
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
# The maps of block 2 still look like the photograph, with its edges and its light and
# dark parts. Deeper maps have fewer places, and they say less about how the photograph
# looks and more about what it shows.
#
# From block 2 to block 17, the deeper the block, the more channels are empty. This is
# what the book describes: activations get sparser with depth. In block 17, different
# channels are empty in different photographs, so each of its filters responds only to
# some photographs. Blocks 0 and 18 do not follow this rule. In block 0, twelve channels
# are empty in all photographs, because their filters respond to nothing.

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
# step, so that the mean of the filter's map grows. This is gradient ascent, applied to
# the pixels instead of the weights.

# %%
backbone = model.network.backbone  # MobileNetV2
net = backbone.model.features  # its blocks
expand = net[4].conv[0][0]  # the first convolution in block 4

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
# each step, because otherwise patterns that look like a grid would appear, and it cuts
# off the border at the end.

# %% alt="Six patterns from each of three blocks: textures; spots, braids; arcs, swirls"
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
# Block 4 responds to textures: spots, a fine net, stripes in one direction. Block 7
# sees more of the image and shows rings, braids and round spots with a bright centre,
# like eyes. Block 11 shows arcs, fans and swirls. (For receptive fields, see
# [Convnets](07_convnets.py).)
#
# ## Heat maps
#
# Which places in a photograph speak for its class? **Grad-CAM** answers this question
# with the maps of the last convolution, in four steps:
#
# 1. A **hook** keeps the maps while the network computes the logit of the class. A hook
#    is a function that torch calls with the output of a layer. (Our network has only
#    one logit; for the class cat, we take its negative.)
# 2. The gradient shows how the logit changes with each value in the maps.
# 3. The mean of the gradient over a map is the weight of this map.
# 4. The maps are multiplied by their weights and added. ReLU keeps only what speaks for
#    the class.
#
# ![Two maps, multiplied by their weights and added; ReLU sets negative places to
# 0](../docs/figures/grad_cam.svg)

# %%
photo = images[classes == 1][:1]  # a dog: the only logit belongs to class 1
kept = []


def keep(layer, inputs, output):
    """Keep the maps, and let torch compute the gradient down to them."""
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
# The next figure shows four photographs. The network reads the first three correctly
# and the fourth one wrongly. Each heat map is for the class that the network chose.
# Where will the heat be in the fourth photograph?


# %%
def draw_heat(photos, heats, titles):
    """Draw photographs, and below each one its heat over a grey copy."""
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    panels = figure.subplots(2, len(photos))
    for column, photo, heat, title in zip(panels.T, photos, heats, titles, strict=True):
        heat = nn.functional.interpolate(heat[None, None], 224, mode="bilinear")[0, 0]
        heat = heat / heat.max().clamp_min(1e-9)
        column[0].imshow(photo.permute(1, 2, 0))
        column[0].set_title(title)
        column[1].imshow(photo.mean(dim=0), cmap="gray", vmin=0, vmax=1)
        # Places without heat show only the photograph.
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

# %% alt="Two cats and two dogs with heat on their faces; the last dog is read as a cat"
names = ["cat", "dog"]
titles = [
    f"{names[classes[i]]}, read as {names[predicted[i]]} "
    f"({torch.stack([1 - dog[i], dog[i]])[predicted[i]]:.2f})"
    for i in chosen
]
draw_heat(images[chosen], heats, titles)

# %% [markdown]
# The heat is on the faces. This is also true in the fourth photograph, where the places
# that speak for the class cat are on the dog's head. The map does not show what the
# network found there. Each place is 32 pixels wide, and its value also depends on the
# pixels around it, in principle on the whole photograph. So a map shows roughly where
# the network found something, but never which pixels count. The colours of two maps
# cannot be compared, because each map is divided by its own highest value, so even a
# weak response looks bright.
#
# Does the heat mean anything? To find out, blur the hottest fifth of a photograph. The
# logit of the class then falls by more than if you blur an area of the same shape
# elsewhere. We measured this on 60 other photographs with each of five seeds, and it
# was true for at least 88 % of them. The logit fell by 1.3 to 2.3, and by about 0 when
# the blurred area was elsewhere.
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
# It is hot elsewhere or nowhere. The network has only one logit: what raises this logit
# speaks for dog, and what lowers it speaks for cat. So before ReLU, the second map is
# the negative of the first, and no place can be hot in both.

# %% tags=["hide"]
assert not both.any()

# %% [markdown]
# **2. Write it.** After its last maps, this network does only two things: it takes the
# mean of each map, and it applies one dense layer. For such a network there is an older
# method that needs no gradient, the **class activation map** (CAM): multiply the maps
# by the weights of the dense layer and add them. `backbone(photo)` returns the maps,
# and `dense.weight[0]` contains the weights. Is the result the same as with Grad-CAM?

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
# The mean divides each value by 49. So the gradient of the logit is the weight of the
# dense layer divided by 49, at every place in a map, and the two heat maps differ only
# by this factor. The mean of the CAM plus the bias is the logit, so the CAM shows how
# much each place contributes to the answer. Grad-CAM can be used more widely, because
# it also works if more layers follow the maps.

# %% tags=["hide"]
assert check(class_activation_map).startswith("not yet")
assert check(class_activation_map_answer).startswith("you have it")
assert torch.allclose(evidence.relu() / 49, heat[0], atol=1e-5)
assert torch.allclose(evidence.mean() + dense.bias[0], logit, atol=1e-3)

# %% [markdown]
# **3. Change one thing.** For the same four photographs, take the maps of an earlier
# block: `GradCAM(model, "network.backbone.model.features.13")`. These maps have more
# places. Does this make the heat maps better?

# %% tags=["answer"] alt="The same photographs; small hot spots, many at the border"
with GradCAM(model, "network.backbone.model.features.13") as cam:
    finer = cam(images[chosen], predicted[chosen])
draw_heat(images[chosen], finer, titles)

# %% [markdown] tags=["answer"]
# No. In the second photograph the eyes are hot. Apart from that, the heat is on walls,
# at the border and on a paw. The reason is that Grad-CAM gives each map only one
# weight, the mean of its gradient. But here more blocks follow, and they weigh
# different places in a map differently.

# %% tags=["hide"]
assert finer.shape[1:] == (14, 14)

# %% [markdown]
# **4. Find the mistake.** This loop should compute the maps of three photographs, but
# it returns the same maps three times. Why?

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
# The hook appends to `kept` at each call, so `kept[0]` is always the output for the
# first photograph. Take `kept[-1]` instead. Also remove the hook when you are done with
# it, because otherwise it keeps the maps of all later calls.

# %% tags=["hide"]
assert loop[0].equal(loop[2])
assert not kept[0].equal(kept[1])
assert len(kept) == 3

# %% [markdown]
# ## Summary
#
# - Activations are the outputs of a layer, and each channel is a picture.
# - Gradient ascent on the pixels shows what a filter responds to: early filters respond
#   to textures, deeper ones to combinations.
# - Grad-CAM weights the maps of the last convolution by the gradient of a class's
#   logit.
# - A hook reads the output of a layer inside the network. Remove it afterwards.
#
# **On the command line**: `dlp visualize activations cats_dogs`,
# `dlp visualize filters vgg16` and `dlp visualize heatmap cats_dogs` draw the same
# pictures for one of your runs or for a network from torchvision.
#
# Next: [Your data](10_your_data.py)
