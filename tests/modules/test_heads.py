import math
import re
from typing import get_args

import pytest
import torch
from sklearn import metrics as sk
from torch import nn
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy

from dlp.errors import InputError
from dlp.modules import (
    BoundedRegressionHead,
    MultilabelHead,
    RegressionHead,
    SigmoidHead,
    SoftmaxHead,
)
from dlp.modules.heads import HEADS, HeadName, make_head

N = 40
random = torch.Generator().manual_seed(0)
BINARY = torch.randint(0, 2, (N,), generator=random)
CLASSES = torch.randint(0, 4, (N,), generator=random)
LABELS = torch.randint(0, 2, (N, 3), generator=random).float()
VALUES = torch.randn(N, 2, generator=random) * 3 + 10


def logits(columns):
    return torch.randn(N, columns, generator=torch.Generator().manual_seed(1)) * 2


def scores(head, outputs, targets):
    """Return what the head's metrics make of a batch."""
    found = head.make_metrics()
    found.update(head.scores(outputs), head.metric_targets(head.prepare(targets)))
    return {name: value.item() for name, value in found.compute().items()}


def loss(head, outputs, targets):
    return head.loss(outputs, head.prepare(targets))


# The table of chapter 4 -----------------------------------------------------------------------


def test_sigmoid_is_bce_on_one_logit_and_predicts_both_classes():
    head, z = SigmoidHead(2), logits(1)
    p = 1 / (1 + (-z[:, 0]).exp())
    expected = -(BINARY * p.log() + (1 - BINARY) * (1 - p).log()).mean()
    assert head.num_logits == 1
    assert head.prediction == "probabilities"
    assert head.prepare(BINARY).dtype == torch.float32
    torch.testing.assert_close(loss(head, z, BINARY), expected)
    torch.testing.assert_close(head.predict(z), torch.stack([1 - p, p], dim=1))
    assert scores(head, z, BINARY) == {"acc": pytest.approx(((p > 0.5) == BINARY).float().mean())}


def test_sigmoid_does_not_overflow_where_the_plain_formula_does():
    value = loss(SigmoidHead(2), torch.tensor([[-200.0], [200.0]]), torch.tensor([1, 0]))
    assert value.item() == pytest.approx(200)


def test_softmax_is_cross_entropy():
    head, z = SoftmaxHead(4), logits(4)
    p = z.exp() / z.exp().sum(1, keepdim=True)
    assert head.num_logits == 4
    assert head.prediction == "probabilities"
    assert head.prepare(CLASSES).dtype == torch.int64
    torch.testing.assert_close(loss(head, z, CLASSES), -p[torch.arange(N), CLASSES].log().mean())
    torch.testing.assert_close(head.predict(z), p)
    accuracy = (p.argmax(1) == CLASSES).float().mean().item()
    assert scores(head, z, CLASSES) == {"acc": pytest.approx(accuracy)}


@pytest.mark.parametrize("name", ["cross_entropy", "mse"])
def test_softmax_gives_the_same_with_class_numbers_a_column_of_them_and_one_hot(name):
    one_hot = torch.eye(4)[CLASSES]
    results = []
    for targets in (CLASSES, CLASSES[:, None], CLASSES.float(), one_hot, one_hot.double()):
        head = SoftmaxHead(4, name, ["acc", "f1"])
        z = logits(4).requires_grad_()
        head.check(z, targets)
        value = loss(head, z, targets)
        value.backward()
        results.append((value.detach(), z.grad, scores(head, z.detach(), targets)))
    for value, gradient, found in results[1:]:
        torch.testing.assert_close(value, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])
        assert found == results[0][2]


def test_softmax_takes_probabilities():
    head, z = SoftmaxHead(4), logits(4)
    wanted = torch.rand(N, 4, generator=torch.Generator().manual_seed(2)).softmax(1)
    head.check(z, wanted)
    torch.testing.assert_close(loss(head, z, wanted), -(wanted * z.log_softmax(1)).sum(1).mean())


def test_multilabel_is_bce_with_accuracy_over_all_labels_and_macro_f1():
    head, z = MultilabelHead(3), logits(3)
    p = z.sigmoid()
    assert head.num_logits == 3
    assert head.prepare(LABELS.long()).dtype == torch.float32
    expected = -(LABELS * p.log() + (1 - LABELS) * (1 - p).log()).mean()
    torch.testing.assert_close(loss(head, z, LABELS), expected)
    torch.testing.assert_close(head.predict(z), p)
    found = (p > 0.5).float()
    assert scores(head, z, LABELS) == {
        "acc": pytest.approx((found == LABELS).float().mean().item()),
        "f1": pytest.approx(sk.f1_score(LABELS, found, average="macro")),
    }


def test_regression_is_mse():
    head, z = RegressionHead(2), logits(2)
    torch.testing.assert_close(loss(head, z, VALUES), ((z - VALUES) ** 2).mean())
    assert head.num_logits == 2
    assert head.prediction == "values"
    assert torch.equal(head.predict(z), z)
    error = (z - VALUES).abs().mean().item()
    assert scores(head, z, VALUES) == {"mae": pytest.approx(error)}


def test_regression_takes_one_target_with_and_without_its_axis():
    head, z = RegressionHead(1), logits(1)
    torch.testing.assert_close(loss(head, z, VALUES[:, 0]), ((z[:, 0] - VALUES[:, 0]) ** 2).mean())
    torch.testing.assert_close(loss(head, z, VALUES[:, :1]), loss(head, z, VALUES[:, 0]))
    assert head.predict(z).shape == (N, 1)


def test_standardised_regression_predicts_and_measures_in_the_original_unit():
    mean, std = [10.0, 20.0], [3.0, 0.5]
    head, z = (
        RegressionHead(2, metrics=["mae", "rmse"], target_mean=mean, target_std=std),
        logits(2),
    )
    m, s = torch.tensor(mean), torch.tensor(std)
    torch.testing.assert_close(loss(head, z, VALUES), ((z - (VALUES - m) / s) ** 2).mean())
    values = z * s + m
    torch.testing.assert_close(head.predict(z), values)
    assert scores(head, z, VALUES) == {
        "mae": pytest.approx((values - VALUES).abs().mean().item(), rel=1e-5),
        "rmse": pytest.approx(((values - VALUES) ** 2).mean().sqrt().item(), rel=1e-5),
    }


@pytest.mark.parametrize("name", ["mse", "bce"])
def test_bounded_regression_is_mse_or_bce_of_a_sigmoid(name):
    head, z = BoundedRegressionHead(2, name), logits(2)
    targets = torch.rand(N, 2, generator=torch.Generator().manual_seed(3))
    p = z.sigmoid()
    expected = {
        "mse": ((p - targets) ** 2).mean(),
        "bce": -(targets * p.log() + (1 - targets) * (1 - p).log()).mean(),
    }
    torch.testing.assert_close(loss(head, z, targets), expected[name])
    torch.testing.assert_close(head.predict(z), p)
    assert head.prediction == "values"
    error = (p - targets).abs().mean().item()
    assert scores(head, z, targets) == {"mae": pytest.approx(error)}


def test_the_named_metrics_agree_with_scikit_learn():
    names = ["acc", "f1", "precision", "recall", "auroc"]
    z = logits(4)
    p, chosen = z.double().softmax(1), z.argmax(1)
    assert scores(SoftmaxHead(4, metrics=names), z, CLASSES) == {
        "acc": pytest.approx(sk.accuracy_score(CLASSES, chosen)),
        "f1": pytest.approx(sk.f1_score(CLASSES, chosen, average="macro")),
        "precision": pytest.approx(sk.precision_score(CLASSES, chosen, average="macro")),
        "recall": pytest.approx(sk.recall_score(CLASSES, chosen, average="macro")),
        "auroc": pytest.approx(sk.roc_auc_score(CLASSES, p, multi_class="ovr")),
    }
    z = logits(1)
    chosen = (z[:, 0] > 0).long()
    assert scores(SigmoidHead(2, metrics=names), z, BINARY) == {
        "acc": pytest.approx(sk.accuracy_score(BINARY, chosen)),
        "f1": pytest.approx(sk.f1_score(BINARY, chosen)),
        "precision": pytest.approx(sk.precision_score(BINARY, chosen)),
        "recall": pytest.approx(sk.recall_score(BINARY, chosen)),
        "auroc": pytest.approx(sk.roc_auc_score(BINARY, z[:, 0])),
    }
    z = logits(2)
    assert scores(RegressionHead(2, metrics=["mse", "r2"]), z, VALUES) == {
        "mse": pytest.approx(sk.mean_squared_error(VALUES, z)),
        "r2": pytest.approx(sk.r2_score(VALUES, z), rel=1e-4),
    }


def test_top5_accuracy_counts_the_class_among_the_five_likeliest():
    z, targets = torch.tensor([[6.0, 5, 4, 3, 2, 1]]).repeat(4, 1), torch.tensor([0, 4, 5, 5])
    assert scores(SoftmaxHead(6, metrics="top5_acc"), z, targets) == {"top5_acc": 0.5}


# Other losses and metrics ---------------------------------------------------------------------


def smooth(outputs, targets):
    return ((outputs - targets) ** 2).sqrt()


@pytest.mark.parametrize(
    "other", ["mae", "torch.nn.functional.l1_loss", "torch.nn.L1Loss", nn.L1Loss, nn.L1Loss()]
)
def test_another_loss_by_name_import_path_class_or_object(other):
    z = logits(2)
    torch.testing.assert_close(loss(RegressionHead(2, other), z, VALUES), (z - VALUES).abs().mean())


def bias(predictions, targets):
    return (predictions - targets).mean()


def bias_by_sample(predictions, targets):
    return (predictions - targets).mean(dim=1)


@pytest.mark.parametrize("function", [bias, bias_by_sample])
def test_a_plain_function_as_metric_is_averaged_over_samples(function):
    found = RegressionHead(2, metrics=[function]).make_metrics()
    z = logits(2)
    for part in (slice(0, 30), slice(30, N)):
        found.update(z[part], VALUES[part])
    assert found.compute() == {
        function.__name__: pytest.approx((z - VALUES).mean().item(), rel=1e-5)
    }


@pytest.mark.parametrize(
    "other", ["torchmetrics.classification.BinaryAUROC", BinaryAUROC, BinaryAUROC()]
)
def test_another_metric_by_import_path_class_or_object(other):
    z = logits(1)
    assert scores(SigmoidHead(2, metrics=["acc", other]), z, BINARY) == {
        "acc": pytest.approx(((z[:, 0] > 0) == BINARY).float().mean().item()),
        "binary_auroc": pytest.approx(sk.roc_auc_score(BINARY, z[:, 0])),
    }


def test_no_metrics_is_a_choice():
    assert scores(SigmoidHead(2, metrics=[]), logits(1), BINARY) == {}


# What does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make_head("sofmax", 3), "unknown head 'sofmax'. Did you mean 'softmax'?"),
        (lambda: SigmoidHead(2, "bec"), "unknown loss 'bec'. Did you mean 'bce'?"),
        (lambda: SigmoidHead(2, "torch.nn.BCLoss"), "the loss 'torch.nn.BCLoss' cannot be imp"),
        (lambda: SigmoidHead(2, 3), "the loss 3 cannot be called"),
        (lambda: SigmoidHead(46), "head: sigmoid is for two classes; the data has 46"),
        (lambda: SoftmaxHead(1), "head: softmax is for two classes or more"),
        (lambda: RegressionHead(0), "num_outputs must be a whole number of 1 or more, got 0"),
        (lambda: make_head("softmax", 3, target_mean=[1.0]), "go with head: regression"),
        (lambda: make_head(SoftmaxHead(3), 3, loss="mse"), "to the SoftmaxHead object itself"),
        (lambda: RegressionHead(2, target_mean=[1.0], target_std=[1.0]), "one number for each"),
        (lambda: RegressionHead(1, target_mean=[1.0], target_std=[0.0]), "the latter above 0"),
        (lambda: RegressionHead(1, target_mean=[1.0], target_std=[math.nan]), "above 0"),
    ],
)
def test_what_cannot_be_built_is_said_at_once(build, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("ac", "unknown metric 'ac'. Did you mean 'acc'?"),
        ("torchmetrics.Nothing", "the metric 'torchmetrics.Nothing' cannot be imported"),
        (nn.L1Loss, "the metric L1Loss is no torchmetrics class"),
        (MulticlassAccuracy, "the metric MulticlassAccuracy cannot be made"),
        (5, "the metric 5 cannot be called"),
    ],
)
def test_what_is_no_metric_is_said_when_metrics_are_made(metric, message):
    with pytest.raises(InputError, match=re.escape(message)):
        SigmoidHead(2, metrics=[metric]).make_metrics()


@pytest.mark.parametrize(
    ("head", "width", "targets", "message"),
    [
        (RegressionHead(1), 1, CLASSES, "For classes use head: softmax or sigmoid"),
        (RegressionHead(1), 1, VALUES, "regression has 1 outputs, and the targets have shape"),
        (RegressionHead(2), 2, VALUES / 0, "a target is missing or infinite"),
        (SigmoidHead(2), 1, CLASSES, "targets of 0 and 1; these go from 0 to 3"),
        (SigmoidHead(2), 1, LABELS, "head: sigmoid takes targets (N,) of 0 and 1, got (40, 3)"),
        (SoftmaxHead(3), 3, CLASSES, "class numbers of 0 to 2; these go from 0 to 3"),
        (SoftmaxHead(4), 4, CLASSES - 1, "these go from -1 to 2"),
        (SoftmaxHead(4), 4, CLASSES / 2, "whole class numbers, got values such as"),
        (SoftmaxHead(4), 4, LABELS, "class numbers (N,) or one-hot (N, 4), got (40, 3)"),
        (SoftmaxHead(3), 3, LABELS, "is not one-hot: its sum is not 1"),
        (SoftmaxHead(4), 4, CLASSES[:-1], "the batch has 40 inputs and 39 targets"),
        (MultilabelHead(3), 3, CLASSES, "head: multilabel takes targets (N, 3)"),
        (MultilabelHead(3), 3, LABELS * 2, "these go from 0 to 2"),
        (BoundedRegressionHead(2), 2, VALUES, "head: bounded_regression takes targets in [0, 1]"),
        (BoundedRegressionHead(2), 2, -LABELS[:, :2], "these go from -1 to"),
        (BoundedRegressionHead(2), 2, VALUES / 0, "bounded_regression takes targets in [0, 1]"),
        (BoundedRegressionHead(1), 1, LABELS, "has 1 outputs, and the targets have shape (40, 3)"),
        (SigmoidHead(2), 2, BINARY, "the network gives (40, 2), and the head takes (N, 1)"),
        (SoftmaxHead(4), 3, CLASSES, "the network gives (40, 3), and the head takes (N, 4)"),
    ],
)
def test_targets_and_outputs_that_do_not_fit_are_refused(head, width, targets, message):
    with pytest.raises(InputError, match=re.escape(message)):
        head.check(logits(width), targets)


def test_what_fits_passes_the_check():
    for head, width, targets in [
        (SigmoidHead(1), 1, BINARY),
        (SigmoidHead(2), 1, BINARY.bool()),
        (SigmoidHead(2), 1, torch.eye(2)[BINARY]),
        (SoftmaxHead(4), 4, CLASSES),
        (MultilabelHead(3), 3, LABELS.long()),
        (RegressionHead(2), 2, VALUES.double()),
        (BoundedRegressionHead(1), 1, BINARY),
    ]:
        head.check(logits(width), targets)
        assert torch.isfinite(loss(head, logits(width), targets))


def test_a_one_hot_pair_is_the_same_binary_problem():
    head, z = SigmoidHead(2), logits(1)
    torch.testing.assert_close(loss(head, z, torch.eye(2)[BINARY]), loss(head, z, BINARY))


def test_every_head_stands_in_the_table_under_its_name():
    assert [make_head(name, 2).__class__ for name in HEADS] == list(HEADS.values())
    assert get_args(HeadName) == tuple(HEADS)


# By class_path, as a config names them ----------------------------------------------------------


def test_a_loss_and_metrics_by_class_path_with_arguments():
    smooth = {"class_path": "torch.nn.CrossEntropyLoss", "init_args": {"label_smoothing": 0.1}}
    f2 = {
        "class_path": "torchmetrics.classification.MulticlassFBetaScore",
        "init_args": {"beta": 2.0, "num_classes": 4},
    }
    head = SoftmaxHead(4, smooth, ["acc", f2])
    z = logits(4)
    expected = nn.CrossEntropyLoss(label_smoothing=0.1)(z, CLASSES)
    torch.testing.assert_close(loss(head, z, CLASSES), expected)
    f_beta = sk.fbeta_score(CLASSES, z.argmax(1), beta=2, average="macro")
    assert scores(head, z, CLASSES)["multiclass_f_beta_score"] == pytest.approx(f_beta, rel=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("torch.nn.CrosEntropyLoss", {}), "has no 'CrosEntropyLoss'. Did you mean 'CrossEntrop"),
        (
            ("torch.nn.CrossEntropyLoss", {"label_smoothin": 0.1}),
            "unknown argument of CrossEntropyLoss 'label_smoothin'. Did you mean 'label_smoothing'",
        ),
    ],
)
def test_a_wrong_class_path_is_said_in_words(given, said):
    path, arguments = given
    with pytest.raises(InputError, match=said):
        SoftmaxHead(4, {"class_path": path, "init_args": arguments})


def test_probabilities_are_float32_and_never_zero_by_subtraction():
    z = torch.tensor([[30.0], [-30.0], [80.0]], dtype=torch.bfloat16)
    chances = SigmoidHead(2).predict(z)
    assert chances.dtype == torch.float32
    assert (chances > 0).all()  # 1 - p is 0 from 17 on
    expected = torch.tensor([math.exp(-30), 1.0, math.exp(-80)])
    torch.testing.assert_close(chances[:, 0], expected)
    for head in (SoftmaxHead(4), MultilabelHead(4), RegressionHead(4), BoundedRegressionHead(4)):
        assert head.predict(logits(4).bfloat16()).dtype == torch.float32
