"""Create the spec of a trained module, and build a module from its spec."""

import inspect
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dlp.errors import InputError, naming
from dlp.hyperparameters import class_path
from dlp.reader.array import ArrayEncoder
from dlp.reader.encoder import Encoder
from dlp.reader.spec import Card, Component, ModelSpec, encoder_component

if TYPE_CHECKING:
    from dlp.modules.supervised import SupervisedModule

#: Arguments of a module that are not needed for predictions.
_FOR_TRAINING = {"loss", "metrics", "optimizer", "scheduler"}


def make_spec(module: "SupervisedModule", data: Any, num_epochs: int) -> ModelSpec:
    """Return the spec of a trained module.

    Args:
        module: Trained module.
        data: DataModule that it was trained on, or None. If it has no `encoder`, the spec says that
            inputs are arrays that are passed to the network unchanged.
        num_epochs: Number of epochs that it was trained for.
    """
    num_rows = {}
    if isinstance(getattr(data, "encoder", None), Encoder):
        data.fit()
        encoder = data.encoder
        num_rows = {part: len(rows) for part, rows in data.labelled_parts().items()}
    else:
        encoder = ArrayEncoder()
        if isinstance(module.example_input_array, Tensor):
            encoder.input_shape_ = tuple(module.example_input_array.shape[1:])
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "pillow")}
    return ModelSpec(
        module=module_component(module),
        head=class_path(module.head),
        encoder=encoder_component(encoder),
        answer=module.answer,
        card=Card(type(data).__name__, num_rows, num_epochs, versions),
        threshold=module.head.threshold,
    )


def output_names(data: Any, count: int) -> list[str]:
    """Return the names of the outputs of a model.

    Args:
        data: DataModule that may have `output_names`.
        count: Number of outputs. If `data` has no such number of names, a single output is called
            ``value``, and several outputs are numbered from 0.
    """
    names = getattr(data, "output_names", None) or []
    if len(names) == count:
        return list(names)
    if count == 1:
        return ["value"]
    return list(map(str, range(count)))


def module_component(module: "SupervisedModule") -> Component:
    """Return the component of a module: its class, its hyperparameters and its objects.

    The objects are the arguments that a file cannot store. They do not include arguments that are
    only needed for training. They do include each required argument that a subclass forgot to save
    with ``save_hyperparameters``. Hyperparameters that begin with an underscore are left out,
    because Lightning adds them.
    """
    saved = module.object_arguments
    objects = {name: path for name, path in saved.items() if name not in _FOR_TRAINING}
    for name, parameter in inspect.signature(type(module)).parameters.items():
        is_named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        is_known = name in module.hparams or name in saved
        if is_named and parameter.default is parameter.empty and not is_known:
            objects[name] = "save it with self.save_hyperparameters() in the module's __init__"
    arguments = {key: value for key, value in module.hparams.items() if not key.startswith("_")}
    return Component(class_path(module), arguments, objects)


def build_module(component: Component, **objects: Any) -> "SupervisedModule":
    """Build a module from its component, without its weights.

    Args:
        component: Component of the module.
        **objects: Arguments that a file cannot store, by name. If the class has no argument of that
            name, the object replaces the attribute of that name, such as `network`.

    Raises:
        MissingCodeError: If the class is not imported, or an object is missing.
        InputError: If an object is neither an argument nor an attribute.
    """
    from dlp.modules.supervised import SupervisedModule

    kind = component.imported(SupervisedModule, objects)
    names = set(component.objects)
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            names.add(name)
        # The **training of this project's modules does not accept objects such as a network.
        elif not component.class_path.startswith("dlp.modules."):
            names.update(objects)
    arguments = {name: value for name, value in objects.items() if name in names}
    with naming("the checkpoint"):
        module = kind(**{**component.arguments, **arguments})
    for name in objects.keys() - arguments.keys():
        if not hasattr(module, name):
            raise InputError(
                f"{name}: expected the name of an argument or attribute of "
                f"{component.class_path}, such as network or head, got another name. Leave it out."
            )
        setattr(module, name, objects[name])
    return module


def spec_in(checkpoint: Mapping[str, Any]) -> ModelSpec:
    """Return the spec of the model in a checkpoint.

    Raises:
        InputError: If the checkpoint has no spec, or a spec that this version cannot read.
    """
    if "spec" not in checkpoint:
        raise InputError(
            "the checkpoint: expected the spec of a SupervisedModule, got a checkpoint of another "
            "module. Give a checkpoint that a SupervisedModule wrote."
        )
    with naming("the checkpoint"):
        return ModelSpec.from_dict(checkpoint["spec"])
