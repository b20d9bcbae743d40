"""A module made again from a checkpoint, by the arguments that it holds."""

import inspect
import os
from pathlib import Path
from types import FrameType
from typing import Any, Self, cast

from torch import Tensor, nn

from dlp.checkpoint_content import is_plain, missing_arguments, plain, read_checkpoint
from dlp.console import say
from dlp.errors import InputError
from dlp.modules.state_dicts import difference, read_state_dict
from dlp.process import quiet
from dlp.quick_steps import QuickModule


class RestorableModule(QuickModule):
    """Saves those of its arguments that are plain values, and the names of the others."""

    _left_out: dict[str, str]

    def save_plain_arguments(self) -> None:
        """Save the arguments of the calling ``__init__`` that are plain values, for checkpoints.

        Objects (a network, an optimizer) stay out: pass them to ``load_from_checkpoint`` again.
        Lightning reads arguments from the frame of ``__init__``, and this is a call further: so
        the frame is handed on, as ``save_hyperparameters`` offers it.
        """
        frame = inspect.currentframe()
        caller = cast(FrameType, frame and frame.f_back)
        arguments = inspect.getargvalues(caller)
        handed_on = arguments.locals[arguments.keywords] if arguments.keywords else {}
        given = {**arguments.locals, **handed_on}
        objects = [name for name, value in given.items() if isinstance(value, nn.Module)]
        self.save_hyperparameters(frame=caller, ignore=objects)
        self.hparams.update({name: plain(value) for name, value in self.hparams.items()})
        left_out = [name for name, value in self.hparams.items() if not is_plain(value)]
        self.remove_ignored_hparams(left_out)
        self._left_out = {
            name: type(given[name]).__name__
            for name in (*objects, *left_out)
            if name in ("head", "loss", "metrics")
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save which arguments are objects that a checkpoint cannot hold."""
        checkpoint["left_out"] = getattr(self, "_left_out", {})

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take over the weights of a checkpoint of the same model: no optimizer, no epoch.

        Raises:
            InputError: There is no such checkpoint, it is damaged, or belongs to another model.
        """
        weights = read_state_dict(path)
        self.check_weights(weights)
        self.load_state_dict(weights)

    def check_weights(self, given: dict[str, Tensor]) -> None:
        """Refuse the weights of another model, before torch lists every tensor.

        Raises:
            InputError: Names or shapes differ.
        """
        if detail := difference(self.state_dict(), given):
            raise InputError(
                f"the checkpoint belongs to another model: {detail}. Give the config it was "
                "trained with (config.yaml in its run's folder)."
            )

    @classmethod
    def load_from_checkpoint(  # type: ignore[override] # a descriptor in Lightning
        cls,
        checkpoint_path: str | os.PathLike[str],
        map_location: Any = None,
        strict: bool | None = None,
        **arguments: Any,  # those of each subclass
    ) -> Self:
        """Return the model of a checkpoint, with its weights.

        Args:
            checkpoint_path: A checkpoint of a fit with this class.
            map_location: Where its tensors go; see ``torch.load``.
            strict: Whether all weights must be there.
            **arguments: Arguments that are to be others than in the fit, and those that a
                checkpoint cannot hold: a network, a head, a loss or metrics of your own.

        Raises:
            InputError: There is no such checkpoint, it belongs to another model, or an argument
                is missing that it cannot hold.
        """
        checkpoint = read_checkpoint(checkpoint_path)
        given = {**checkpoint.get("hyper_parameters", {}), **arguments}
        missing = missing_arguments(cls.__init__, given)
        left_out: dict[str, str] = checkpoint.get("left_out", {})
        missing += [name for name in left_out if name == "head" and name not in arguments]
        if missing:
            raise InputError(
                f"{cls.__name__}.load_from_checkpoint needs {', '.join(missing)}: "
                f"{checkpoint_path} does not hold it, or is of another class. Give it: "
                f"load_from_checkpoint(path, {missing[0]}=...)."
            )
        for name in left_out:
            if name not in ("head", *arguments):
                say(
                    f"{checkpoint_path} does not hold the {name} of its fit ({left_out[name]}): "
                    f"the head's own takes its place; give {name}= to have it"
                )
        with quiet():  # Lightning's calls of jsonargparse are old ones
            return super().load_from_checkpoint(
                Path(checkpoint_path),
                map_location=map_location,
                strict=strict,
                weights_only=True,
                **arguments,
            )
