"""Entry ``use`` of a checkpoint: plain values from which a trained model is built again."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module, metadata
from typing import Any

from torch import nn

from dlp.errors import InputError
from dlp.modules.ensemble import EnsembleNet
from dlp.modules.heads import Head

FORMAT = 1


def make_entry(
    network: nn.Module,
    head: Head,
    data: Any,
    epoch: int,
) -> dict[str, Any]:
    """Return the entry of a network and its head, trained on a DataModule for some epochs.

    A DataModule of the project describes its rows. Without one they are arrays as the network takes
    them.
    """
    if hasattr(data, "use_entry"):
        rows = data.use_entry()
    else:
        inputs = {"kind": "array", "shape": getattr(network, "input_shape", None)}
        rows = {"inputs": inputs, "names": None, "card": {"data": type(data).__name__}}
    names = rows["names"]
    if not names:
        names = ["value"] if head.num_outputs == 1 else map(str, range(head.num_outputs))
    answer = {"prediction": head.prediction, "task": head.task, "threshold": head.threshold}
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "pillow")}
    return {
        "format": FORMAT,
        "network": _describe(network),
        "head": {**_describe(head), **answer, "names": list(names)},
        "inputs": rows["inputs"],
        "card": {**rows["card"], "epoch": epoch, "versions": versions},
    }


def _describe(module: nn.Module) -> dict[str, Any]:
    arguments = getattr(module, "arguments", None)
    if isinstance(module, EnsembleNet):
        members = [_describe(member) for member in module.members]
        arguments = {"members": members, "link": module.link, "scale": module.scale}
    return {"class": class_path(module), "arguments": arguments}


def class_path(value: object) -> str:
    """Return the import path of the class of an object."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def build(description: Mapping[str, Any], role: str) -> Any:
    """Build the ``network`` or the ``head`` that an entry describes.

    Raises:
        InputError: If its class is neither one of the project's nor an imported head.
    """
    path = description["class"]
    builder = None
    if role == "head":
        builder = imported_class(path, Head, "dlp.modules")
    elif path.startswith("dlp.modules."):
        builder = imported_class(path, nn.Module, "dlp.modules")
    if builder is None:
        raise InputError(
            f"the {role} is a {path}, whose code a file cannot bring; import a head first, or give "
            f"it: Predictor.load(path, {role}=...)."
        )
    arguments = dict(description["arguments"])
    if "backbone" in arguments:
        from dlp.modules.pretrained.backbone import Backbone

        arguments["backbone"] = Backbone(**arguments["backbone"])
    if "members" in arguments:
        arguments["members"] = [build(member, "network") for member in arguments["members"]]
    return builder(**arguments)


def imported_class(path: str, base: type, package: str) -> Any:
    """Return a subclass of `base` of a package of the project, or one that the program imported.

    A file imports nothing else, and its values reach the constructor of no other class.
    """
    module, _, name = path.rpartition(".")
    if f"{module}.".startswith(f"{package}."):
        with suppress(ImportError, ValueError):
            import_module(module)
    value = getattr(sys.modules.get(module), name, None)
    if isinstance(value, type) and issubclass(value, base):
        return value
    return None
