import pytest
import torch
from torch import nn, optim

from dlp.modules import DenseModule
from dlp.modules.optimizers import KerasRMSprop
from dlp.modules.quick_module import QuickModule


class Model(QuickModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("seen", torch.zeros(1))
        self.note = None

    @property
    def upper(self):
        return self.note.upper()

    @upper.setter
    def upper(self, value):
        self.note = value.lower()


@pytest.mark.parametrize("value", ["word", None])
def test_a_plain_attribute_is_given_a_word_or_none(value):
    model = Model()
    for given in ("other", value):
        model.note = given
        assert model.note == given
    model.new = value
    assert model.new == value
    model.upper = "LOUD"
    assert (model.note, model.upper) == ("loud", "LOUD")


@pytest.mark.parametrize("name", ["layer", "scale", "seen"])
def test_what_torch_keeps_by_itself_is_set_as_torch_sets_it(name):
    model = Model()
    with pytest.raises(TypeError, match="cannot assign"):
        setattr(model, name, "word")
    setattr(model, name, None)
    assert getattr(model, name) is None
    assert name not in vars(model)
    model.note = nn.Linear(1, 1)  # a plain attribute becomes a layer
    assert "note" in dict(model.named_children())
    assert "note" not in vars(model)


class Noting(optim.SGD):
    cleared = 0

    def zero_grad(self, set_to_none=True):
        self.cleared += 1
        super().zero_grad(set_to_none)


@pytest.mark.parametrize("make", [KerasRMSprop, optim.Adam, Noting], ids=lambda make: make.__name__)
def test_gradients_are_let_go_by_the_optimizers_own_way_if_it_has_one(make):
    model = Model()
    other = nn.Parameter(torch.ones(1))
    optimizer = make([{"params": model.layer.parameters()}, {"params": [model.scale]}], lr=0.1)
    (model.layer(torch.ones(1, 2)) * model.scale * other).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    model.optimizer_zero_grad(0, 0, optimizer)
    assert all(weight.grad is None for weight in model.parameters())
    assert other.grad is not None  # of another optimizer
    assert getattr(optimizer, "cleared", 1) == 1


def test_a_method_of_one_optimizer_is_called_too():
    model, calls = Model(), []
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad = lambda: calls.append("cleared")
    model.optimizer_zero_grad(0, 0, optimizer)
    assert calls == ["cleared"]


class Penalised(DenseModule):
    def penalty(self):
        return 0.5


def test_a_penalty_of_ones_own_counts_without_l1_and_l2():
    batch = torch.ones(4, 2), torch.tensor([0, 1, 1, 0])
    plain, own = (kind((2,), 2, head="sigmoid") for kind in (DenseModule, Penalised))
    own.load_state_dict(plain.state_dict())
    losses = [model.training_step(batch, 0).item() for model in (plain, own)]
    assert losses[1] - losses[0] == pytest.approx(0.5)
