"""Numbers behind the general claims of the notebook on newswires (section 3.5)."""

import re
import tarfile
from typing import Any

import pandas as pd
import torch
from claims import Claim, Numbers
from lightning import Trainer
from torchmetrics.functional import f1_score
from torchmetrics.functional.classification import binary_auroc

from dlp.callbacks import History
from dlp.datamodules import ReutersDataModule
from dlp.datamodules.splits import keras_order
from dlp.modules import DenseModule

QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
WIDTHS = (4, 8, 16, 64)


def all_topics(data: Any) -> Any:
    """Return the names of all topics of each wire, in the order of the training part."""
    texts = []
    with tarfile.open(data.folder / "reuters21578" / "reuters21578.tar.gz") as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if member.name.endswith(".sgm"):
                texts.append(archive.extractfile(member).read().decode("latin-1"))
    lists = re.findall(r"<TOPICS>(.*?)</TOPICS>", "".join(texts))
    topics = pd.Series([re.findall(r"<D>(.*?)</D>", names) for names in lists if names])
    first = topics.str[0]
    topics = topics[first.groupby(first).transform("size") >= 15]
    return topics.iloc[keras_order(len(topics))].tolist()


def fit(data: Any, seed: int, epochs: int, hidden: list[int]) -> Any:
    """Train a new network; return the network and its metrics per epoch."""
    torch.manual_seed(seed)
    model = DenseModule(data.input_shape, data.num_outputs, "softmax", hidden=hidden)
    history = History()
    Trainer(max_epochs=epochs, callbacks=[history], **QUIET).fit(model, data)
    return model, history.metrics


def measure(seed: int) -> dict[str, Any]:
    """Train networks on the newswires. The seed decides on initial weights and batches."""
    torch.set_num_threads(1)
    data = ReutersDataModule(num_words=10_000, val_size=1000)
    inputs, targets = next(iter(data.val_dataloader()))
    numbers = {}

    model, metrics = fit(data, seed, 15, [64, 64])
    losses = metrics["val_loss"]
    numbers["best epoch of 15"] = 1 + losses.index(min(losses))
    numbers["accuracy"] = metrics["val_acc"][-1]
    with torch.no_grad():
        probabilities = model(inputs).softmax(1)
    predicted = probabilities.argmax(1)
    names = data.class_names
    topic = names.index("reserves")
    is_topic, is_said = targets == topic, predicted == topic
    found = (is_topic & is_said).sum().item()
    numbers["precision"] = found / max(1, is_said.sum().item())
    numbers["recall"] = found / is_topic.sum().item()
    numbers["AUC"] = binary_auroc(probabilities[:, topic], is_topic.long()).item()
    topics = all_topics(data)[:1000]
    assert [names_of_wire[0] for names_of_wire in topics] == [names[i] for i in targets]
    wrong = (predicted != targets).nonzero().flatten().tolist()
    numbers["mistakes"] = len(wrong)
    numbers["share that names another topic of the wire"] = sum(
        names[predicted[row]] in topics[row] for row in wrong
    ) / len(wrong)
    of_topics = f1_score(predicted, targets, "multiclass", num_classes=46, average="none")
    numbers["mean F1 of the topics"] = of_topics[targets.unique()].mean().item()

    for units in WIDTHS:
        _, metrics = fit(data, seed, 30, [64, units])
        for epochs in (15, 30):
            numbers[f"{units} units, epoch {epochs}"] = metrics["val_acc"][epochs - 1]
            numbers[f"{units} units, training, epoch {epochs}"] = metrics["train_acc"][epochs - 1]
    losses = metrics["val_loss"]
    numbers["best epoch of 30"] = 1 + losses.index(min(losses))
    numbers["loss rises by epoch 30"] = losses[-1] - min(losses)
    _, first = fit(data, seed, 15, [4, 64])
    numbers["narrow layer first"] = first["val_acc"][-1]

    for text in ("own", "as_published"):
        wires = ReutersDataModule(num_words=10_000, val_size=None, text=text)
        model, _ = fit(wires, seed, 11, [64, 64])
        [result] = Trainer(**QUIET).test(model, wires, verbose=False)
        numbers[f"test accuracy, {text}"] = result["test_acc"]
    return numbers


def cost(numbers: Numbers, units: int, epochs: int) -> float:
    """Return how much lower the accuracy with a layer of some units is than with 64 units."""
    wide = numbers[f"64 units, epoch {epochs}"]
    return wide - numbers[f"{units} units, epoch {epochs}"]


CLAIMS = [
    Claim(
        "With each wire's own text the network is 8 to 10 points better on the test than with the "
        "published texts.",
        ["test accuracy, own", "test accuracy, as_published"],
        lambda n: 0.08 < n["test accuracy, own"] - n["test accuracy, as_published"] < 0.1,
    ),
    Claim(
        "Of the wires about `reserves` about half are found, with at most one false alarm.",
        ["recall", "precision"],
        lambda n: 0.4 <= n["recall"] <= 0.6 and n["precision"] > 0.8,
    ),
    Claim(
        "By their probabilities they are ranked well.",
        ["AUC"],
        lambda n: n["AUC"] > 0.95,
    ),
    Claim(
        "One mistake in six names another topic of the wire.",
        ["share that names another topic of the wire", "mistakes"],
        lambda n: 0.12 < n["share that names another topic of the wire"] < 0.22,
    ),
    Claim(
        "The mean F1 of the topics is far below the accuracy.",
        ["mean F1 of the topics", "accuracy"],
        lambda n: n["mean F1 of the topics"] < n["accuracy"] - 0.15,
    ),
    Claim(
        "After 15 epochs 16 units cost 3 points at most, 8 units 3 to 7, 4 units more than 10.",
        [f"{units} units, epoch 15" for units in WIDTHS],
        lambda n: (
            cost(n, 16, 15) < 0.0305 and 0.0295 < cost(n, 8, 15) < 0.07 and cost(n, 4, 15) > 0.1
        ),
    ),
    Claim(
        "After 30 epochs 8 units know the training wires by heart, and are still 2 to 4 points "
        "behind on others.",
        ["8 units, training, epoch 30", "8 units, epoch 30", "64 units, epoch 30"],
        lambda n: n["8 units, training, epoch 30"] > 0.99 and 0.02 < cost(n, 8, 30) < 0.04,
    ),
    Claim(
        "After 30 epochs 4 units are 9 points behind or more.",
        ["4 units, epoch 30", "64 units, epoch 30"],
        lambda n: cost(n, 4, 30) > 0.09,
    ),
    Claim(
        "A narrow layer costs accuracy wherever it is.",
        ["narrow layer first", "4 units, epoch 15", "64 units, epoch 15"],
        lambda n: n["narrow layer first"] < n["64 units, epoch 15"] - 0.05,
    ),
]
