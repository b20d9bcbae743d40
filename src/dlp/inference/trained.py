"""Trained modules: built from the spec in a checkpoint, and run on encoded rows."""

import copy
from typing import Any

import torch
from torch import Tensor

from dlp.bag_of_words import BagOfWords
from dlp.errors import InputError, naming, reading
from dlp.modules.serialization import build_module, spec_in
from dlp.modules.supervised import SupervisedModule
from dlp.modules.weights import Checkpoint
from dlp.reader.encoder import AnyEncoder, Array, Bags, Encoded, Encoder
from dlp.reader.model import Model
from dlp.reader.spec import ModelSpec, build_encoder


class TrainedModel(Model):
    """Model of a module of torch.

    Args:
        spec: Spec of the model.
        encoder: Encoder of the rows, which has learned.
        module: Trained module.
    """

    def __init__(self, spec: ModelSpec, encoder: AnyEncoder, module: SupervisedModule) -> None:
        super().__init__(spec, encoder, self._predict)
        self.module = module.eval()

    @classmethod
    def load(cls, checkpoint: Checkpoint, **objects: Any) -> "TrainedModel":
        """Build the model of a checkpoint.

        Args:
            checkpoint: Checkpoint that was read.
            **objects: Arguments of the module or the encoder that a file does not hold, by name.

        Raises:
            InputError: If such an argument or the code of a class is missing, see `missing_code`.
        """
        objects = copy.deepcopy(objects)  # each fold has weights of its own
        with reading(checkpoint.path, "a checkpoint"):
            spec = spec_in(checkpoint.content)
            missing = missing_code(spec, **objects)
            if missing is not None:
                raise InputError(missing)
            encoder = build_encoder(spec.encoder, **objects)
            for name in spec.encoder.objects.keys() - spec.module.objects.keys():
                del objects[name]
            module = load_module(checkpoint, spec, **objects)
        return cls(spec, encoder, module)

    @torch.no_grad()
    def _predict(self, encoded: Encoded) -> Array:
        """Return the predictions of encoded rows."""
        num_threads = torch.get_num_threads()
        if self.is_run_by_one_thread:
            torch.set_num_threads(1)
        try:
            outputs = self.module.predictions(network_inputs(encoded))
        finally:
            torch.set_num_threads(num_threads)
        predictions: Array = outputs[self.module.head.prediction].numpy()
        return predictions


def missing_code(spec: ModelSpec, **objects: object) -> str | None:
    """Return a sentence about the class or the object that a model lacks; None if it lacks none.

    Args:
        spec: Spec of the model.
        **objects: Objects that are given, by the names of arguments.
    """
    missing = spec.encoder.missing(Encoder, objects)
    if missing is None:
        missing = spec.module.missing(SupervisedModule, objects)
    return missing


def load_module(checkpoint: Checkpoint, spec: ModelSpec, **objects: Any) -> SupervisedModule:
    """Build the module of a checkpoint, with its weights and its answer.

    Args:
        checkpoint: Checkpoint that was read.
        spec: Its spec.
        **objects: Arguments of the module that a file does not hold, by name.
    """
    with torch.device("meta"):  # no random numbers to overwrite
        module = build_module(spec.module, **objects)
    if _load_weights(module, checkpoint):
        module = build_module(spec.module, **objects)
        _load_weights(module, checkpoint)
    module.on_load_checkpoint(checkpoint.content)
    # Weights of --trainer.precision 64-true or bf16-true are so in the file.
    return module.float().eval()


def _load_weights(module: SupervisedModule, checkpoint: Checkpoint) -> bool:
    """Load the weights of a checkpoint; return True if buffers that it lacks have no values."""
    own_names = module.state_dict().keys()
    weights = copy.copy(checkpoint.content["state_dict"])  # with the versions of its modules
    for name in list(weights):
        if name.startswith("head.loss_function.") and name not in own_names:
            del weights[name]  # predictions do not need it
    with naming(f"{checkpoint.path} has the weights of another network"):
        module.load_state_dict(weights, assign=True)
    return any(buffer.is_meta for buffer in module.buffers())


def network_inputs(encoded: Encoded) -> Tensor | BagOfWords:
    """Return encoded rows as tensors."""
    if isinstance(encoded, Bags):
        return BagOfWords(*map(torch.from_numpy, encoded))
    return torch.from_numpy(encoded)
