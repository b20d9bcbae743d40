import copy
import re

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn
from training import Curves, quiet_trainer

from dlp.datamodules import ArrayDataModule, BatchLoader, BatchOrder
from dlp.datamodules.text.encodings import BagRows
from dlp.errors import InputError
from dlp.modules import DenseModule, Dropout, RegressionHead

WORDS, TEXTS = 50, 60


@pytest.fixture
def texts():
    """Return a sparse matrix of texts (one of them empty) and a class for each."""
    draw = np.random.default_rng(0)
    dense = (draw.random((TEXTS, WORDS)) < 0.1).astype(np.float32)
    dense[3] = 0
    return scipy.sparse.csr_array(dense), torch.tensor(draw.integers(0, 3, TEXTS))


def batches(rows, targets, shuffle=True):
    return BatchLoader(rows, targets, BatchOrder(TEXTS, 16, shuffle, seed=1))


@pytest.mark.parametrize("arguments", [{}, {"l1": 1e-3, "l2": 1e-3}, {"dropout": 0.5}])
def test_bags_train_to_what_the_dense_matrix_does(texts, arguments):
    matrix, targets = texts
    torch.manual_seed(0)
    module = DenseModule((WORDS,), 3, hidden=(8, 8), **arguments)
    results = []
    for rows in (BagRows(matrix), torch.from_numpy(matrix.toarray())):
        fresh, curves = copy.deepcopy(module), Curves()
        trainer = quiet_trainer(5, [curves])
        trainer.fit(fresh, batches(rows, targets), batches(rows, targets, shuffle=False))
        predictions = trainer.predict(fresh, batches(rows, targets, shuffle=False))
        results.append((curves.epochs, torch.cat([each["probabilities"] for each in predictions])))
    (sparse, sparse_probabilities), (dense, dense_probabilities) = results
    assert len(sparse) == 5
    for ours, theirs in zip(sparse, dense, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    torch.testing.assert_close(sparse_probabilities, dense_probabilities, rtol=1e-4, atol=1e-5)
    assert sparse_probabilities.shape == (TEXTS, 3)


def xor(rows):
    x = np.random.default_rng(1).uniform(-1, 1, (rows, 2)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


@pytest.mark.parametrize(("head", "hidden"), [("sigmoid", (32, 32)), ("softmax", (32, 32))])
def test_a_hidden_layer_learns_what_no_line_can_part(head, hidden):
    data = ArrayDataModule(*xor(1000), batch_size=32)
    found = {}
    for units in (hidden, ()):
        torch.manual_seed(0)
        trainer = quiet_trainer(15)
        trainer.fit(DenseModule(data.input_shape, data.num_outputs, head, hidden=units), data)
        found[units] = trainer.callback_metrics["val_acc"].item()
    assert found[hidden] > 0.95
    assert found[()] < 0.7


def test_values_are_learned_in_standardised_form_and_predicted_in_their_unit():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 3)).astype(np.float32)
    y = (x @ [3.0, -2.0, 1.0] * 1000 + 50_000).astype(np.float32)
    data = ArrayDataModule(x, y, val_size=50, batch_size=16)
    torch.manual_seed(0)
    scale = {"target_mean": [float(y.mean())], "target_std": [float(y.std())]}
    module = DenseModule((3,), 1, "regression", hidden=(), **scale)
    trainer = quiet_trainer(100)
    trainer.fit(module, data)
    assert trainer.callback_metrics["val_mae"] < 0.03 * y.std()  # in the unit of y
    assert trainer.callback_metrics["val_loss"] < 0.01  # of the standardised values
    torch.testing.assert_close(
        module.predict_step(torch.from_numpy(x[:5]), 0)["values"],
        torch.from_numpy(y[:5, None]),
        rtol=0.1,
        atol=float(y.std()) / 10,
    )


def test_images_are_flattened():
    module = DenseModule((1, 28, 28), 10, hidden=(512,))
    assert module(torch.rand(4, 1, 28, 28)).shape == (4, 10)
    assert module.example_input_array.shape == (1, 1, 28, 28)


def test_arguments_shape_the_network():
    module = DenseModule((7,), 4, hidden=(6, 5, 3), activation="tanh", dropout=0.2)
    kinds = [type(layer) for layer in module.network.layers]
    assert kinds.count(nn.Tanh) == kinds.count(Dropout) == 3
    widths = [tuple(w.shape) for w in module.parameters() if w.ndim == 2]
    assert widths == [(6, 7), (5, 6), (3, 5), (4, 3)]
    assert DenseModule((7,), 2, head="sigmoid")(torch.rand(3, 7)).shape == (3, 1)
    head = RegressionHead(2, "mae")
    assert DenseModule((7,), 2, head=head).head is head


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "sofmax"}, "unknown head 'sofmax'. Did you mean 'softmax'?"),
        ({"activation": "rellu"}, "unknown activation 'rellu'. Did you mean 'relu'?"),
        ({"loss": "cross_entorpy"}, "Did you mean 'cross_entropy'?"),
        ({"metrics": ["acc", "precison"]}, "Did you mean 'precision'?"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"head": "sigmoid"}, "head: sigmoid is for two classes; the data has 46"),
        ({"l2": -1.0}, "l1 and l2 must be 0 or more"),
    ],
)
def test_what_cannot_be_built_is_said_at_once(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        DenseModule((10,), 46, **arguments)


def test_bags_of_another_vocabulary_are_refused(texts):
    matrix, targets = texts
    module = DenseModule((WORDS - 20,), 3)
    rows = batches(BagRows(matrix), targets)
    with pytest.raises(InputError, match="give both the same number of words"):
        quiet_trainer(1).fit(module, rows, rows)


def test_bags_train_in_bfloat16_too(texts):
    matrix, targets = texts
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        curves = Curves()
        module = DenseModule((WORDS,), 3, hidden=(8, 8))
        trainer = quiet_trainer(5, [curves], precision=precision)
        rows = BagRows(matrix)
        trainer.fit(module, batches(rows, targets), batches(rows, targets, shuffle=False))
        losses[precision] = [epoch["val_loss"] for epoch in curves.epochs]
        assert {weight.dtype for weight in module.parameters()} == {torch.float32}
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.02)
    assert losses["bf16-mixed"] != losses["32-true"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((20, 3), r"input_shape must be the shape of one row, such as \(20,\) .* got 20"),
        (([4.5], 3), r"input_shape must be .* got \[4.5\]"),
        (((4,), 3.0), "num_outputs must be a whole number of 1 or more, got 3.0"),
        (((4,), "3"), "num_outputs must be a whole number of 1 or more, got '3'"),
        (((4,), 3, "softmaxx"), "unknown head 'softmaxx'. Did you mean 'softmax'"),
        (((4,), 3, 3), "unknown head '3'"),
        (((4,), 3, "softmax", 16), r"hidden must list .* such as \[16, 16\]; got 16"),
    ],
)
def test_arguments_of_the_wrong_kind_are_said_in_words(arguments, said):
    with pytest.raises(InputError, match=said):
        DenseModule(*arguments)
