"""What a fit starts from: the weights of another run."""

from lightning import LightningModule

from dlp.checkpoints import data_states, read_checkpoint
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError
from dlp.modules import SupervisedModule

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
