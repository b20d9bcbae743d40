"""Weights of the words of a text in a logit: integrated gradients of a bag of words."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.visualization.layers import class_gradient

#: Midpoints of 128 steps from no words to those of a text, (128, 1, 1).
_MIDPOINTS = (torch.arange(128).reshape(-1, 1, 1) + 0.5) / 128


def word_weights(network: nn.Module, bags: Tensor, number: int | Tensor) -> Tensor:
    """Return the weight of each word in the logit of a class, (N, num_words).

    These are integrated gradients from a row of zeros (Sundararajan et al. 2017), exact in the
    first layer, which is linear. They add up to the logit of the text minus that of the zeros.

    Args:
        network: `DenseNet` in evaluation mode.
        bags: Word weights of N texts, float32 (N, num_words).
        number: Class, or one per text, (N,). A single logit is that of class 1, and its negative
            that of class 0.
    """
    layers = getattr(network, "layers", None)
    if layers is None:
        raise InputError(f"words are explained of a DenseNet, not of a {type(network).__name__}.")
    first = layers[0]
    path = first.bias + _MIDPOINTS * F.linear(bags, first.weight)
    path = path.detach().requires_grad_()
    logits = layers[1:](path)
    gradient = class_gradient(logits, number, path)
    weights: Tensor = bags * (gradient.mean(0) @ first.weight)
    return weights.detach()
