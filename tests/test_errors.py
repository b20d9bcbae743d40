import pytest
import torch
from torch.optim import SGD, Adam, SparseAdam
from torch.optim.lr_scheduler import CosineAnnealingLR

from dlp.errors import InputError, MissingInputError, refusal, suggestion, unknown


@pytest.mark.parametrize(
    ("given", "near"), [("sofmax", "softmax"), ("SIGMOID", "sigmoid"), ("softmx", "softmax")]
)
def test_the_nearest_name_is_suggested_whatever_its_case(given, near):
    assert suggestion(given, ["sigmoid", "softmax"]) == f" Did you mean {near!r}?"


def test_nothing_is_suggested_where_nothing_is_near():
    assert suggestion("transformer", ["sigmoid", "relu"]) == ""


def test_an_unknown_name_lists_what_is_accepted():
    error = unknown("head", "sofmax", iter(["sigmoid", "softmax"]))
    assert isinstance(error, InputError)
    assert str(error) == (
        "unknown head 'sofmax'. Did you mean 'softmax'? Accepted: sigmoid, softmax."
    )


def test_a_missing_input_is_both_kinds_of_error_and_prints_its_sentence_alone():
    error = MissingInputError("there is no file data.csv.")
    assert isinstance(error, FileNotFoundError)
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)
    assert str(error) == "there is no file data.csv."


def sparse_step():
    weight = torch.ones(1, requires_grad=True)
    weight.sum().backward()
    SparseAdam([weight]).step()


def period_of_0():
    weight = torch.ones(1, requires_grad=True)
    optimizer = SGD([weight])
    schedule = CosineAnnealingLR(optimizer, T_max=0)
    optimizer.step()
    schedule.step()


def failing_loss():
    weight = torch.ones(1, requires_grad=True)
    SGD([weight]).step(lambda: 1 / 0)  # called by the optimizer, and none of its checks


def state_of_another_weight():
    weight = torch.ones(2, requires_grad=True)
    optimizer = Adam([weight])
    for _ in range(2):
        weight.sum().backward()
        optimizer.step()
        optimizer.state[weight]["exp_avg"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        (state_of_another_weight, None),
        (sparse_step, "SparseAdam does not support dense gradients"),
        (period_of_0, "CosineAnnealingLR cannot do with T_max 0, eta_min 0.0, last_epoch 1: "),
        (failing_loss, None),
    ],
)
def test_what_an_optimizer_refuses_is_known_by_its_place(fail, said):
    with pytest.raises((RuntimeError, ZeroDivisionError)) as raised:
        fail()
    message = refusal(raised.value)
    assert message is None if said is None else message is not None and message.startswith(said)
