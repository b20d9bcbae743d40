from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dlp.errors import InputError
from dlp.modules.heads import Head, make_head

N = 40
random = torch.Generator().manual_seed(0)
BINARY = torch.randint(0, 2, (N,), generator=random)
CLASSES = torch.randint(0, 4, (N,), generator=random)
LABELS = torch.randint(0, 2, (N, 3), generator=random).float()
VALUES = torch.randn(N, 2, generator=random) * 3 + 10
SHARES = torch.rand(N, 2, generator=random)
CLASS_SHARES = torch.rand(N, 4, generator=random).softmax(1)


def logits(columns):
    return torch.randn(N, columns, generator=torch.Generator().manual_seed(1)) * 2


def loss(head, outputs, targets):
    return head.loss(outputs, head.prepare(targets))


def softmax(z):
    return z.exp() / z.exp().sum(1)[:, None]


def bce(p, y):
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


def cross_entropy(p, y):
    return -(y * p.log()).sum(1).mean()


def square(p, y):
    return ((p - y) ** 2).mean()


@pytest.mark.parametrize(
    ("head", "targets", "link", "formula"),
    [
        (make_head("sigmoid", 2), BINARY[:, None], torch.sigmoid, bce),
        (make_head("softmax", 4), CLASS_SHARES, softmax, cross_entropy),
        (make_head("multilabel", 3), LABELS.long(), torch.sigmoid, bce),
        (make_head("regression", 2), VALUES, torch.clone, square),
        (make_head("bounded_regression", 2), SHARES, torch.sigmoid, square),
        (make_head("bounded_regression", 2, loss="bce"), SHARES, torch.sigmoid, bce),
    ],
)
def test_prediction_and_loss_are_those_of_the_formulas(head, targets, link, formula):
    z = logits(head.num_logits)
    p = link(z)
    torch.testing.assert_close(loss(head, z, targets), formula(p, targets))
    torch.testing.assert_close(head.predict(z)[:, -p.shape[1] :], p)


def test_sigmoid_is_exact_where_the_plain_formulas_overflow_and_vanish():
    head = make_head("sigmoid", 2)
    wrong_and_sure = torch.tensor([[-200.0], [200.0]])
    value = loss(head, wrong_and_sure, torch.tensor([1, 0]))
    assert value.item() == pytest.approx(200)
    class_0, class_1 = head.predict(torch.tensor([[30.0], [0.5]])).T
    assert class_0[0] > 0
    assert class_0[1].item() == pytest.approx(1 - class_1[1].item())


def test_softmax_gives_the_same_with_class_numbers_a_column_of_them_and_one_hot():
    one_hot = torch.eye(4)[CLASSES]
    results = []
    for targets in (
        CLASSES,
        CLASSES[:, None],
        CLASSES.float(),
        one_hot,
        one_hot.double(),
    ):
        head = make_head("softmax", 4)
        z = logits(4).requires_grad_()
        head.check(z, head.prepare(targets))
        value = loss(head, z, targets)
        (gradient,) = torch.autograd.grad(value, z)
        results.append(
            (value.detach(), gradient, head.metric_targets(head.prepare(targets)))
        )
    for value, gradient, classes in results:
        torch.testing.assert_close(value, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])
        assert classes.equal(CLASSES)


def test_standardised_regression_predicts_and_measures_in_the_original_unit():
    mean = [10.0, 20.0]
    std = [3.0, 0.5]
    head = make_head(
        "regression", 2, metrics=["mae", "rmse"], target_mean=mean, target_std=std
    )
    z = logits(2)
    scaled = (VALUES - torch.tensor(mean)) / torch.tensor(std)
    torch.testing.assert_close(loss(head, z, VALUES), square(z, scaled))
    values = z * torch.tensor(std) + torch.tensor(mean)
    torch.testing.assert_close(head.predict(z), values)
    assert head.metric_targets(VALUES).tolist() == VALUES.tolist()


@pytest.mark.parametrize(
    ("transform", "forward"), [("log", torch.log), ("log1p", torch.log1p)]
)
def test_a_logarithm_of_targets_is_undone_in_predictions(transform, forward):
    head = make_head("regression", 2, target_transform=transform)
    z = logits(2)
    targets = VALUES.abs() + 1
    torch.testing.assert_close(loss(head, z, targets), square(z, forward(targets)))
    torch.testing.assert_close(head.predict(head.prepare(targets)), targets)


@pytest.mark.parametrize(
    ("name", "num_outputs", "targets"),
    [
        ("sigmoid", 2, BINARY),
        ("softmax", 4, CLASSES),
        ("multilabel", 3, LABELS),
        ("regression", 2, SHARES),
        ("bounded_regression", 2, SHARES),
    ],
)
def test_the_loss_is_that_of_float32_under_autocast(name, num_outputs, targets):
    head = make_head(name, num_outputs)
    z = logits(head.num_logits).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(head, z, targets)
    assert value.equal(loss(head, z.float(), targets))


def test_a_loss_of_ones_own_takes_logits_and_prepared_targets():
    head = make_head("sigmoid", 2, loss=nn.HuberLoss())
    z = logits(1)
    expected = nn.HuberLoss()(z, BINARY[:, None].float())
    torch.testing.assert_close(loss(head, z, BINARY), expected)


@pytest.mark.parametrize(
    ("name", "num_outputs", "width", "targets", "message"),
    [
        ("sigmoid", 2, 1, BINARY * 2 - 1, "from -1 to 1.*task: classification"),
        ("softmax", 4, 4, CLASSES + 1, "expected targets from 0 to 3"),
        ("multilabel", 3, 3, LABELS * 2, "expected targets from 0 to 1"),
        ("bounded_regression", 2, 2, VALUES, "scale values to that range"),
        ("softmax", 3, 3, LABELS, "head: multilabel"),
        ("softmax", 4, 3, CLASSES, r"expected logits of shape \(N, 4\)"),
        ("regression", 2, 2, BINARY, "expected float targets, got torch.int64"),
        (
            "multilabel",
            3,
            3,
            BINARY,
            r"\(N, 3\) for MultilabelHead, .* for targets \(\d+, 1\)",
        ),
    ],
)
def test_a_batch_that_does_not_fit_the_head_is_refused(
    name, num_outputs, width, targets, message
):
    head = make_head(name, num_outputs)
    with pytest.raises(InputError, match=message):
        head.check(logits(width), head.prepare(targets))


@pytest.mark.parametrize(
    ("head", "arguments", "message"),
    [
        ("sigmoid", {"num_outputs": 3}, "expected two classes, got 3"),
        ("softmx", {"num_outputs": 3}, "unknown head 'softmx'. Did you mean 'softmax'"),
        ("softmax", {"num_outputs": 3, "loss": "bce"}, "unknown loss 'bce'"),
        (
            "softmax",
            {"num_outputs": 2, "threshold": 0.2},
            "expected head: sigmoid or multilabel",
        ),
        ("sigmoid", {"num_outputs": 2, "threshold": 5.0}, "threshold: expected 0 to 1"),
        (
            make_head("softmax", 3),
            {"num_outputs": 3, "loss": "mse"},
            "loss: expected it as an argument of the SoftmaxHead",
        ),
        (
            "bounded_regression",
            {"num_outputs": 1, "target_mean": [1.0]},
            "target_mean: expected head: regression, .* Leave out target_scaling",
        ),
    ],
)
def test_a_head_that_cannot_be_built_says_why(head, arguments, message):
    with pytest.raises(InputError, match=message):
        make_head(head, **arguments)


class Plain(Head):
    """Head without metrics of its own."""

    losses: ClassVar = {"mse": F.mse_loss}

    def predict(self, logits):
        return logits


class PlainClasses(Plain):
    task = "multiclass"


def test_the_metric_of_a_head_of_ones_own_follows_its_task():
    assert Plain(1).metrics == ["mae"]
    assert PlainClasses(3).metrics == ["acc"]
