import numpy as np
import pytest
import torch

from dlp.evaluation.temperature import best_temperature, log_loss

DRAW = torch.Generator().manual_seed(0)
CLASSES = torch.arange(300) % 3
GRID = np.exp(np.linspace(-3, 5, 2001))


def separated(kind):
    """Return logits of 300 rows without an error, and their targets."""
    if kind == "binary":
        targets = CLASSES % 2
        return 2.0 * (2 * targets[:, None] - 1), targets
    labels = torch.eye(3)[CLASSES]
    logits = 2 * (2 * labels - 1)
    if kind == "multiclass":
        return logits, CLASSES
    return logits, labels.long()


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_rows_without_an_error_do_not_make_a_model_certain(kind):
    logits, targets = separated(kind)
    temperature = best_temperature(logits, targets)
    assert temperature < 1
    probability = np.exp(-log_loss(logits, targets, temperature))
    assert probability == pytest.approx(301 / 302, abs=1e-5)


def test_a_model_that_is_too_sure_gets_the_temperature_of_maximum_likelihood():
    logits = 5 * torch.randn(300, 3, generator=DRAW)
    losses = [log_loss(logits, CLASSES, temperature) for temperature in GRID]
    best = GRID[np.argmin(losses)]
    assert best > 1
    assert best_temperature(logits, CLASSES) == pytest.approx(best, rel=0.01)


def test_few_rows_without_an_error_leave_the_model_as_it_is():
    targets = torch.tensor([0, 1, 0, 1])
    logits = 9.0 * (2 * targets[:, None] - 1)
    assert best_temperature(logits, targets) == 1
