"""Trained modules, which are built from the spec in a checkpoint and run on encoded rows."""

import copy
from typing import Any

import torch
from torch import Tensor

from dlp.bag_of_words import BagOfWords
from dlp.errors import InputError, reading
from dlp.modules.checkpoint import Checkpoint, load_module
from dlp.modules.supervised import SupervisedModule
from dlp.reader.encoder import AnyEncoder, Array, Bags, Encoded
from dlp.reader.model import Model
from dlp.reader.spec import ModelSpec, build_encoder


class TrainedModel(Model):
    """Model that runs a trained torch module.

    Args:
        spec: Spec of the model.
        encoder: Fitted encoder of the rows.
        module: Trained module.
    """

    def __init__(self, spec: ModelSpec, encoder: AnyEncoder, module: SupervisedModule) -> None:
        super().__init__(spec, encoder, self._predict)
        self.module = module.eval()

    @classmethod
    def load(cls, checkpoint: Checkpoint, **objects: Any) -> "TrainedModel":
        """Build the model in a checkpoint.

        Args:
            checkpoint: Checkpoint of a run.
            **objects: Arguments of the module or the encoder that a file cannot contain, by name.

        Raises:
            InputError: If such an argument is missing, or if the code of a class was not imported.
        """
        objects = copy.deepcopy(objects)  # each fold needs its own weights
        with reading(checkpoint.path, "a checkpoint"):
            spec = checkpoint.spec
            missing = spec.missing(SupervisedModule, objects)
            if missing is not None:
                raise InputError(missing)
            encoder = build_encoder(spec.encoder, **objects)
            for name in spec.encoder.objects.keys() - spec.module.objects.keys():
                del objects[name]
            module = load_module(checkpoint, **objects)
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


def network_inputs(encoded: Encoded) -> Tensor | BagOfWords:
    """Return encoded rows as tensors."""
    if isinstance(encoded, Bags):
        return BagOfWords(*map(torch.from_numpy, encoded))
    return torch.from_numpy(encoded)
