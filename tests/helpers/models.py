"""Predictors with untrained networks."""

import torch

from dlp.inference import Predictor
from dlp.inference.trained import TrainedModel
from dlp.modules import SupervisedModule
from dlp.modules.networks import DenseNet
from dlp.modules.serialization import make_spec


def predictor_of(data, head, network=None):
    """Return a predictor for the rows of a DataModule, by default with a dense net."""
    torch.manual_seed(0)
    if network is None:
        network = DenseNet(data.input_shape, head.num_logits)
    module = SupervisedModule(network, head)
    module.begin_answer(data)
    return Predictor([TrainedModel(make_spec(module, data, 1), data.encoder, module)])
