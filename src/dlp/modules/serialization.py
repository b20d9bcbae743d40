"""A network and its head described as a `ModelSpec`, and built from one."""

import inspect
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module, metadata
from typing import Any

from torch import nn

from dlp.errors import InputError, naming
from dlp.hyperparameters import is_plain, plain_value
from dlp.modules.heads import Head
from dlp.reader.answer import Answer
from dlp.reader.array import ArrayEncoder
from dlp.reader.spec import Card, Component, ModelSpec, describe_encoder

#: Arguments of heads that predictions do not need.
_OF_LOSS = {"loss_function", "class_weights", "metrics"}


def make_spec(
    network: nn.Module, head: Head, answer: Answer, data: Any, num_epochs: int
) -> ModelSpec:
    """Describe a network, its head and its answer, trained on a DataModule for some epochs.

    A DataModule of the project has the encoder of its rows. Without one they are arrays as the
    network takes them.
    """
    encoder: Any = ArrayEncoder()
    encoder.input_shape_ = tuple(getattr(network, "input_shape", ()))
    rows = {}
    if hasattr(data, "encoder"):
        data.fit()
        encoder = data.encoder
        rows = {part: len(examples) for part, examples in data.labelled_parts().items()}
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "pillow")}
    return ModelSpec(
        network=describe(network),
        head=describe(head),
        encoder=describe_encoder(encoder),
        answer=answer,
        card=Card(type(data).__name__, rows, num_epochs, versions),
    )


def output_names(data: Any, count: int) -> list[str]:
    """Return the names that a DataModule of the project has for the outputs, else numbers."""
    names = getattr(data, "output_names", None) or []
    if len(names) == count:
        return list(names)
    if count == 1:
        return ["value"]
    return list(map(str, range(count)))


def describe(module: nn.Module) -> Component:
    """Describe a module by its class and each argument of `__init__` that is also an attribute.

    An argument is described if it is plain or a submodule, or a list of these. A file cannot
    contain any other value, so the name of the argument is listed as missing. Three kinds are not
    listed: a value that is the default, a tensor that the weights contain, and arguments of the
    loss and the metrics, which predictions do not need. If several classes have an argument of
    the same name, the most derived class decides.
    """
    arguments: dict[str, Any] = {}
    missing: list[str] = []
    seen: set[str] = set()
    stored = {*vars(module), *dict(module.named_buffers(recurse=False))}
    stored -= module.state_dict().keys()
    kind = type(module)
    submodules = set(module.modules())
    for cls in kind.__mro__:
        if cls is nn.Module:
            break
        parameters = inspect.signature(cls).parameters
        for name, parameter in parameters.items():
            if name in seen or not hasattr(module, name):
                continue
            seen.add(name)
            attribute = getattr(module, name)
            value = _described(attribute, submodules)
            if is_plain(value):
                arguments[name] = value
            elif name in stored - _OF_LOSS and attribute is not parameter.default:
                missing.append(name)
        if not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            break  # it passes nothing on
    return Component(f"{kind.__module__}.{kind.__qualname__}", arguments, missing)


def _described(value: Any, submodules: Collection[nn.Module]) -> Any:
    """Return a value in plain form, with each submodule replaced by its description."""
    if isinstance(value, nn.Module) and value in submodules:
        return asdict(describe(value))
    if isinstance(value, list | tuple):
        return [_described(item, submodules) for item in value]
    return plain_value(value)


def spec_in(checkpoint: Mapping[str, Any]) -> ModelSpec:
    """Return the description of the model in a checkpoint.

    Raises:
        InputError: If the checkpoint has none that this version reads.
    """
    if "spec" not in checkpoint:
        raise InputError(
            "the checkpoint has no description of a model, which that of a SupervisedModule has."
            " Give one of these."
        )
    with naming("the checkpoint"):
        return ModelSpec.from_dict(checkpoint["spec"])


def build(component: Component, role: str, owner: str = "") -> Any:
    """Build the ``network`` or the ``head`` of a description.

    Args:
        component: Description.
        role: ``network`` or ``head``.
        owner: Role of the module that has this one as an argument; by default it is `role`.

    Raises:
        InputError: If its class is neither one of the project's nor an imported head or backbone,
            or if the file could not hold one of its arguments.
    """
    owner = owner or role
    give = f"Predictor.load(path, {owner}=...)"
    if component.missing:
        raise InputError(
            f"the {role} is a {component.path} with {', '.join(component.missing)}, which a file "
            f"cannot hold: it holds numbers, texts, and lists of them. Give the {owner}: {give}."
        )
    base: type = nn.Module
    if role == "head":
        base = Head
    elif not component.path.startswith("dlp.modules."):
        from dlp.modules.pretrained import Backbone  # few models have one

        base = Backbone
    builder = imported_class(component.path, base)
    if builder is None:
        raise InputError(
            f"the {role} is a {component.path}, whose code a file cannot bring; import a head "
            f"or backbone first, or give it: {give}."
        )
    arguments = {name: _built(value, owner) for name, value in component.arguments.items()}
    return builder(**arguments)


def _built(value: Any, owner: str) -> Any:
    """Build a module among the arguments of a network or head from its description."""
    if isinstance(value, Mapping) and set(value) - {"missing"} == {"path", "arguments"}:
        return build(Component(**value), "network", owner)
    if isinstance(value, list):
        return [_built(item, owner) for item in value]
    return value


def imported_class(path: str, base: type) -> Any:
    """Return a subclass of `base` of the project, or one that the program imported.

    A file imports nothing else, and its values reach the constructor of no other class.
    """
    module, _, name = path.rpartition(".")
    if path.startswith("dlp.modules."):
        with suppress(ImportError, ValueError):
            import_module(module)
    value = getattr(sys.modules.get(module), name, None)
    if isinstance(value, type) and issubclass(value, base):
        return value
    return None
