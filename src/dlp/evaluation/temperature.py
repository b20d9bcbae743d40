"""Temperature of a classifier: the number by which its logits are divided (Guo et al. 2017)."""

import numpy as np
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from dlp.modules.losses import bce


def best_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return the temperature that minimises the negative log likelihood of held-out rows.

    A temperature below 1 makes the model more confident than it was after training. If the model
    makes no error on the rows, the best temperature would even be zero, and the model would be
    certain. To prevent this, a temperature below 1 is computed with smoothed targets: for N rows,
    the target of the true class or label is (N + 1) / (N + 2) instead of 1, as in Platt 1999,
    "Probabilistic Outputs for Support Vector Machines". A temperature of 1 or more is computed
    without smoothing.

    Args:
        logits: Logits (N, C), or (N, 1) for class 1 of two.
        targets: Classes (N,), or labels of 0 and 1 with the shape of the logits.
    """
    temperature = _minimum(logits, targets, 0.0)
    if temperature < 1:
        doubt = 1 / (len(targets) + 2)
        temperature = min(1.0, _minimum(logits, targets, doubt))
    return temperature


def log_loss(logits: Tensor, targets: Tensor, temperature: float, doubt: float = 0.0) -> float:
    """Return the mean negative log likelihood at a temperature.

    Args:
        logits: Logits (N, C), or (N, 1) for class 1 of two.
        targets: Classes (N,), or labels of 0 and 1 with the shape of the logits.
        temperature: Number by which the logits are divided.
        doubt: Amount by which the target of the true class or label is smaller than 1.
    """
    scaled = logits.double() / temperature
    num_classes = logits.shape[1]
    if targets.ndim == 1 and num_classes > 1:
        smoothing = doubt * num_classes / (num_classes - 1)
        return float(F.cross_entropy(scaled, targets, label_smoothing=smoothing))
    labels = targets.double().reshape(scaled.shape)
    return float(bce(scaled, labels + doubt * (1 - 2 * labels)))


def _minimum(logits: Tensor, targets: Tensor, doubt: float) -> float:
    def loss(logarithm: float) -> float:
        return log_loss(logits, targets, np.exp(logarithm), doubt)

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 5)).x))
