import pytest
import torch
from torch import nn

from dlp.quick_steps import QuickModule


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
