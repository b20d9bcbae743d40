"""The weights of another run, from which a fit starts (``--init_from``)."""

from pathlib import Path

from lightning import LightningModule

from dlp.checkpoint_content import data_states, read_checkpoint
from dlp.console import say
from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError, MissingInputError, suggestion
from dlp.modules import SupervisedModule
from dlp.named_configs import recipes, run_name, variations
from dlp.runs.folders import existing_checkpoint, newest_run
from dlp.runs.origin import newest_run_of

#: Arguments that give the same weights another meaning.
_MEANING = ("backbone", "scaling", "pool", "activation")


def found_weights(given: str, name: str, is_trial: bool) -> str | None:
    """Return the path of the checkpoint that ``--init_from`` means, and say it.

    Args:
        given: A checkpoint, a run's folder, or the name of a config (several joined by ``+``), or
            its path: then its newest run's best (else last) checkpoint, of the run with the same
            variations if there is one.
        name: What runs of the present configs are called (``recipe+variation``).
        is_trial: Whether None, for random weights, will do where there is none.

    Raises:
        MissingInputError: There is none.
        InputError: The name is misspelt.
    """
    try:
        found = _checkpoint(given, name)
    except MissingInputError:
        if not is_trial:
            raise
        say(f"fast_dev_run without a run of {given}: the weights are random")
        return None
    say(f"starting from the weights of {found}")
    return str(found)


def _checkpoint(given: str, name: str) -> Path:
    path = Path(given)
    is_config = path.suffix in {".yaml", ".yml"}
    if not is_config and (path.exists() or path.suffix == ".ckpt"):
        return existing_checkpoint(given)
    configs = [given] if is_config else given.split("+")
    recipe = run_name([given]) if is_config else given
    _, plus, overlays = name.partition("+")
    for wanted in dict.fromkeys((recipe + plus + overlays, recipe)):
        run = newest_run_of(wanted, [given]) if is_config else newest_run(wanted)
        checkpoint = None if run is None else run.checkpoint()
        if checkpoint is not None:
            return checkpoint
    known = {**recipes(), **variations()}
    for config in configs:
        if not is_config and config not in known and (near := suggestion(config, known)):
            raise InputError(f"init_from: no run and no config of the name {config!r}.{near}")
    raise MissingInputError(
        f"init_from: no run of {recipe!r} below ./runs: train one by dlp fit --config "
        f"{' --config '.join(configs)}, or give the path of a checkpoint."
    )


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
    model.check_weights(checkpoint["state_dict"])
    model.load_state_dict(checkpoint["state_dict"])
