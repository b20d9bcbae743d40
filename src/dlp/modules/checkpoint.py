"""Checkpoints written by a Trainer, and the modules that are built from them."""

import copy
from pathlib import Path
from typing import Any

import torch

from dlp.errors import loading_weights, reading
from dlp.modules.serialization import build_module, spec_in
from dlp.modules.supervised import SupervisedModule
from dlp.modules.weights import read_file
from dlp.reader.spec import ModelSpec


class Checkpoint:
    """Checkpoint written by a Trainer. The file is read once, when its content is first needed.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content: dict[str, Any] | None = None
        self._version = (0, 0)
        self._spec: ModelSpec | None = None

    @property
    def content(self) -> dict[str, Any]:
        """Content of the file: ``state_dict``, ``epoch``, and the states of data and callbacks."""
        if self._content is None:
            with reading(self.path, "a checkpoint"):
                self._version = _version(self.path)
            self._content = read_file(self.path, "state_dict", "epoch")
        return self._content

    @property
    def spec(self) -> ModelSpec:
        """Spec of the model.

        Raises:
            InputError: If the checkpoint has no spec that this version can read.
        """
        if self._spec is None:
            self._spec = spec_in(self.content)
        return self._spec

    def take(self) -> dict[str, Any]:
        """Return the content and release it, because it takes as much memory as the network.

        If the file has been written again since it was read, it is read again.
        """
        if self._content is not None and _version(self.path) != self._version:
            self._content = None
        content = self.content
        self._content = None
        return content


def _version(path: Path) -> tuple[int, int]:
    """Return the inode and the modification time of a file, which change when it is replaced."""
    state = path.stat()
    return state.st_ino, state.st_mtime_ns


def load_module(checkpoint: Checkpoint, **objects: Any) -> SupervisedModule:
    """Build the module of a checkpoint from its spec, with its weights and its answer.

    Args:
        checkpoint: Checkpoint of the module.
        **objects: Arguments of the module that a file cannot contain, by name.
    """
    spec = checkpoint.spec
    with torch.device("meta"):  # the weights are replaced, so none are drawn
        module = build_module(spec.module, **objects)
    if _load_state_dict(module, checkpoint):
        module = build_module(spec.module, **objects)
        _load_state_dict(module, checkpoint)
    module.take_answer(spec)
    # After training with --trainer.precision 64-true or bf16-true, the file contains such weights.
    return module.float().eval()


def _load_state_dict(module: SupervisedModule, checkpoint: Checkpoint) -> bool:
    """Load the weights of a checkpoint; return True if buffers that it lacks are still empty."""
    own_names = module.state_dict().keys()
    weights = copy.copy(checkpoint.content["state_dict"])  # keeps its `_metadata` attribute
    for name in list(weights):
        if name.startswith("head.loss_function.") and name not in own_names:
            del weights[name]  # predictions do not need the loss
    with loading_weights(checkpoint.path):
        module.load_state_dict(weights, assign=True)
    return any(buffer.is_meta for buffer in module.buffers())
