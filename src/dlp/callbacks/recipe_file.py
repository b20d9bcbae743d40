"""The ``config.yaml`` of a run, written once there is a run."""

from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from dlp.files import write_text


class RecipeFile(Callback):
    """Writes the config of a fit: a new run's as training begins, a resumed one's as it goes on.

    What fails before (another model, data that have moved) leaves a finished run's config as it is.

    Args:
        path: Where to write it.
        recipe: The complete config, as YAML.
    """

    def __init__(self, path: Path, recipe: str) -> None:
        self.path = path
        self.recipe = recipe
        self._written = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write, if there is no config yet."""
        if not self.path.exists():
            self._write(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write after the first epoch; it must stand before the epoch's checkpoint does."""
        if not self._written:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        self._written = True
        if trainer.is_global_zero:
            write_text(self.path, self.recipe)
