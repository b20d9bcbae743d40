import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.training import quiet_trainer
from torch import nn

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.modules import DenseModule, SoftmaxHead
from dlp.modules.heads import BoundedRegressionHead
from dlp.modules.serialization import build, describe, output_names, spec_in
from dlp.reader.spec import Component

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


def saved(model, y, path, **options):
    """Return the path of a checkpoint of a fit."""
    trainer = quiet_trainer(**options)
    trainer.fit(model, ArrayDataModule(X, y, val_size=None))
    trainer.save_checkpoint(path)
    return path


class ThreeClasses(SoftmaxHead):
    """Head with fewer arguments than the one it derives from."""

    def __init__(self):
        super().__init__(3)


class Unrelated:
    """Class that the program has imported and that is no head."""


def test_a_checkpoint_of_another_head_is_refused(tmp_path):
    path = saved(DenseModule((4,), 1, "regression"), X[:, 0], tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"the checkpoint has the head .*RegressionHead, not .*Bo"):
        DenseModule.load_from_checkpoint(path, weights_only=True, head=BoundedRegressionHead(1))


@pytest.mark.parametrize("role", ["network", "head"])
@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "subprocess.Popen",
        "torch.nn.modules.linear.Linear",
        "this.Head",
        "dlp.modules.nothing.Head",
        "dlp.modules.heads.torch",
        "Head",
        "",
        f"{__name__}.Unrelated",
    ],
)
def test_another_class_is_refused_and_its_module_not_imported(path, role):
    with pytest.raises(InputError, match=rf"give it: Predictor.load\(path, {role}="):
        build(Component(path, {"args": "true"}), role)
    assert "this" not in sys.modules


def test_classes_that_the_data_takes_for_one_column_of_values_are_numbered():
    data = SimpleNamespace(output_names=["label"])
    assert output_names(data, 1) == ["label"]
    assert output_names(data, 2) == ["0", "1"]
    assert output_names(None, 1) == ["value"]


def test_a_network_of_ones_own_is_given(tmp_path):
    model = DenseModule((4,), 2)
    model.network = nn.Linear(4, 2)
    path = saved(model, X[:, 0] > 0, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="Linear, whose code a file cannot bring"):
        Predictor.load(path)
    predictor = Predictor.load(path, network=nn.Linear(4, 2), head=SoftmaxHead(2))
    assert predictor.scores(X).shape == (40, 2)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_weights_of_another_precision_predict_in_single_precision(tmp_path, precision):
    model = DenseModule((4,), 2, hidden=(4,))
    path = saved(model, X[:, 0] > 0, tmp_path / "a.ckpt", precision=precision)
    assert Predictor.load(path).scores(X).dtype == np.float32


def test_a_head_is_built_by_its_own_arguments_alone():
    component = describe(ThreeClasses())
    assert component.arguments == {}
    assert build(component, "head").num_outputs == 3


def test_a_description_of_a_later_version_is_refused():
    with pytest.raises(InputError, match="written in format 99; update dlp"):
        spec_in({"spec": {"format": 99}})
