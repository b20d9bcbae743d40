"""Every kind of module comes back from its checkpoint, and no code of a file is run."""

import signal
import sys
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from lightning import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAccuracy

from dlp.datamodules import (
    ArrayDataModule,
    ArrayEncoder,
    ArrayRows,
    Examples,
    SupervisedDataModule,
)
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.modules import (
    Backbone,
    ConvNetModule,
    DenseModule,
    EnsembleModule,
    SupervisedModule,
)
from dlp.modules.heads import RegressionHead
from dlp.modules.serialization import build_module, spec_in
from dlp.reader.rows import MissingCodeError
from dlp.reader.spec import Component
from helpers.backbones import CLASSES, IMAGES, TinyBackbone, small_model
from helpers.rounding import assert_rounded_alike
from helpers.training import quiet_trainer

X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
IS_POSITIVE = X[:, 0] > 0
PIXELS = IMAGES.numpy()
ONE = torch.tensor(1.0)
SCALE = {"target_mean": [1.0, 2.0], "target_std": [3.0, 4.0]}
OTHERS = """os.system subprocess.Popen torch.nn.modules.linear.Linear this.Head
dlp.modules.nothing.Head dlp.modules.heads.torch helpers.training.Curves"""


class Mine(DenseModule):
    """Module with an argument of its own that passes others on."""

    def __init__(self, width=8, **kwargs):
        super().__init__(hidden=(width,), **kwargs)
        self.save_hyperparameters()


class SquaredHead(RegressionHead):
    """Head of another project, with an argument of its own."""

    def __init__(self, num_outputs=1, factor=1.0, **arguments):
        super().__init__(num_outputs, **arguments)
        self.factor = factor

    def predict(self, logits):
        return self.factor * super().predict(logits).square()


class CapHead(RegressionHead):
    """Head with an argument whose default is not None but that may be None."""

    def __init__(self, num_outputs=1, cap=0.1, **arguments):
        super().__init__(num_outputs, **arguments)
        self.cap = cap

    def predict(self, logits):
        values = super().predict(logits)
        return values if self.cap is None else values.clamp(max=self.cap)


def pretrained():
    """Return a model that begins with a file of weights, which is gone afterwards."""
    path = Path("weights.pth")
    torch.save(Backbone("shufflenet_v2_x0_5").model.state_dict(), path)
    model = small_model(weights=path, trainable_stages=1, pool="flatten")
    path.unlink()
    return model


def of_timm():
    pytest.importorskip("timm")
    return small_model(backbone="timm/test_vit")


own = {"backbone": TinyBackbone}
dense = partial(DenseModule, (4,))
member = partial(dense, 2, "sigmoid", l2=1e-3)
squared = partial(SquaredHead, factor=3.0)
numpy = {"hidden": (np.int64(8),), "l2": np.float64(0.01)}
weighted = {"threshold": 0.3, "class_weight": {np.str_("False"): np.float32(2.0)}}
plain = {"channels": (2,), "dense": (), "metrics": ["acc", "f1"], "padding": "same"}
#: Name -> a function that builds the module, inputs, targets, and what its file cannot bring.
CASES = {
    "values": (partial(dense, 2, "regression", **SCALE), X, X[:, :2], {}),
    "classes": (partial(dense, 2, "sigmoid", **weighted), X, IS_POSITIVE, {}),
    "images": (partial(ConvNetModule, (3, 32, 32), 2, **plain), PIXELS, CLASSES, {}),
    "pretrained": (pretrained, PIXELS, CLASSES, {}),
    "timm": (of_timm, PIXELS, CLASSES, {}),
    "own backbone": (partial(small_model, **own), PIXELS, CLASSES, own),
    "numbers of NumPy": (
        partial(dense, np.int64(2), "regression", **numpy),
        X,
        X[:, :2],
        {},
    ),
    "subclass": (
        partial(Mine, width=5, input_shape=(4,), num_outputs=2, head="sigmoid", l2=0.1),
        *(X, IS_POSITIVE, {}),
    ),
    "own head": (lambda: dense(1, squared()), X, X[:, 0], {"head": squared()}),
    "ensemble": (partial(EnsembleModule, member, 3), X, IS_POSITIVE, {}),
}


@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
@pytest.mark.parametrize(
    ("build", "x", "y", "given"),
    [
        pytest.param(*case, id=name, marks=[pytest.mark.slow] if name == "timm" else [])
        for name, case in CASES.items()
    ],
)
def test_a_module_comes_back_from_its_checkpoint(build, x, y, given):
    model, trainer = build(), quiet_trainer()
    data = ArrayDataModule(
        x, y, val_size=None, scaling="standard" if x.ndim == 2 else "none"
    )
    trainer.fit(model, data)
    trainer.save_checkpoint("a.ckpt")
    again = type(model).load_from_checkpoint("a.ckpt", weights_only=True, **given)
    inputs = torch.from_numpy(data.encoder.transform(x))
    expected = model.eval().head.predict(model(inputs)).detach()
    assert_rounded_alike(again.eval().head.predict(again(inputs)), expected)
    assert dict(again.hparams) == dict(model.hparams)
    trained = [
        [weight.requires_grad for weight in each.parameters()]
        for each in (model, again)
    ]
    assert trained[0] == trained[1]
    assert (again.head.threshold, again.l2) == (model.head.threshold, model.l2)
    scores = Predictor.load("a.ckpt", **given).scores(x)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def saved(model, y, path, **options):
    """Return the path of a checkpoint of a fit."""
    trainer = quiet_trainer(**options)
    trainer.fit(model, ArrayDataModule(X, y, val_size=None))
    trainer.save_checkpoint(path)
    return path


@pytest.mark.parametrize("path", [*OTHERS.split(), "Head", ""])
def test_another_class_is_refused_and_its_module_not_imported(path):
    with pytest.raises(MissingCodeError, match="whose code a file cannot bring"):
        build_module(Component(path, {"args": "true"}))
    assert "this" not in sys.modules


def test_what_the_encoder_learned_is_in_a_checkpoint_once():
    module = DenseModule((4,), 2, "sigmoid")
    data = ArrayDataModule(X, IS_POSITIVE, scaling="standard")
    trainer = quiet_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint("model.ckpt")
    checkpoint = torch.load("model.ckpt", weights_only=True)
    described = checkpoint["spec"]["encoder"]["state"]
    learned = checkpoint["ArrayDataModule"]["encoder"]
    # The words of texts are many, so files are smaller.
    assert described["mean_"] is learned["mean_"]


def test_another_network_than_that_of_the_class_is_given(tmp_path):
    model = DenseModule((4,), 2)
    model.network = nn.Linear(4, 2)
    path = saved(model, X[:, 0] > 0, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt has the weights of another network"):
        Predictor.load(path)
    assert Predictor.load(path, network=nn.Linear(4, 2)).scores(X).shape == (30, 2)


@pytest.mark.parametrize("cap", [None, 0.2, torch.tensor(0.5), signal.SIGINT])
def test_a_head_that_was_an_object_is_asked_for_and_given(tmp_path, cap):
    head = CapHead(cap=cap)
    module = SupervisedModule(nn.Linear(4, 1), head)
    path = saved(module, X[:, :1], tmp_path / "a.ckpt")
    with pytest.raises(
        InputError,
        match=r"'head' that a file does not hold \(.*CapHead\).*head=\.\.\.\)",
    ):
        Predictor.load(path, network=nn.Linear(4, 1))
    scores = Predictor.load(path, network=nn.Linear(4, 1), head=head).scores(X)
    expected = module.eval().predictions(torch.from_numpy(X))["values"].detach()
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


class Trunk(SupervisedModule):
    """Module with objects of its own, one of which has a default."""

    def __init__(self, trunk, last=None, width=2):
        layers = [trunk, last or nn.Linear(3, 1)]
        super().__init__(nn.Sequential(*layers), "regression")
        self.save_arguments(locals())


class TurnedEncoder(ArrayEncoder):
    """Encoder with a function as an argument."""

    def __init__(self, turn, scaling="none"):
        super().__init__(scaling)
        self.turn = turn

    def objects(self):
        return {"turn": "function of rows"}

    def transform(self, rows):
        return super().transform(self.turn(np.asarray(rows)))


class TurnedDataModule(SupervisedDataModule):
    """Rows that a function turns before they are encoded."""

    def __init__(self):
        super().__init__(
            encoder=TurnedEncoder(np.negative), targets=TargetEncoder("regression")
        )

    def load(self):
        return {"train": Examples(ArrayRows(X), X[:, :1])}


def test_an_object_of_an_encoder_is_asked_for_and_given(tmp_path):
    module = DenseModule((4,), 1, "regression")
    trainer = quiet_trainer()
    trainer.fit(module, TurnedDataModule())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"'turn'.* \(function of rows\)"):
        Predictor.load(tmp_path / "a.ckpt")
    scores = Predictor.load(tmp_path / "a.ckpt", turn=np.negative).scores(X)
    inputs = torch.from_numpy(-X)
    expected = module.eval().predictions(inputs)["values"].detach()
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_objects_of_a_module_of_ones_own_are_asked_for_by_name(tmp_path):
    path = saved(Trunk(nn.Linear(4, 3)), X[:, :1], tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"'trunk'.* Predictor.load\(path, trunk="):
        Predictor.load(path)
    assert Predictor.load(path, trunk=nn.Linear(4, 3)).scores(X).shape == (30, 1)


class Wide(DenseModule):
    """Module that saves its arguments as Lightning's documentation says."""

    def __init__(self, input_shape, num_outputs, width=3):
        super().__init__(input_shape, num_outputs, hidden=[width])
        self.save_hyperparameters()


def test_a_module_that_the_command_line_built_is_built_again(tmp_path):
    module = Wide((4,), 2, width=5)
    module.save_hyperparameters({"_class_path": "of Lightning"})
    path = saved(module, X[:, 0] > 0, tmp_path / "a.ckpt")
    assert Predictor.load(path).scores(X).shape == (30, 2)


class Unsaved(SupervisedModule):
    """Module that saves none of its arguments."""

    def __init__(self, width):
        super().__init__(nn.Linear(4, width), "regression", width)


def test_an_argument_that_a_module_does_not_save_is_asked_for(tmp_path):
    path = saved(Unsaved(1), X[:, :1], tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"'width'.*self.save_hyperparameters"):
        Predictor.load(path)
    assert Predictor.load(path, width=1).scores(X).shape == (30, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"metrics": [BinaryAccuracy()]},
        {"metrics": ["acc", BinaryAccuracy()]},
        {"loss": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))},
    ],
    ids=["metric", "name and metric", "loss"],
)
def test_objects_that_only_a_fit_needs_are_not_needed_for_predictions(arguments):
    model = DenseModule((4,), 2, "sigmoid", **arguments)
    path = saved(model, IS_POSITIVE, "a.ckpt")
    expected = model.eval().head.predict(model(torch.from_numpy(X))).detach()
    scores = Predictor.load(path).scores(X)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_weights_of_another_precision_predict_in_single_precision(tmp_path, precision):
    model = DenseModule((4,), 2, hidden=(4,))
    path = saved(model, X[:, 0] > 0, tmp_path / "a.ckpt", precision=precision)
    assert Predictor.load(path).scores(X).dtype == np.float32


def test_members_of_a_class_that_was_not_imported_are_refused_or_given(tmp_path):
    model = EnsembleModule(member, 2)
    model.hparams["make_member"]["class_path"] = "this.Member"
    path = saved(model, IS_POSITIVE, tmp_path / "a.ckpt")
    with pytest.raises(
        InputError, match=r"got this.Member.*pass a function: load_from_checkpoint"
    ):
        EnsembleModule.load_from_checkpoint(path, weights_only=True)
    again = EnsembleModule.load_from_checkpoint(
        path, weights_only=True, make_member=member
    )
    assert len(again.network) == 2


def test_the_class_of_the_members_is_missing_until_it_is_imported_or_given():
    member = {"class_path": "elsewhere.Net", "init_args": {}}
    path = "dlp.modules.ensemble.EnsembleModule"
    component = Component(path, {"make_member": member, "size": 2})
    assert "Import elsewhere" in component.missing(SupervisedModule, {})
    given = {"make_member": DenseModule}
    assert component.missing(SupervisedModule, given) is None


def test_a_description_of_a_later_version_is_refused():
    with pytest.raises(InputError, match="it was written in format 99; update dlp"):
        spec_in({"spec": {"format": 99}})


def test_a_checkpoint_of_an_earlier_version_names_the_version_that_reads_it(tmp_path):
    path = saved(DenseModule((4,), 2), IS_POSITIVE, tmp_path / "a.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["spec"]["format"] = 2
    checkpoint["hyper_parameters"]["units"] = 3  # an argument that is gone
    torch.save(checkpoint, path)
    with pytest.raises(InputError, match=r"format 2 by dlp 1\.2 or earlier"):
        DenseModule.load_from_checkpoint(path, weights_only=True)


def test_a_checkpoint_given_as_an_open_file_keeps_its_error(tmp_path):
    path = saved(DenseModule((4,), 2), IS_POSITIVE, tmp_path / "a.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["inputs"] = 3
    torch.save(checkpoint, path)
    with path.open("rb") as file, pytest.raises(TypeError, match="inputs"):
        DenseModule.load_from_checkpoint(file, weights_only=True)


class PassesOn(SupervisedModule):
    """Module that passes other arguments on, and saves none."""

    def __init__(self, extra=1, **arguments):
        super().__init__(**arguments)


def test_an_object_for_a_module_that_passes_arguments_on_reaches_it(tmp_path):
    module = PassesOn(network=nn.Linear(4, 1), head="regression")
    path = saved(module, X[:, :1], tmp_path / "a.ckpt")
    predictor = Predictor.load(path, network=nn.Linear(4, 1), head="regression")
    assert predictor.scores(X).shape == (30, 1)


def test_an_object_of_an_unknown_name_is_refused(tmp_path):
    path = saved(DenseModule((4,), 2), IS_POSITIVE, tmp_path / "a.ckpt")
    with pytest.raises(
        InputError, match=r"^netwrok: expected the name of .*DenseModule"
    ):
        Predictor.load(path, netwrok=nn.Linear(4, 2))


class Pair(NamedTuple):
    """Two numbers."""

    first: int
    second: int


class Paired(SupervisedModule):
    def __init__(self, pair):
        super().__init__(nn.Linear(4, pair[1]), "regression")
        self.save_arguments(locals())


def test_a_named_tuple_comes_back_as_a_tuple(tmp_path):
    path = saved(Paired(Pair(2, 1)), X[:, :1], tmp_path / "a.ckpt")
    assert Predictor.load(path).models[0].module.hparams["pair"] == (2, 1)


class ForeignData(LightningDataModule):
    """Data of another project, with an encoder of another kind."""

    encoder: ClassVar = {"a": 1}

    def train_dataloader(self):
        x = torch.from_numpy(X)
        return DataLoader(TensorDataset(x, x[:, :1]), batch_size=30)

    val_dataloader = train_dataloader


class Sized(nn.Linear):
    """Network with an attribute that means a shape in networks of the project."""

    input_shape = 4


def test_an_attribute_of_a_network_of_ones_own_is_no_shape(tmp_path):
    trainer = quiet_trainer()
    module = SupervisedModule(Sized(4, 1), "regression")
    trainer.fit(module, datamodule=ForeignData())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    scores = Predictor.load(tmp_path / "a.ckpt", network=Sized(4, 1)).scores(X)
    assert scores.shape == (30, 1)


def test_the_encoder_of_foreign_data_is_not_taken_for_one_of_the_project(tmp_path):
    trainer = quiet_trainer()
    trainer.fit(
        SupervisedModule(nn.Linear(4, 1), "regression"), datamodule=ForeignData()
    )
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert Predictor.load(tmp_path / "a.ckpt", network=nn.Linear(4, 1)).scores(
        X
    ).shape == (30, 1)
