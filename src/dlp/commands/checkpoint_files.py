"""Where a model's weights come from: a checkpoint's content, and no download in its stead."""

from collections.abc import Iterator
from contextlib import contextmanager

from jsonargparse import Namespace
from lightning import LightningModule

from dlp.checkpoints import data_states, read_checkpoint
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError, MissingInputError
from dlp.imports import imported
from dlp.modules import PretrainedModule, SupervisedModule
from dlp.modules.pretrained.weights import check_weights, weights_at_hand

#: Arguments that give the same weights another meaning.
_MEANING = ("backbone", "scaling", "pool", "activation")


def start_from(model: LightningModule, data: SupervisedDataModule, path: str) -> None:
    """Give `model` the weights of a checkpoint, of a run that knows the same classes.

    Raises:
        InputError: The model is none of the project's, the checkpoint is damaged or belongs to
            another model, or its run had other classes.
    """
    if not isinstance(model, SupervisedModule):
        raise InputError(
            f"init_from goes with the project's modules; {type(model).__name__} is none."
        )
    checkpoint = read_checkpoint(path)
    theirs = checkpoint.get("hyper_parameters", {})
    for name in _MEANING:
        own = model.hparams.get(name)
        if own != theirs.get(name, own):
            raise InputError(
                f"init_from: the model of {path} has {name}: {theirs[name]}, and this one has "
                f"{name}: {own}, which gives the same weights another meaning."
            )
    for state in data_states(checkpoint).values():
        known = state["targets"]["class_names"]
        if known and known != data.class_names:
            raise InputError(
                f"init_from: {path} was trained on the classes {', '.join(known)}; the data has "
                f"{', '.join(data.class_names or ['none'])}."
            )
    model.load_weights(path)


@contextmanager
def without_weights(model: Namespace, comes: bool, is_trial: bool) -> Iterator[None]:
    """Let a `PretrainedModule` be built without fetching weights that it does not need.

    The config is afterwards as it was.

    Args:
        model: The config of the model.
        comes: Its weights come from a checkpoint.
        is_trial: Random ones will do, where they are not there.
    """
    arguments = model.get("init_args")
    weights = arguments and arguments.get("weights")
    module = imported("model", model.class_path)
    kind = isinstance(module, type) and issubclass(module, PretrainedModule)
    if not weights or not kind or not (comes or are_random(arguments, is_trial)):
        yield
        return
    arguments.weights = None
    try:
        yield
    finally:
        arguments.weights = weights


def are_random(arguments: Namespace, is_trial: bool) -> bool:
    """Whether this is a trial run without the weights that it names; say so."""
    name, weights = arguments.get("backbone"), arguments.weights
    if not is_trial:
        return False
    try:
        check_weights(name, weights)
        if weights_at_hand(name, weights):
            return False
    except MissingInputError:
        pass  # no such file: random, as the line below says
    except ValueError:  # an unknown name is said where the backbone is built
        return False
    say(f"fast_dev_run without the weights {weights} of {name}: they are random")
    return True
