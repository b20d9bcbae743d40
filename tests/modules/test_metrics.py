import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from sklearn import metrics as sk
from torchmetrics import FBetaScore
from torchmetrics.classification import BinaryAccuracy, BinaryHingeLoss

from dlp.errors import InputError
from dlp.modules import DenseModule, RegressionHead, SigmoidHead
from dlp.modules.epoch_metrics import MeanLoss
from dlp.modules.heads import HEADS, make_head
from dlp.modules.metrics import make_metrics, named_metrics, set_threshold
from dlp.modules.monitor import monitor_mode
from helpers.training import loader, plain_loaders, quiet_trainer

draw = torch.Generator().manual_seed(0)
LABELS = torch.randint(0, 2, (60, 3), generator=draw)
CLASSES = torch.randint(0, 3, (60,), generator=draw)
Z = torch.randn(60, 3, generator=draw)
P = Z.softmax(1)
BINARY = LABELS[:, 0]
LOGIT = Z[:, 0]
IS_POSITIVE = LOGIT > 0
LIKELIEST = Z.argmax(1)
MACRO = {"average": "macro"}
BALANCED = [sk.balanced_accuracy_score(LABELS[:, n], Z[:, n] > 0) for n in range(3)]
EXPECTED = {
    "sigmoid": {
        "acc": sk.accuracy_score(BINARY, IS_POSITIVE),
        "balanced_acc": sk.balanced_accuracy_score(BINARY, IS_POSITIVE),
        "f1": sk.f1_score(BINARY, IS_POSITIVE),
        "precision": sk.precision_score(BINARY, IS_POSITIVE),
        "recall": sk.recall_score(BINARY, IS_POSITIVE),
        "auroc": sk.roc_auc_score(BINARY, LOGIT),
        "average_precision": sk.average_precision_score(BINARY, LOGIT),
    },
    "softmax": {
        "acc": sk.accuracy_score(CLASSES, LIKELIEST),
        "balanced_acc": sk.balanced_accuracy_score(CLASSES, LIKELIEST),
        "f1": sk.f1_score(CLASSES, LIKELIEST, **MACRO),
        "recall": sk.recall_score(CLASSES, LIKELIEST, **MACRO),
        "auroc": sk.roc_auc_score(CLASSES, P, multi_class="ovr", **MACRO),
    },
    "multilabel": {
        "acc": ((Z > 0) == LABELS).float().mean().item(),
        "balanced_acc": sum(BALANCED) / 3,
        "f1": sk.f1_score(LABELS, Z > 0, **MACRO),
        "auroc": sk.roc_auc_score(LABELS, Z, **MACRO),
    },
    "regression": {
        "mae": sk.mean_absolute_error(LABELS, Z),
        "mse": sk.mean_squared_error(LABELS, Z),
        "rmse": math.sqrt(sk.mean_squared_error(LABELS.ravel(), Z.ravel())),
        "r2": sk.r2_score(LABELS, Z),
    },
}
BETAS = [FBetaScore("binary", beta=0.5), FBetaScore("binary", beta=2.0)]


def computed(head, batches):
    metrics = make_metrics(head)
    for logits, targets in batches:
        metrics.update(head.scores(logits), head.metric_targets(targets))
    return {name: value.item() for name, value in metrics.compute().items()}


@pytest.mark.parametrize("name", EXPECTED)
def test_named_metrics_over_batches_agree_with_scikit_learn(name):
    num_outputs = 3
    logits = Z
    targets = LABELS.float()
    if name == "sigmoid":
        num_outputs = 2
        logits = Z[:, :1]
        targets = BINARY
    elif name == "softmax":
        targets = CLASSES
    head = make_head(name, num_outputs, metrics=list(EXPECTED[name]))
    batches = zip(logits.split(25), targets.split(25), strict=True)
    assert computed(head, batches) == pytest.approx(EXPECTED[name], rel=1e-5)


def test_a_probability_must_exceed_the_threshold():
    head = SigmoidHead(2, metrics=["acc", "balanced_acc", "auroc"])
    metrics = make_metrics(head)
    set_threshold(metrics, head.metrics, 0.8)
    metrics.update(head.scores(Z[:, :1]), BINARY)
    values = metrics.compute()
    is_predicted = LOGIT.sigmoid() > 0.8
    assert values["acc"].item() == pytest.approx(
        sk.accuracy_score(BINARY, is_predicted)
    )
    balanced = sk.balanced_accuracy_score(BINARY, is_predicted)
    assert values["balanced_acc"].item() == pytest.approx(balanced)
    assert values["auroc"].item() == pytest.approx(sk.roc_auc_score(BINARY, LOGIT))


def test_a_metric_object_keeps_a_threshold_of_its_own():
    own = BinaryAccuracy(threshold=0.3)
    head = SigmoidHead(2, metrics=[own])
    metrics = make_metrics(head)
    set_threshold(metrics, head.metrics, 0.8)
    assert metrics["binaryaccuracy"].threshold == 0.3


@pytest.mark.parametrize("target_mean", [None, [1e6]])
def test_r2_survives_a_small_spread_around_a_large_mean(target_mean):
    targets = 1e6 + 100 * torch.randn(500, 1, generator=draw)
    head = RegressionHead(1, metrics=["r2"], target_mean=target_mean)
    logits = head.prepare(targets) + 50 * torch.randn(500, 1, generator=draw)
    expected = sk.r2_score(targets.double(), head.predict(logits).double())
    assert computed(head, [(logits, targets)])["r2"] == pytest.approx(
        expected, abs=1e-5
    )


@plain_loaders
def test_a_test_measures_at_the_threshold_and_the_temperature_of_the_answer():
    torch.manual_seed(0)
    module = DenseModule((3,), 2, head="sigmoid").eval()
    answer = replace(module.answer, threshold=0.3, temperature=2.0)
    module.answer = answer
    [metrics] = quiet_trainer().test(module, loader(Z, BINARY), verbose=False)
    is_predicted = (module(Z)[:, 0] / 2).sigmoid() > 0.3
    assert metrics["test_acc"] == pytest.approx(sk.accuracy_score(BINARY, is_predicted))


def test_a_mean_weighs_batches_by_samples_and_shows_nan():
    metric = MeanLoss()
    for loss, rows, mean in ((1.0, 3, 1.0), (4.0, 1, 1.75), (math.nan, 2, math.nan)):
        metric.update(torch.tensor(loss), rows)
        assert metric.compute().item() == pytest.approx(mean, nan_ok=True)


def test_metrics_with_equal_states_after_the_first_batch_stay_apart():
    head = make_head("softmax", 3, metrics=["recall", "precision", "f1"])
    first = CLASSES[:3]
    right = 10 * torch.eye(3)[first]
    values = computed(head, [(right, first), (Z, CLASSES)])
    assert len({round(value, 6) for value in values.values()}) == 3


@pytest.mark.parametrize("batch_size", [7, 60])
@pytest.mark.parametrize("reduce", [torch.max, torch.clone])
def test_a_function_is_a_metric_of_all_predictions_and_targets(batch_size, reduce):
    def error(predictions, targets):
        return reduce((predictions - targets).abs())

    head = SigmoidHead(2, metrics=["acc", error])
    batches = zip(Z[:, :1].split(batch_size), BINARY.split(batch_size), strict=True)
    expected = error(LOGIT.sigmoid(), BINARY).mean().item()
    assert computed(head, batches)["error"] == pytest.approx(expected)


def test_a_partial_has_the_name_of_its_function_and_an_object_that_of_its_class():
    class Gap:
        def __call__(self, predictions, targets):
            return predictions - targets

    head = SigmoidHead(metrics=[partial(torch.dist, p=1), Gap()])
    assert set(make_metrics(head)) == {"dist", "gap"}


def acc(predictions, targets):
    return predictions - targets


def loss(predictions, targets):
    return predictions - targets


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["f2"], "unknown metric 'f2'.*Accepted: acc, balanced_acc, f1"),
        (BETAS, "two values to be logged as binaryfbetascore."),
        (["acc", acc], "two values to be logged as acc."),
        ([loss], "two values to be logged as loss."),
    ],
)
def test_unknown_names_and_two_values_of_one_name_are_refused(metrics, message):
    with pytest.raises(InputError, match=message):
        make_metrics(SigmoidHead(metrics=metrics))


def test_a_metric_of_classes_for_values_names_the_heads_of_classes():
    message = "for values with RegressionHead, got 'acc', a metric for classes"
    with pytest.raises(InputError, match=message):
        make_metrics(RegressionHead(metrics=["acc"]))


def brier(predictions, targets):
    return (predictions - targets) ** 2


def test_the_direction_is_that_of_the_metric():
    metrics = ["acc", "auroc", BinaryHingeLoss(), brier]
    module = DenseModule((3,), 2, "sigmoid", metrics=metrics, l2=0.1)
    for name in ("val_acc", "train_auroc"):
        assert monitor_mode(name, module) == "max"
    for name in ("val_binaryhingeloss", "val_data_loss", "test_loss"):
        assert monitor_mode(name, module) == "min"


@pytest.mark.parametrize("head", HEADS)
def test_every_named_metric_can_be_monitored(head):
    module = DenseModule((3,), 2, head)
    names = named_metrics(module.head)
    module = DenseModule((3,), 2, head, metrics=list(names))
    for name in names:
        expected = "min" if name in ("mae", "mse", "rmse") else "max"
        assert monitor_mode(f"val_{name}", module) == expected


def test_a_loss_of_another_module_falls_and_its_metrics_are_told():
    assert monitor_mode("val_hinge_loss") == "min"
    assert (
        monitor_mode("val_acc", SimpleNamespace(metric_modes={"val_acc": "max"}))
        == "max"
    )
    with pytest.raises(InputError, match=r"metric_modes = {'val_acc': 'max'}"):
        monitor_mode("val_acc")
    module = DenseModule((3,), 2, "sigmoid", metrics=[brier])
    with pytest.raises(
        InputError, match=r"unknown monitor 'val_brier'\. Accepted: train_lo"
    ):
        monitor_mode("val_brier", module)
    with pytest.raises(InputError, match="Did you mean 'val_acc'"):
        monitor_mode("val_accuracy", DenseModule((3,), 2, "sigmoid"))
