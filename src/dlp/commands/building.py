"""What each command does first: settle the process, then make data and model, from a checkpoint."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelSummary
from lightning.pytorch.utilities import rank_zero_only

from dlp.callbacks.checkpoints import AtomicCheckpointIO
from dlp.callbacks.given import check_finetuning
from dlp.callbacks.progress import ProgressBar
from dlp.callbacks.seeding import EpochSeed
from dlp.checkpoint_content import data_states
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError, MissingInputError
from dlp.imports import imported
from dlp.process import cpu_threads, own_random_state, quiet
from dlp.recipe import Recipe
from dlp.runs.folders import ROOT, Run, claimed, locked


@contextmanager
def working(recipe: Recipe) -> Iterator[None]:
    """Settle seed, threads and noise for a command; all is as before when it ends."""
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(own_random_state())
        if recipe.run.threads is not None:
            stack.enter_context(cpu_threads(recipe.run.threads))
        if recipe.seed is not None:
            seed_everything(recipe.seed, workers=True)
        yield


@dataclass(frozen=True)
class Built:
    """Data and model of a recipe, and what else a command's Trainer needs.

    Args:
        recipe: The recipe.
        data: Its data; they know what those of a checkpoint's run had learned.
        model: Its model; the weights of a checkpoint are left to the Trainer.
        checkpoints: What has read the checkpoint, and gives the Trainer what it read.
    """

    recipe: Recipe
    data: SupervisedDataModule
    model: LightningModule
    checkpoints: AtomicCheckpointIO

    def trainer(self, callbacks: Sequence[Callback], folder: Path | None) -> Trainer:
        """Return the Trainer of a command.

        Args:
            callbacks: What the command needs besides a bar, a table of layers and seeds.
            folder: Where Lightning writes what a config asks it for; None leaves it to the config.

        Raises:
            InputError: The config's callbacks do not go with the model, or the Trainer's arguments
                not with each other.
        """
        all_callbacks = [EpochSeed(), ProgressBar(), ModelSummary(max_depth=3), *callbacks]
        place = {} if folder is None else {"default_root_dir": str(folder)}
        trainer = self.recipe.trainer(
            all_callbacks,
            validates=not self.recipe.run.refit,
            checkpoints=self.checkpoints,
            **place,
        )
        check_finetuning(trainer.callbacks, self.model)  # type: ignore[attr-defined] # set by a connector
        return trainer


def build(recipe: Recipe, checkpoint: Path | None = None, needs_weights: bool = True) -> Built:
    """Return data and model of a recipe.

    Args:
        recipe: What to build.
        checkpoint: What will give the model its weights.
        needs_weights: Whether pretrained weights are fetched where no checkpoint gives others.

    Raises:
        InputError: The checkpoint cannot be read or is of other data, or the data or the model
            cannot be made.
    """
    checkpoints = AtomicCheckpointIO()
    content = None if checkpoint is None else checkpoints.read_ahead(checkpoint)
    data = recipe.data()
    if recipe.run.refit and data.split != data.split.refit():
        data.resplit(data.split.refit())
    if content is not None:
        _restore(data, content, checkpoint)
    model = without_weights(recipe, needs_weights and content is None).model(data)
    return Built(recipe, data, model, checkpoints)


def build_trained(recipe: Recipe, checkpoint: Path) -> tuple[SupervisedDataModule, LightningModule]:
    """Return data and model as they were when a checkpoint was saved, weights included.

    Raises:
        InputError: The checkpoint cannot be read, or is of other data or another model.
    """
    built = build(recipe, checkpoint)
    content = built.checkpoints.load_checkpoint(checkpoint)
    built.model.on_load_checkpoint(content)
    try:
        built.model.load_state_dict(content["state_dict"], strict=built.model.strict_loading)
    except RuntimeError as error:
        raise InputError(f"{checkpoint} belongs to another model: {error}") from error
    return built.data, built.model


def _restore(data: SupervisedDataModule, content: dict[str, Any], path: Path | None) -> None:
    """Give the data what those of a checkpoint's run had learned from their training part."""
    states = data_states(content)
    name = type(data).__qualname__
    if name in states:
        data.load_state_dict(states[name])
    elif states:
        raise InputError(
            f"{path} was trained on {next(iter(states))}, and the data here is {name}, which "
            "would treat its inputs in another way. Give the run's own --data class."
        )


def without_weights(recipe: Recipe, needs_weights: bool = False) -> Recipe:
    """Return a recipe whose `PretrainedModule` fetches no weights that it does not need.

    Args:
        recipe: The recipe; of any module.
        needs_weights: Whether its weights come from nowhere else. A trial run does with random
            ones where they are not there, which is said.
    """
    model = recipe.config.model
    arguments = model.get("init_args")
    weights = arguments and arguments.get("weights")
    module = imported("model", model.class_path)
    if not weights or not getattr(module, "fetches_weights", False):
        return recipe
    if needs_weights and not (recipe.is_trial and are_absent(arguments.get("backbone"), weights)):
        return recipe
    return recipe.with_keys({"model.init_args.weights": None})


def are_absent(backbone: str, weights: str) -> bool:
    """Whether pretrained weights would have to be fetched; say so."""
    from dlp.modules.pretrained.weights import check_weights, weights_at_hand  # torchvision

    try:
        check_weights(backbone, weights)
        absent = not weights_at_hand(backbone, weights)
    except MissingInputError:  # no such file
        absent = True
    except ValueError:  # an unknown name is said where the backbone is built
        absent = False
    if absent:
        say(f"fast_dev_run without the weights {weights} of {backbone}: they are random")
    return absent


@contextmanager
def run_folder(recipe: Recipe, run: Run | None, trains: bool = False) -> Iterator[Run]:
    """Give the folder that a command writes to: of the run it goes on with, or a new one.

    Args:
        recipe: What is run; its `run_dir` is the place of a new run.
        run: The run of the checkpoint that the command starts from.
        trains: Whether no other process may train there meanwhile.

    Raises:
        InputError: Another process trains there, or nothing can be written there.
    """
    given = recipe.run.run_dir
    if getattr(rank_zero_only, "rank", 0):  # the first process has one; this one writes nothing
        yield run or Run(Path(given or ROOT / recipe.name / "of_another_process"))
    elif run is None:
        with claimed(given, recipe.name) as new:
            yield new
    elif trains:
        with locked(run):
            yield run
    else:
        yield run
