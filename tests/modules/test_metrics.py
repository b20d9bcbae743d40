"""Metrics of a person's own: each computed by itself, under a name and a direction of its own."""

import math
from functools import partial

import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn
from torchmetrics import (
    KLDivergence,
    MeanMetric,
    MetricCollection,
    PearsonCorrCoef,
    regression,
)
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryCalibrationError,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    MulticlassF1Score,
)
from torchmetrics.functional.classification import binary_recall
from torchmetrics.wrappers import ClasswiseWrapper, MinMaxMetric, Running

from dlp.errors import InputError
from dlp.folds.stacked.metrics import StackMeter
from dlp.modules import RegressionHead, SigmoidHead, SoftmaxHead, SupervisedModule
from dlp.modules.meters import StageMeter
from dlp.modules.metrics import SampleMean, make_metrics, mode_of

#: In torchmetrics of 2025 and later.
NEWER = ("JensenShannonDivergence", "ContinuousRankedProbabilityScore")


def nll(predictions, targets):
    return -predictions.log().mean()


def brier(predictions, targets):
    return (predictions - targets).square()


brier.higher_is_better = False


def test_metrics_that_are_equal_at_first_go_their_own_ways(monkeypatch):
    monkeypatch.setattr("dlp.modules.meters._GATHERED", 1)  # an update a batch
    chosen = [BinaryRecall(), BinaryRecall(threshold=0.9), BinaryPrecision(), BinaryF1Score()]
    meter = StageMeter("val", SigmoidHead(2, metrics=chosen), False)
    likely = torch.full((4, 1), 9.0)
    zero = torch.zeros(())
    meter.add(zero, zero, likely, torch.ones(4, 1))  # all are right: equal states
    meter.add(zero, zero, torch.full((4, 1), 0.1), torch.tensor([[1.0], [1.0], [0.0], [0.0]]))
    found = {name: round(value.item(), 4) for name, value in meter.compute().items()}
    assert found == {
        "val_loss": 0.0,
        "val_binary_recall": 1.0,
        "val_binary_recall_2": 0.6667,  # 4 of 6
        "val_binary_precision": 0.75,
        "val_binary_f1_score": 0.8571,
    }


def test_a_head_of_ones_own_may_group_its_metrics_and_they_are_not():
    class Grouping(SigmoidHead):
        def make_metrics(self):
            return MetricCollection([BinaryRecall(), BinaryPrecision()], compute_groups=True)

    meter = StageMeter("val", Grouping(2), False)
    zero, ones = torch.zeros(()), torch.ones(2, 1)
    for logits, targets in ((ones, ones), (ones, 0 * ones)):
        meter.add(zero, zero, logits, targets)
        meter._update()
    assert meter.compute() == {"val_loss": 0, "val_BinaryRecall": 1, "val_BinaryPrecision": 0.5}


def test_the_stacked_engine_does_not_join_them_either():
    chosen = [BinaryRecall(), BinaryRecall(threshold=0.9)]
    model = SupervisedModule(nn.Linear(1, 1), "sigmoid", 2, metrics=chosen)
    logits, targets = torch.tensor([[9.0], [0.1]]), torch.ones(2, 1)
    found = StackMeter([model], "val").measure([0], logits[None], [targets], torch.zeros(1))
    assert found["val_binary_recall"] == 1
    assert found["val_binary_recall_2"] == 0.5


def test_equal_names_are_numbered_in_their_order():
    macro, micro = (MulticlassF1Score(3, average=average) for average in ("macro", "micro"))
    acc = partial(BinaryAccuracy, threshold=0.7)
    given = ["acc", "acc", macro, micro, acc, BinaryAccuracy]
    found = make_metrics(given, {"acc": BinaryAccuracy})
    assert set(found) == {
        *("acc", "multiclass_f1_score", "multiclass_f1_score_2"),
        *("binary_accuracy", "binary_accuracy_2"),
    }
    assert found["multiclass_f1_score"].average == "macro"
    assert found["multiclass_f1_score_2"].average == "micro"
    assert found["binary_accuracy"].threshold == 0.7


def test_the_mean_over_samples_is_ours_as_long_as_torchmetrics_has_none_that_keeps_a_nan():
    means, counts = torch.tensor([1.0, 3.0, math.nan]), torch.tensor([1, 3, 0])
    ours, theirs = SampleMean(), MeanMetric(nan_strategy="disable")
    ours.update(means, counts)
    assert ours.compute() == 2.5  # an empty batch has no mean
    theirs.update(means[:2], counts[:2])
    assert theirs.compute() == 2  # of torchmetrics 1.9: each batch counts alike
    ours.update(means[2:], torch.tensor([1]))
    assert ours.compute().isnan()


def test_a_metric_that_is_called_loss_is_refused():
    def loss(predictions, targets):
        return predictions.mean()

    with pytest.raises(InputError, match="a metric cannot be called loss"):
        make_metrics([loss], {})


@pytest.mark.parametrize("metric", [BinaryF1Score, MeanMetric])
def test_a_metric_of_another_kind_of_problem_is_named(metric):
    meter = StageMeter("val", SoftmaxHead(3, metrics=[metric]), False)
    meter.add(torch.zeros(()), torch.zeros(()), torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(InputError, match=r"the metric val_\w+ cannot compare predictions \(4, 3\)"):
        meter.compute()


def test_an_error_in_a_function_of_ones_own_stays_what_it_is():
    def wrong(predictions, targets):
        raise ValueError("mine")

    meter = StageMeter("val", SoftmaxHead(3, metrics=[wrong]), False)
    meter.add(torch.zeros(()), torch.zeros(()), torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]))
    with pytest.raises(ValueError, match=r"^mine$"):
        meter.compute()


def test_a_collection_gives_each_of_its_metrics():
    pair = MetricCollection({"Recall": BinaryRecall(), "f1": BinaryF1Score()}, prefix="own_")
    assert set(make_metrics([pair, BinaryRecall], {})) == {"own_recall", "own_f1", "binary_recall"}


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        (KLDivergence(), "min"),
        *((getattr(regression, name)(), "min") for name in NEWER if hasattr(regression, name)),
        (BinaryCalibrationError(), "min"),
        (BinaryRecall(), "max"),
        (Running(BinaryCalibrationError()), "min"),
        (ClasswiseWrapper(MulticlassF1Score(3, average=None)), "max"),
        (MinMaxMetric(BinaryRecall()), None),
        (PearsonCorrCoef(), None),
        (MeanMetric(), None),
    ],
)
def test_torchmetrics_says_what_is_better(metric, mode):
    assert mode_of(metric) == mode


def test_a_module_knows_the_direction_of_all_that_it_logs():
    chosen = ["acc", BinaryCalibrationError, nll, brier, binary_recall]
    module = SupervisedModule(nn.Linear(1, 1), "sigmoid", 2, metrics=chosen, l2=0.1)
    found = module.metric_directions
    assert {name: mode for name, mode in found.items() if name.startswith("val_")} == {
        "val_loss": "min",
        "val_data_loss": "min",
        "val_acc": "max",
        "val_binary_calibration_error": "min",
        "val_brier": "min",
    }
    assert found["test_brier"] == found["train_brier"] == "min"
    assert "val_nll" not in found


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
