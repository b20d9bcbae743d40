# %% [markdown]
# # 5.3 Pretrained networks
#
# A network that was trained on ImageNet, a million photographs of 1,000 classes, has
# filters for edges, fur, eyes and wheels. They serve other photographs too. So take its
# convolutions, the **backbone**, and train a small new network on top, the **head**.
#
# The backbone here is MobileNetV2. torchvision downloads its weights (14 MB) once; the
# environment variable `DLP_WEIGHTS` may name a file of weights instead, as for the
# numbers printed here; other weights give somewhat different ones. The task is that of
# section 5.2: cats or dogs, with 200 photographs to learn from.

# %%
# %matplotlib inline
import os
import time

import pandas as pd
import torch
from lightning import Trainer

from dlp.callbacks import CacheFeatures, History, Unfreeze
from dlp.datamodules import CatsVsDogsDataModule
from dlp.modules import Backbone, KerasRMSprop, PretrainedModule
from dlp.visualization import draw_runs

weights = os.environ.get("DLP_WEIGHTS", "DEFAULT")
torch.manual_seed(0)
data = CatsVsDogsDataModule(None, 250, image_size=96, val_size=200, test_size=100)
backbone = Backbone("mobilenet_v2", weights)
count = sum(parameter.numel() for parameter in backbone.parameters())
print(f"{count:,} weights in {len(backbone.stages)} stages")

# %% [markdown]
# ## Feature extraction in plain torch
#
# The backbone is **frozen**. That means two things: `requires_grad_(False)`, so that
# no weight changes, and `eval()`, so that batch normalisation keeps its statistics
# (below). `Backbone` does both. Its output for a photograph is then always the same.
# Compute it once for all photographs, without gradients, and take the mean of each
# map. Each photograph is now a row of 1,280 numbers, its **features**.


# %%
def extract(backbone, part):
    """Return the features of the photographs of a part, and their classes."""
    features, classes = [], []
    with torch.no_grad():
        for images, targets in data.loader(part):
            features.append(backbone(images).mean(dim=(2, 3)))
            classes.append(targets)
    return torch.cat(features), torch.cat(classes)


x_train, y_train = extract(backbone, "train")
x_val, y_val = extract(backbone, "val")
print(tuple(x_train.shape), tuple(x_val.shape))

# %% [markdown]
# The head is one dense layer. Each step takes all 200 rows at once.


# %%
def train_head(x_train, y_train, x_val, y_val):
    """Train a dense layer on features; return its validation accuracy."""
    torch.manual_seed(0)
    head = torch.nn.Linear(x_train.shape[1], 1)
    optimizer = KerasRMSprop(head.parameters(), lr=0.001)
    loss_function = torch.nn.BCEWithLogitsLoss()
    for _ in range(60):
        optimizer.zero_grad()
        loss = loss_function(head(x_train)[:, 0], y_train.float())
        loss.backward()
        optimizer.step()
    is_dog = head(x_val)[:, 0] > 0
    return (is_dog == y_val).float().mean().item()


head_accuracy = train_head(x_train, y_train, x_val, y_val)
print(f"validation accuracy {head_accuracy:.3f}")

# %% [markdown]
# ## Scale the images as the weights expect
#
# The backbone was trained on images whose colours have mean 0 and standard deviation 1.
# `Backbone` scales images in the same way by itself. With `scaling="unit"` it leaves
# them in [0, 1], and the same weights get inputs that they do not know.

# %%
unscaled = Backbone("mobilenet_v2", weights, scaling="unit")
unit_accuracy = train_head(*extract(unscaled, "train"), *extract(unscaled, "val"))
print(f"scaled {head_accuracy:.3f}, in [0, 1] {unit_accuracy:.3f}")

# %% tags=["hide", "real"]
assert head_accuracy > 0.85
assert unit_accuracy < head_accuracy - 0.04

# %% [markdown]
# ## The same with dlp
#
# `PretrainedModule` joins a backbone and a head, which is its `classifier`;
# `"sigmoid"` names the kind of answer. `CacheFeatures` stores the features, also for
# the next run. After the fit we compare each tensor of the backbone with its copy from
# before: frozen means equal to the last bit. The head trains on batches of 20 rows
# here, not on all rows at once, so its accuracy differs from the one above.


# %%
def fit(data, callbacks, epochs, **settings):
    """Return metrics, changed tensors of the backbone, seconds, and the model."""
    torch.manual_seed(0)
    settings = {"hidden": [], **settings}  # the head is one dense layer
    model = PretrainedModule(
        data.input_shape, 2, "sigmoid", "mobilenet_v2", weights, **settings
    )
    before = {
        name: t.clone() for name, t in model.network.backbone.state_dict().items()
    }
    history = History()
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=[history, *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    start = time.perf_counter()
    trainer.fit(model, data)
    seconds = time.perf_counter() - start
    after = model.network.backbone.state_dict()
    changed = [name for name, tensor in after.items() if not tensor.equal(before[name])]
    return history.metrics, changed, seconds, model


frozen, changed, _, frozen_model = fit(data, [CacheFeatures()], epochs=12)
print(f"tensors of the backbone that changed: {len(changed)}")
print(f"validation accuracy {frozen['val_acc'][-1]:.3f}")

# %% tags=["hide"]
assert changed == []
assert sum(p.numel() for p in frozen_model.network.classifier.parameters()) == 1281

# %% tags=["hide", "real"]
assert frozen["val_acc"][-1] > 0.8

# %% [markdown]
# ## Extraction with augmentation
#
# Augmentation changes each training photograph anew in every epoch. Then there are no
# features to store: every photograph has to go through the whole backbone in every
# epoch. `CacheFeatures` sees that and stores those of the validation part alone, which
# is not augmented. An epoch costs many times as much.

# %%
augmented_data = CatsVsDogsDataModule(
    None, 250, image_size=96, val_size=200, test_size=100, augmentation="flip"
)
_, augmented_changed, seconds, _ = fit(augmented_data, [CacheFeatures()], epochs=1)
_, _, stored_seconds, _ = fit(data, [CacheFeatures()], epochs=1)
print(f"1 epoch with augmentation: {seconds:.1f} s")
print(f"1 epoch on stored features: {stored_seconds:.1f} s")

# %% [markdown]
# Augmentation helps when the head overfits. With 2,000 photographs it gained nothing:
# `dlp fit --config cats_dogs_frozen --config mobilenet`.
#
# ## Fine-tuning
#
# The deepest stage of the backbone knows the objects of ImageNet. **Fine-tuning** lets
# it move a little towards your photographs. Two rules protect what it knows:
#
# - Train the head first. A new head makes large errors, and their gradients would
#   change the stage beyond repair.
# - Take a small learning rate for the backbone: here 0.00001, a hundredth of the
#   head's.
#
# ![First the head alone is trained, then the deepest stage with
# it](../docs/figures/fine_tuning.svg)
#
# `Unfreeze` here reverses both parts of freezing for one stage. `CacheFeatures` then
# stores what the stages before it return, which stay frozen.

# %%
unfreeze = Unfreeze(at_epoch=9, stages=1, train_batch_norm=True)
callbacks = [CacheFeatures(), unfreeze]
tuned, tuned_changed, _, tuned_model = fit(
    data, callbacks, epochs=12, backbone_lr=0.00001
)
print(f"tensors of the backbone that changed: {len(tuned_changed)}")
for name, metrics in {"frozen": frozen, "fine-tuned": tuned}.items():
    loss, accuracy = metrics["val_loss"][-1], metrics["val_acc"][-1]
    print(f"{name}: validation loss {loss:.3f}, accuracy {accuracy:.3f}")

# %% alt="Loss per epoch; the training loss jumps up when fine-tuning begins at epoch 9"
epochs = range(1, 13)
runs = {
    "frozen": [pd.DataFrame(frozen, epochs)],
    "fine-tuned from epoch 9": [pd.DataFrame(tuned, epochs)],
}
draw_runs(runs, ["train_loss", "val_loss"])

# %% tags=["hide"]
assert augmented_changed == []
assert seconds > stored_seconds
assert tuned_changed
stages = {int(name.split(".")[2]) for name in tuned_changed}
assert min(stages) == 14  # the deepest stage alone: features.14 to 18
first_epochs = zip(frozen["train_loss"][:8], tuned["train_loss"][:8], strict=True)
assert all(abs(one - other) < 0.01 for one, other in first_epochs)

# %% [markdown]
# Here fine-tuning gains nothing: after four epochs the validation loss is higher than
# without it. The cause is not the weights, which steps of 0.00001 move very little. The
# stage has **batch normalisation**, which shifts and scales the outputs of a layer by
# their mean and deviation. In training it takes those of the batch, here of 20
# photographs, so the training loss jumps at epoch 9. It also keeps a running mean and
# deviation, which validation takes, and these move away from those of ImageNet. Put
# ImageNet's back:

# %%
state = frozen_model.network.backbone.state_dict()
statistics = {name: tensor for name, tensor in state.items() if "running_" in name}
tuned_model.network.backbone.load_state_dict(statistics, strict=False)
trainer = Trainer(logger=False, enable_progress_bar=False)
[restored] = trainer.validate(tuned_model, data, verbose=False)
print(f"fine-tuned, with the statistics of ImageNet: {restored['val_loss']:.3f}")

# %% tags=["hide", "real"]
assert restored["val_loss"] < frozen["val_loss"][-1] + 0.05 < tuned["val_loss"][-1]

# %% [markdown]
# Now the two are about level. For this reason `Unfreeze` leaves batch normalisation in
# evaluation mode unless `train_batch_norm=True` is asked for, as Keras's guide to
# fine-tuning does; its scale and shift are trained. With 2,000 photographs and
# augmentation the two are level too, at 95 to 96 % of the test part. Last, the test
# part, once, with the frozen network, which is the simpler one.

# %%
[test] = trainer.test(frozen_model, data, verbose=False)
print(f"test accuracy {test['test_acc']:.3f}")

# %% tags=["hide", "real"]
assert test["test_acc"] > 0.8
assert tuned["train_loss"][8] > 2 * frozen["train_loss"][8]
assert tuned["val_loss"][-1] > frozen["val_loss"][-1]

# %% [markdown]
# ## Exercises
#
# **1. Predict, then run.** The head learned from 200 photographs. How much accuracy is
# left with the first 30 of them alone?

# %% tags=["answer"]
few_accuracy = train_head(x_train[:30], y_train[:30], x_val, y_val)
print(f"30 photographs {few_accuracy:.3f}, 200 photographs {head_accuracy:.3f}")

# %% [markdown] tags=["answer"]
# Most of it: the features already keep cats and dogs apart, so a few photographs are
# enough to train the head. The small convnet of section 5.2 learned from 1,000
# photographs, of 40 pixels, and was right on some 70 % of its validation part.

# %% tags=["hide", "real"]
assert 0.6 < few_accuracy < head_accuracy

# %% [markdown]
# **2. Change one thing.** Give the head a hidden layer of 64 units (`hidden=[64]`). How
# many weights does it train now, and does the validation accuracy rise? The features
# are stored, so the run is short.

# %% tags=["answer"]
hidden, _, _, hidden_model = fit(data, [CacheFeatures()], epochs=12, hidden=[64])
head = hidden_model.network.classifier
print(f"{sum(p.numel() for p in head.parameters()):,} weights in place of 1,281")
print(f"validation accuracy {hidden['val_acc'][-1]:.3f}")

# %% [markdown] tags=["answer"]
# The head has 64 times as many weights, and the accuracy hardly changes. A difference
# of a few photographs in 200 may be chance: for a decision, take more validation
# photographs or several folds (section 3.6).

# %% tags=["hide"]
assert sum(p.numel() for p in head.parameters()) == 64 * 1281 + 65

# %% tags=["hide", "real"]
assert abs(hidden["val_acc"][-1] - frozen["val_acc"][-1]) < 0.05

# %% [markdown]
# **3. Find the mistake.** This code is meant to freeze `body` and to train `head`. No
# error is raised. Call `step()`: is `body` frozen? If not, why?

# %%
torch.manual_seed(0)
body = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
head = torch.nn.Linear(8, 1)
body.requires_grad_ = False
optimizer = torch.optim.RMSprop([*body.parameters(), *head.parameters()], lr=0.01)


def step():
    """Take one step on eight photographs; return whether the body changed."""
    images, classes = next(iter(data.val_dataloader()))
    before = body[0].weight.clone()
    logits = head(body(images[:8]).mean(dim=(2, 3)))[:, 0]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, classes[:8].float()
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return not body[0].weight.equal(before)


# %% tags=["answer"]
changed_before = step()
del body.requires_grad_  # the method is visible again
body.requires_grad_(False)
changed_after = step()
print(f"body changes: {changed_before}; after the repair: {changed_after}")

# %% [markdown] tags=["answer"]
# `requires_grad_` is a method. The assignment replaces it on this object by `False`,
# and the weights stay as they were. Call it: `body.requires_grad_(False)`. Comparing
# the weights before and after a step finds the mistake; a glance at the code may not.

# %% tags=["hide"]
assert changed_before
assert not changed_after

# %% [markdown]
# ## Summary
#
# - A backbone that was trained on many photographs serves as a fixed function from
#   images to features; a small head learns the new classes from few photographs.
# - Features of frozen layers are computed once; with augmentation they are computed in
#   every epoch.
# - Images have to be scaled as those that the weights were trained on.
# - Fine-tuning comes after the head, for the deepest layers, at a small learning rate,
#   and it has to prove its worth on validation data.
# - Check that frozen weights are equal before and after.
#
# **On the command line**, with 2,000 photographs:
# `dlp fit --config cats_dogs_features --config mobilenet` reaches a test accuracy of
# 96 %; `--model.weights PATH` takes the weights of a file.
# `dlp fit --config cats_dogs_frozen --config mobilenet --config unfreeze` adds
# augmentation and fine-tuning.
#
# Next: [Seeing what a convnet sees](09_seeing.py)
