"""Weights of the words of a text: integrated gradients of a logit for a bag of words."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.visualization.layers import class_gradient

#: Midpoints of the 128 steps on the path from an empty text (0) to the text (1), (128, 1, 1).
_MIDPOINTS = (torch.arange(128).reshape(-1, 1, 1) + 0.5) / 128


def word_weights(network: nn.Module, bags: Tensor, number: int | Tensor) -> Tensor:
    """Return the weight of each word in the logit of a class, (N, num_words).

    The weights are integrated gradients on the path from a row of zeros to the text (Sundararajan
    et al. 2017). The first layer is linear, so that its part of the gradient is exact. The weights
    add up to the logit of the text minus the logit of the row of zeros.

    Args:
        network: `DenseNet` in evaluation mode.
        bags: Word weights of N texts, float32 (N, num_words).
        number: Number of the class, or one number per text, (N,). If the network returns a single
            logit, this is the logit of class 1, and its negative is the logit of class 0.

    Raises:
        InputError: If the network is not a `DenseNet`.
    """
    layers = getattr(network, "layers", None)
    if layers is None:
        raise InputError(
            f"network: expected a DenseNet, got a {type(network).__name__}. Words can only explain "
            "the predictions of a DenseNet."
        )
    first = layers[0]
    path = first.bias + _MIDPOINTS * F.linear(bags, first.weight)
    path = path.detach().requires_grad_()
    logits = layers[1:](path)
    gradient = class_gradient(logits, number, path)
    weights: Tensor = bags * (gradient.mean(0) @ first.weight)
    return weights.detach()
