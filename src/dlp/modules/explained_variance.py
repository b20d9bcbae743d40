"""The share of the variance that predictions explain, R²."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class R2(Metric):
    """The coefficient of determination, as scikit-learn's ``r2_score``: a mean over the targets.

    All values are kept until the end. torchmetrics's ``R2Score`` adds up squares and takes the
    square of the sum off: in float32 nothing is left of a spread of 100 around a million.
    """

    higher_is_better = True
    full_state_update = False
    predictions: list[Tensor]
    values: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predictions", [], dist_reduce_fx="cat")
        self.add_state("values", [], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Add a batch: two tensors of one shape, (N,) or (N, T)."""
        self.predictions.append(predictions)
        self.values.append(targets)

    def compute(self) -> Tensor:
        """Return a scalar; NaN of a single row, 0 where a target is the same in every row."""
        predictions, values = dim_zero_cat(self.predictions), dim_zero_cat(self.values)
        if len(values) < 2:
            return torch.full((), torch.nan, device=values.device)
        left = (values - predictions).square().sum(0)
        moved = values - values[0]  # a mean of small numbers keeps their digits
        total = (moved - moved.mean(0)).square().sum(0)
        constant = total == 0
        explained = (1 - left / total.masked_fill(constant, 1)).masked_fill(constant, 0)
        return explained.masked_fill(constant & (left == 0), 1).mean()
