"""What a fold's numbers depend on, in plain values, so that two folds can be compared.

Values are compared, never the text of an object: that has places in memory in it, leaves out the
middle of arrays, and is written anew in each release of a library.
"""

import functools
import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xxhash
from lightning import LightningModule
from torch import Tensor

from dlp.datamodules.base import SupervisedDataModule
from dlp.modules.base import SupervisedModule


def made_of(model: LightningModule, data: SupervisedDataModule) -> dict[str, str]:
    """Return a hash of the data and one of the model, weights and seeds left out.

    Args:
        model: A new model: what a fit sets on it is no part of what it was.
        data: The data that it was made for.
    """
    layers = dict(model.named_modules())
    del layers[""]  # the model itself, of which its arguments say what it is
    facts: dict[str, Any] = {
        "model": plain(type(model)),
        "arguments": plain(dict(model.hparams)),
        "layers": {name: plain(layer, inside=True) for name, layer in layers.items()},
        "weights": [
            [name, list(weight.shape), str(weight.dtype), weight.requires_grad]
            for name, weight in model.named_parameters()
        ],
    }
    if isinstance(model, SupervisedModule):
        optimizer = model.make_optimizer(model.parameter_groups())
        groups = [{**group, "params": len(group["params"])} for group in optimizer.param_groups]
        facts["training"] = [model.l1, model.l2, plain(type(optimizer)), plain(groups)]
    structure = _hash(json.dumps(facts).encode())
    return {"data": data.labelled_rows()[1].fingerprint(), "structure": structure}


def plain(value: Any, inside: bool = False) -> Any:
    """Return a value as JSON has it: an array as a hash, a function or a class as its path.

    Args:
        value: Anything.
        inside: Look into an object, for its public attributes; else it is no more than its class.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | Tensor):
        array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        return [str(array.dtype), list(array.shape), _hash(np.ascontiguousarray(array).tobytes())]
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, functools.partial):
        return [plain(each) for each in (value.func, value.args, value.keywords)]
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    own = vars(value) if inside and hasattr(value, "__dict__") else {}
    public = {name: plain(each) for name, each in own.items() if not name.startswith("_")}
    return {"class": plain(type(value)), **public}


def _hash(content: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(content)
