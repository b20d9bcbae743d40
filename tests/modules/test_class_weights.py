import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EMAWeightAveraging
from sklearn.utils.class_weight import compute_class_weight

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule
from dlp.modules.heads import make_head
from dlp.modules.losses import class_weights
from helpers.training import loader, plain_loaders, quiet_trainer

draw = np.random.default_rng(0)
N = 60
CLASSES = {
    "sigmoid": draw.integers(0, 2, (2, N)).prod(0),
    "softmax": draw.integers(0, 3, N),
}
LABELS = draw.uniform(size=(N, 3)) < [0.2, 0.5, 0.9]
X = draw.normal(size=(N, 4)).astype(np.float32)


def data_of(name):
    return ArrayDataModule(X, CLASSES[name], val_size=None)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("weights", ["balanced", {"b": 7.5}])
def test_each_sample_counts_by_the_weight_of_its_class(name, weights):
    y = CLASSES[name]
    names = ["a", "b", "c"][: y.max() + 1]
    head = make_head(name, len(names))
    targets = head.prepare(torch.from_numpy(y))
    logits = torch.randn(N, head.num_logits, generator=torch.Generator().manual_seed(0))
    rows = zip(logits.split(1), targets.split(1), strict=True)
    losses = torch.stack([head.loss(row, target) for row, target in rows])
    frequencies = np.bincount(y) / N
    head.class_weights = class_weights(weights, names, frequencies.tolist(), head.task)
    if weights == "balanced":
        expected = compute_class_weight("balanced", classes=np.unique(y), y=y)[y]
    else:
        expected = np.where(y == 1, 7.5, 1.0)
    weighted = (torch.from_numpy(expected).float() * losses).mean()  # by N, as in Keras
    torch.testing.assert_close(head.loss(logits, targets), weighted)
    torch.testing.assert_close(head.eval().loss(logits, targets), losses.mean())


def test_each_label_is_balanced_by_itself():
    head = make_head("multilabel", 3)
    shares = LABELS.mean(axis=0)
    names = ["a", "b", "c"]
    head.class_weights = class_weights("balanced", names, shares.tolist(), "multilabel")
    targets = torch.from_numpy(LABELS).float()
    logits = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    weights = np.where(LABELS, 1 / (2 * shares), 1 / (2 * (1 - shares)))
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    expected = (torch.from_numpy(weights).float() * losses).mean()
    torch.testing.assert_close(head.loss(logits, targets), expected)


def test_a_label_that_no_row_has_leaves_the_loss_finite():
    head = make_head("multilabel", 2)
    head.class_weights = class_weights("balanced", ["a", "b"], [0.0, 0.5], "multilabel")
    assert head.loss(torch.zeros(4, 2), torch.tensor([[0.0, 1.0]] * 4)).isfinite()


def test_a_fit_takes_names_and_frequencies_from_its_data_and_the_weights_are_no_state():
    model = DenseModule((4,), 2, "sigmoid", class_weight="balanced")
    quiet_trainer().fit(model, data_of("sigmoid"))
    expected = compute_class_weight(
        "balanced", classes=np.array([0, 1]), y=CLASSES["sigmoid"]
    )
    np.testing.assert_allclose(model.head.class_weights[:, 0], expected, rtol=1e-6)
    assert not any("class_weights" in name for name in model.state_dict())


@pytest.mark.parametrize(
    "flags", [{"precision": "64-true"}, {"callbacks": [EMAWeightAveraging()]}]
)
def test_weights_fit_other_precisions_and_averaged_copies(flags):
    model = DenseModule((4,), 3, class_weight="balanced")
    quiet_trainer(**flags).fit(model, data_of("softmax"))
    assert model.head.class_weights.dtype == torch.float32
    assert model(model.example_input_array).isfinite().all()  # for the summary


@plain_loaders
def test_a_plain_loader_takes_weights_by_class_and_cannot_balance():
    batches = loader(torch.from_numpy(X), torch.from_numpy(CLASSES["softmax"]))
    model = DenseModule((4,), 3, class_weight={0: 2.0, "2": 5.0})
    quiet_trainer().fit(model, batches)
    assert model.head.class_weights.tolist() == [2.0, 1.0, 5.0]
    with pytest.raises(InputError, match="balanced needs a DataModule of this project"):
        quiet_trainer().fit(DenseModule((4,), 3, class_weight="balanced"), batches)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_weight": {"frad": 3.0}}, "unknown class of class_weight 'frad'"),
        (
            {"class_weight": "balanced", "loss": torch.dist},
            "class_weight needs the loss bce or cross",
        ),
    ],
)
def test_class_weights_that_cannot_be_used_say_why(arguments, message):
    with pytest.raises(InputError, match=message):
        quiet_trainer().fit(DenseModule((4,), 3, **arguments), data_of("softmax"))
