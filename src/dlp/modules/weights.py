"""Files of weights: read, and loaded into a network."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import naming, reading
from dlp.modules.serialization import build_module, spec_in
from dlp.modules.supervised import SupervisedModule
from dlp.reader.spec import ModelSpec


class Checkpoint:
    """Checkpoint of a Trainer, read once: when its content is first asked for.

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
        """Content of the file: ``state_dict``, ``epoch``, the states of data and callbacks."""
        if self._content is None:
            with reading(self.path, "a checkpoint"):
                self._version = _version(self.path)
            self._content = read_file(self.path, "state_dict", "epoch")
        return self._content

    @property
    def spec(self) -> ModelSpec:
        """Spec of the model.

        Raises:
            InputError: If the checkpoint has none that this version reads.
        """
        if self._spec is None:
            self._spec = spec_in(self.content)
        return self._spec

    def take(self) -> dict[str, Any]:
        """Return the content for the last time: it takes as much memory as the network.

        A file that was written again is read again.
        """
        if self._content is not None and _version(self.path) != self._version:
            self._content = None
        content = self.content
        self._content = None
        return content


def _version(path: Path) -> tuple[int, int]:
    """Return the inode and the modification time of a file; a new file in its place differs."""
    state = path.stat()
    return state.st_ino, state.st_mtime_ns


def load_module(checkpoint: Checkpoint, **objects: Any) -> SupervisedModule:
    """Build the module of a checkpoint from its spec, with its weights and its answer.

    Args:
        checkpoint: Checkpoint of the module.
        **objects: Arguments of the module that a file does not hold, by name.
    """
    spec = checkpoint.spec
    with torch.device("meta"):  # no random numbers to overwrite
        module = build_module(spec.module, **objects)
    if _load_state_dict(module, checkpoint):
        module = build_module(spec.module, **objects)
        _load_state_dict(module, checkpoint)
    module.take_answer(spec)
    # Weights of --trainer.precision 64-true or bf16-true are so in the file.
    return module.float().eval()


def _load_state_dict(module: SupervisedModule, checkpoint: Checkpoint) -> bool:
    """Load the weights of a checkpoint; return True if buffers that it lacks have no values."""
    own_names = module.state_dict().keys()
    weights = copy.copy(checkpoint.content["state_dict"])  # with the versions of its modules
    for name in list(weights):
        if name.startswith("head.loss_function.") and name not in own_names:
            del weights[name]  # predictions do not need it
    with naming(f"{checkpoint.path} has the weights of another network"):
        module.load_state_dict(weights, assign=True)
    return any(buffer.is_meta for buffer in module.buffers())


def read_file(path: str | Path, *names: str) -> dict[str, Any]:
    """Return the dictionary in a file of ``torch.save``; it has the given names."""
    with reading(path, "a checkpoint"):
        content = dict(torch.load(path, map_location="cpu", weights_only=True))
        for name in names:
            content[name]  # else a KeyError
    return content


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a file: a state dict, also as ``state_dict`` or ``model`` in it.

    A file called ``.safetensors`` is of that format.
    """
    if Path(path).suffix == ".safetensors":
        with reading(path, "a checkpoint"):
            from safetensors.torch import load_file

            return dict(load_file(path))
    content = read_file(path)
    return dict(content.get("state_dict", content.get("model", content)))


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights by name into a network, which may be on the meta device.

    All names of the file may have one prefix, as in the checkpoint of a larger model, whose other
    tensors are left out, as are those of children that the network does not have.
    """
    own = network.state_dict()
    first = next(iter(own))
    full_names = [name for name in tensors if f".{name}".endswith(f".{first}")]
    prefix = min(full_names, key=len, default=first).removesuffix(first)
    children = {name.partition(".")[0] for name in own}
    weights = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(prefix)
        if name.startswith(prefix) and inner.partition(".")[0] in children:
            weights[inner] = tensor
    with naming("the weights are of another network"):
        network.load_state_dict(weights, assign=True)
    network.float()  # a file may have half precision
