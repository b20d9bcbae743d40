"""Predictors of untrained networks."""

import torch

from dlp.inference import Predictor
from dlp.inference.trained import InferenceModule
from dlp.modules.networks import DenseNet
from dlp.modules.serialization import make_spec, output_names
from dlp.reader.model import Model


def predictor_of(data, head, network=None):
    """Return a predictor for rows of a DataModule, of a dense net unless another is given."""
    torch.manual_seed(0)
    if network is None:
        network = DenseNet(data.input_shape, head.num_logits)
    answer = head.answer(output_names(data, head.num_outputs))
    spec = make_spec(network, head, answer, data, 1)
    module = InferenceModule(spec, network, head).eval()
    features = getattr(data.encoder, "features", None)
    objects = {"features": features.transformer} if features else {}
    return Predictor([Model(spec, module.run, objects)], [module])
