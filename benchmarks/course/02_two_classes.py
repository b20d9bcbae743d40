"""Numbers behind the general claims of the notebook on reviews (section 3.4)."""

import re
from typing import Any

import torch
from claims import Claim
from lightning import Trainer

from dlp.callbacks import History
from dlp.datamodules import IMDBDataModule
from dlp.modules import DenseModule

QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
TEXTS = {
    "liked": "A wonderful film. The story is moving and the actors are great.",
    "disliked": "A boring film. The story is a mess and the actors are terrible.",
}


def is_sure(probabilities: Any, targets: Any) -> Any:
    """Return whether the probability of each row is below 0.1 or above 0.9."""
    return (probabilities - 0.5).abs() > 0.4


def fit(data: Any, seed: int, epochs: int, **settings: Any) -> Any:
    """Train a new network; return the network and its metrics per epoch."""
    torch.manual_seed(seed)
    settings = {"hidden": [16, 16], "metrics": ["acc", is_sure]} | settings
    model = DenseModule(data.input_shape, data.num_outputs, "sigmoid", **settings)
    history = History()
    Trainer(max_epochs=epochs, callbacks=[history], **QUIET).fit(model, data)
    return model, history.metrics


def measure(seed: int) -> dict[str, Any]:
    """Train networks on the reviews. The seed decides on initial weights and batches."""
    torch.set_num_threads(1)
    data = IMDBDataModule(num_words=10_000, val_size=0.4)
    numbers = {}

    _, once = fit(data, seed, 1)
    model, _ = fit(data, seed, 1)
    [after] = Trainer(**QUIET).validate(model, data.train_dataloader(), verbose=False)
    numbers["during epoch 1, training loss"] = once["train_loss"][0]
    numbers["after epoch 1, training loss"] = after["val_loss"]
    numbers["after epoch 1, validation loss"] = once["val_loss"][0]

    _, metrics = fit(data, seed, 24)
    losses, accuracies = metrics["val_loss"], metrics["val_acc"]
    best = 1 + losses.index(min(losses))
    numbers["best epoch"] = best
    for epochs in (12, 24):
        last = epochs - 1
        numbers[f"loss rises by epoch {epochs}"] = losses[last] - min(losses)
        numbers[f"training loss, epoch {epochs}"] = metrics["train_loss"][last]
        numbers[f"accuracy falls by epoch {epochs}"] = max(accuracies) - accuracies[last]
        numbers[f"sure, epoch {epochs}"] = metrics["val_is_sure"][last]
        numbers[f"accuracy, epoch {epochs}"] = accuracies[last]
    numbers["lowest loss"] = min(losses)
    numbers["highest accuracy"] = max(accuracies)
    numbers["accuracy, epoch 2"] = accuracies[1]
    numbers["sure, epoch 2"] = metrics["val_is_sure"][1]

    _, linear = fit(data, seed, 12, activation="linear")
    numbers["linear, highest accuracy"] = max(linear["val_acc"])
    numbers["linear, lowest loss"] = min(linear["val_loss"])

    for encoding in ("multi_hot", "count", "tfidf", "sublinear_tfidf"):
        encoded = IMDBDataModule(num_words=10_000, val_size=0.4, encoding=encoding)
        _, curves = fit(encoded, seed, 12)
        numbers[f"{encoding}, accuracy"] = max(curves["val_acc"])
        numbers[f"{encoding}, loss"] = min(curves["val_loss"])

    num_val = len(data.examples("val"))
    data = data.with_split(data.split.without_validation())
    model, _ = fit(data, seed, 4)
    [result] = Trainer(**QUIET).test(model, data, verbose=False)
    numbers["test accuracy"] = result["test_acc"]
    batch = data.inputs("train")[torch.arange(num_val)]
    truth = torch.from_numpy(data.targets.encode(data.examples("train").targets[:num_val]))
    ids = {word: id for id, word in enumerate(data.encoder.words_, start=4)}
    with torch.no_grad():
        is_right = (model(batch).flatten() > 0) == (truth.flatten() == 1)
        numbers["accuracy on rows it trained on"] = is_right.float().mean().item()
        for name, text in TEXTS.items():
            row = torch.zeros(1, 10_000)
            row[0, [1] + [ids.get(word, 2) for word in re.findall(r"[\w']+", text.lower())]] = 1
            numbers[name] = model(row).sigmoid().item()
    return numbers


CLAIMS = [
    Claim(
        "The loss on the training rows is lower after epoch 1 than on average during it, and then "
        "lower than that on the validation rows.",
        [
            "during epoch 1, training loss",
            "after epoch 1, validation loss",
            "after epoch 1, training loss",
        ],
        lambda n: (
            n["during epoch 1, training loss"]
            > n["after epoch 1, validation loss"]
            > n["after epoch 1, training loss"]
        ),
    ),
    Claim(
        "The validation loss turns in one of the epochs 3 to 6.",
        ["best epoch"],
        lambda n: 3 <= n["best epoch"] <= 6,
    ),
    Claim(
        "By epoch 12 it has risen by more than 0.1, and it rises on to epoch 24.",
        ["loss rises by epoch 12", "loss rises by epoch 24"],
        lambda n: 0.1 < n["loss rises by epoch 12"] < n["loss rises by epoch 24"],
    ),
    Claim(
        "The training loss falls to the end.",
        ["training loss, epoch 12", "training loss, epoch 24"],
        lambda n: 0.15 > n["training loss, epoch 12"] > n["training loss, epoch 24"],
    ),
    Claim(
        "The accuracy falls by less than four points meanwhile.",
        ["accuracy falls by epoch 12", "accuracy falls by epoch 24"],
        lambda n: max(n["accuracy falls by epoch 12"], n["accuracy falls by epoch 24"]) < 0.04,
    ),
    Claim(
        "The longer it trains, the surer it is; it is not right more often.",
        ["sure, epoch 2", "sure, epoch 12", "sure, epoch 24", "accuracy, epoch 2"],
        lambda n: (
            n["sure, epoch 2"] + 0.2 < n["sure, epoch 12"] < n["sure, epoch 24"]
            and n["accuracy, epoch 12"] < n["accuracy, epoch 2"] + 0.01
        ),
    ),
    Claim(
        "A network without activations reaches the same accuracy within a point.",
        ["highest accuracy", "linear, highest accuracy"],
        lambda n: abs(n["highest accuracy"] - n["linear, highest accuracy"]) < 0.01,
    ),
    Claim(
        "tf-idf has a lower loss than multi-hot rows; in accuracy it gains a point at most.",
        ["multi_hot, loss", "tfidf, loss", "multi_hot, accuracy", "tfidf, accuracy"],
        lambda n: (
            n["tfidf, loss"] < n["multi_hot, loss"] - 0.01
            and 0 < n["tfidf, accuracy"] - n["multi_hot, accuracy"] < 0.01
        ),
    ),
    Claim(
        "tf-idf has a lower loss than counts.",
        ["count, loss", "tfidf, loss"],
        lambda n: n["tfidf, loss"] < n["count, loss"] - 0.01,
    ),
    Claim(
        "The final network is right on 86 to 90 % of the test.",
        ["test accuracy"],
        lambda n: 0.86 < n["test accuracy"] < 0.9,
    ),
    Claim(
        "It is better by 5 points on rows that it trained on.",
        ["accuracy on rows it trained on", "test accuracy"],
        lambda n: n["accuracy on rows it trained on"] > n["test accuracy"] + 0.05,
    ),
    Claim(
        "It tells the two reviews of one's own apart.",
        ["liked", "disliked"],
        lambda n: n["liked"] > 0.7 and n["disliked"] < 0.3,
    ),
]
