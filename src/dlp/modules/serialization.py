"""Entry ``use`` of a checkpoint: plain values from which a trained model is built again."""

from collections.abc import Mapping
from importlib import import_module, metadata
from typing import Any

from torch import nn

from dlp.errors import InputError

FORMAT = 1
_HEADS = ("Sigmoid", "Softmax", "Multilabel", "Regression", "BoundedRegression")
#: Classes that a file may name; others are code of its author, which is given by the caller.
_CLASSES = {
    "dlp.modules.networks.DenseNet",
    "dlp.modules.networks.ConvNet",
    "dlp.modules.pretrained.network.PretrainedNet",
    *(f"dlp.modules.heads.{name}Head" for name in _HEADS),
}


def make_entry(network: nn.Module, head: Any, data: Any, epoch: int) -> dict[str, Any]:
    """Return the entry of a network, its head and the DataModule that it is trained on.

    Without a DataModule of the project, rows are arrays as the network takes them.
    """
    inputs, card = {"kind": "array", "shape": getattr(network, "input_shape", None)}, {}
    names = ["value"] if head.num_outputs == 1 else [*map(str, range(head.num_outputs))]
    if hasattr(data, "input_spec"):
        inputs, names = data.input_spec(), data.output_names or names
        parts = [part for part in ("train", "val", "test") if data.has(part)]
        card["rows"] = {part: len(data.examples(part)) for part in parts}
    answer = {"prediction": head.prediction, "task": head.task, "threshold": head.threshold}
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "pillow")}
    return {
        "format": FORMAT,
        "network": _describe(network),
        "head": {**_describe(head), **answer, "names": [*names]},
        "inputs": inputs,
        "card": {"data": type(data).__name__, "epoch": epoch, "versions": versions, **card},
    }


def _describe(module: nn.Module) -> dict[str, Any]:
    path = f"{type(module).__module__}.{type(module).__qualname__}"
    return {"class": path, "arguments": getattr(module, "arguments", None)}


def build(description: Mapping[str, Any], role: str) -> Any:
    """Build a network or a head of the project.

    Raises:
        InputError: If the class is not one of the project's.
    """
    if description["class"] not in _CLASSES:
        raise InputError(
            f"the {role} is a {description['class']}, whose code a file cannot bring; give it: "
            f"Predictor.load(path, {role}=...)."
        )
    module, _, name = description["class"].rpartition(".")
    arguments = dict(description["arguments"])
    if "backbone" in arguments:
        from dlp.modules.pretrained.backbone import Backbone

        arguments["backbone"] = Backbone(**arguments["backbone"])
    return getattr(import_module(module), name)(**arguments)
