import pytest
import torch
from sklearn.metrics import r2_score

from dlp.modules.heads import RegressionHead


@pytest.mark.parametrize(
    ("middle", "spread"), [(0, 1), (2000, 10), (1e5, 50), (1e6, 100), (1.7e9, 1e6)]
)
def test_r2_is_that_of_scikit_learn_however_far_from_zero_the_targets_are(middle, spread):
    torch.manual_seed(0)
    targets = middle + spread * torch.randn(500, 2)
    predictions = targets + torch.tensor([0.1, 0.5]) * spread * torch.randn(500, 2)
    metric = RegressionHead(2, metrics=["r2"]).make_metrics()
    for rows in torch.arange(500).split(130):
        metric.update(predictions[rows], targets[rows])

    expected = r2_score(targets.double().numpy(), predictions.double().numpy())
    assert metric.compute()["r2"].item() == pytest.approx(expected, abs=1e-4)


def test_r2_of_targets_that_are_all_the_same_is_that_of_scikit_learn():
    targets = torch.tensor([[3.0, 1.0], [3.0, 2.0]])
    metric = RegressionHead(2, metrics=["r2"]).make_metrics()
    metric.update(targets + torch.tensor([1.0, 0.0]), targets)
    assert metric.compute()["r2"].item() == r2_score(targets, targets + torch.tensor([1.0, 0.0]))

    metric.reset()
    metric.update(targets, targets)
    assert metric.compute()["r2"].item() == 1


def test_r2_of_one_row_is_no_number():
    metric = RegressionHead(1, metrics=["r2"]).make_metrics()
    metric.update(torch.ones(1, 1), torch.ones(1, 1))
    assert metric.compute()["r2"].isnan()
