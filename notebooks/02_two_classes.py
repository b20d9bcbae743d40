# %% [markdown]
# # 2. Two classes
#
# Did the writer like the film? Yes or no: two classes are the most common problem of
# all. Texts must become numbers first. Take the most frequent words of the training
# reviews and note for each review which of them it contains: a row of zeros and ones,
# **multi-hot**.

# %%
# %matplotlib inline
import torch
from lightning import Trainer
from sklearn.datasets import load_breast_cancer

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule, IMDBDataModule
from dlp.evaluation.baselines import guess_scores
from dlp.files import data_dir
from dlp.modules import DenseModule
from dlp.visualization import draw_curves

torch.manual_seed(0)
torch.set_num_threads(1)  # the fastest for a small network
if (data_dir() / "imdb").is_dir():
    print("5,000 film reviews, of which 2,000 validate")
    epochs, reviews = 10, {"num_words": 5000, "train_size": 3000, "val_size": 2000}
    data = IMDBDataModule(**reviews, batch_size=128)
else:
    print("IMDB is not here: a table of scikit-learn, benign and malignant tumours")
    x, y = load_breast_cancer(return_X_y=True)
    names = ["malignant", "benign"]
    data = ArrayDataModule(x, y, scaling="standard", test_size=0.2, class_names=names)
    epochs = 60
print("one row:", data.readable("train", [0])[0][:60], "...")
print("numbers per row:", data.input_shape, "classes:", data.class_names)

# %% [markdown]
# Two hidden layers of 16 units, then **one** output. The **sigmoid** squeezes it into a
# probability from 0 to 1, that of the second class. The loss is **binary cross
# entropy**: it is small for a confident right answer and very large for a confident
# wrong one.

# %%
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def fit(epochs):
    """Train a new network."""
    model = DenseModule(data.input_shape, data.num_outputs, "sigmoid", hidden=[16, 16])
    history = History()
    trainer = Trainer(max_epochs=epochs, callbacks=[history], **quiet)
    trainer.fit(model, data)
    return model, trainer, history.metrics


model, trainer, metrics = fit(epochs)

# %% [markdown]
# Watch the two losses part. On the training rows it falls on and on; on the validation
# rows it falls, turns, and rises. From the turn on, the network learns its training
# rows by heart: it **overfits**. Accuracy shows this later than the loss does.

# %% alt="Training loss falls to the end; validation loss turns at the marked epoch"
losses = metrics["val_loss"]
best = 1 + losses.index(min(losses))
draw_curves(metrics, best_epoch=best)

# %% [markdown]
# So the epoch of the lowest validation loss is where to stop. A new network is trained
# up to there, and the test part is asked once. What would a guess have scored? A number
# means little without that.

# %%
model, trainer, _ = fit(best)
[result] = trainer.test(model, data, verbose=False)
guess = guess_scores(model, data, "test")["majority_class"]
print(f"{best} epochs: right on {result['test_acc']:.1%} of the test")
print(f"the larger class, always: {guess['acc']:.1%}")

# %% tags=["hide"]
assert result["test_acc"] > guess["acc"] + 0.2

# %% [markdown]
# **On the command line**, with 15,000 reviews to train on: `dlp fit --config imdb`, and
# `dlp predict --config imdb --text "A film to remember"` for a text of your own.
# Trained on all 25,000 for four epochs it is right on 88 % of the test.
#
# Next: [many classes](03_many_classes.py)
