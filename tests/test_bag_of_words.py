import copy
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dlp.bag_of_words import BagLinear, BagOfWords, bag_product, gather_product
from dlp.errors import InputError
from dlp.modules import DenseNet, KerasRMSprop
from dlp.modules.penalties import kernels

WORDS = 12
TEXTS = st.lists(
    st.dictionaries(st.integers(0, WORDS - 1), st.integers(1, 9), max_size=WORDS),
    min_size=1,
    max_size=6,
)


def as_bag(texts, dtype=torch.float32, encoding="count"):
    """Return the bag of texts given as id -> count, and the dense matrix, built entry by entry."""
    dense = torch.zeros(len(texts), WORDS, dtype=dtype)
    for row, text in enumerate(texts):
        for word, count in text.items():
            dense[row, word] = 1 if encoding == "multi_hot" else count
    if encoding == "tfidf":
        idf = torch.linspace(1, 3, WORDS, dtype=dtype)
        dense = F.normalize(dense * idf)  # leaves an empty text empty
    ids = [word for text in texts for word in text]
    rows = [row for row, text in enumerate(texts) for _ in text]
    lengths = [len(text) for text in texts]
    return BagOfWords(
        torch.tensor(ids, dtype=torch.int64),
        torch.tensor(np.cumsum([0, *lengths[:-1]]), dtype=torch.int64),
        dense[rows, ids].float() if ids else torch.zeros(0),
    ), dense


def gradients(output, table):
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).reshape(output.shape)
    return torch.autograd.grad((output * weights).sum(), table)[0]


@pytest.mark.parametrize("encoding", ["multi_hot", "count", "tfidf"])
@pytest.mark.parametrize("product", [bag_product, gather_product])
@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_product_and_gradient_are_those_of_the_dense_matrix(product, encoding, texts):
    bag, dense = as_bag(texts, encoding=encoding)
    table = torch.randn(WORDS, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    expected, found = dense @ table, product(bag, table)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, table), gradients(expected, table))
    torch.testing.assert_close(bag.to_dense(WORDS), dense)
    assert bag.rows().tolist() == [row for row, text in enumerate(texts) for _ in text]


@pytest.mark.parametrize("product", [bag_product, gather_product])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ids_of_32_and_of_64_bits_give_the_same_numbers(product, dtype):
    texts = [{1: 2, 5: 1}, {}, {11: 3, 0: 1, 5: 2}, {}]
    long, dense = as_bag(texts)
    short = BagOfWords(long.ids.int(), long.offsets.int(), long.weights)
    table = torch.randn(WORDS, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    table.requires_grad_()
    found, expected = product(short, table), product(long, table)
    assert torch.equal(found, expected)
    assert torch.equal(gradients(found, table), gradients(expected, table))
    assert torch.equal(short.to_dense(WORDS), dense)
    assert torch.equal(short.rows(), long.rows())


class Largest(TorchDispatchMode):
    """Keep the size of the largest tensor that an operation makes."""

    numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("chunk", [1, 6, 7, 10**6], ids=lambda chunk: f"{chunk} numbers")
def test_the_product_by_gathering_holds_a_chunk_of_entries_at_a_time(chunk, monkeypatch):
    monkeypatch.setattr("dlp.bag_of_words.CHUNK", chunk)
    bag, _ = as_bag([{word: word + 1 for word in range(WORDS)}] * 20, encoding="tfidf")
    table = torch.randn(WORDS, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    expected = bag_product(bag, table)
    expected_gradients = gradients(expected, table)
    with Largest() as largest:
        found = gather_product(bag, table)
        found_gradients = gradients(found, table)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_gradients, expected_gradients)
    entries = len(bag.ids)
    assert entries == 20 * WORDS
    assert (largest.numbers <= entries) == (chunk < 10**6)  # their ids alone; else rows of 3


FULL = {1: 2, 5: 1, 11: 3}


@pytest.mark.parametrize(
    "texts",
    [[{}, FULL, FULL], [FULL, {}, FULL], [FULL, FULL, {}], [{}, {}], [{}], [{}, {}, FULL, {}, {}]],
    ids=["first", "middle", "last", "all", "one", "several"],
)
def test_an_empty_text_gives_the_bias_wherever_it_stands(texts):
    bag, dense = as_bag(texts)
    layer = BagLinear(WORDS, 3)
    nn.init.uniform_(layer.bias)
    found = layer(bag)
    torch.testing.assert_close(found, layer(dense))
    for row, text in enumerate(texts):
        if not text:
            assert torch.equal(found[row], layer.bias)


def penalised(network, loss, l1, l2):
    """Return a loss with both penalties, by the plain formula."""
    return loss + sum(l1 * w.abs().sum() + l2 * (w**2).sum() for w in kernels(network))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("penalty", [(0.0, 0.0), (1e-3, 1e-2)])
def test_a_whole_training_run_is_that_of_the_dense_matrix(dtype, penalty):
    draw = np.random.default_rng(0)
    texts = [
        {int(word): int(draw.integers(1, 5)) for word in draw.choice(WORDS, size, replace=False)}
        for size in draw.integers(0, WORDS, 20)
    ]
    bag, dense = as_bag(texts, dtype)
    targets = torch.tensor(draw.integers(0, 2, (20, 1)), dtype=dtype)
    sparse = DenseNet((WORDS,), 1, hidden=(8, 4)).to(dtype)
    network = copy.deepcopy(sparse)
    start = copy.deepcopy(sparse.state_dict())
    for each, batch in ((sparse, bag), (network, dense)):
        optimizer = KerasRMSprop(each.parameters())
        for _ in range(10):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(each(batch), targets)
            penalised(each, loss, *penalty).backward()
            optimizer.step()
    tolerance = {"rtol": 0, "atol": 1e-12 if dtype == torch.float64 else 2e-6}
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(sparse.state_dict()[name], weight, **tolerance)
        assert (weight - start[name]).abs().max() > 1e-3  # it did train


def test_the_first_layer_has_the_state_dict_of_a_plain_linear_layer():
    layer, plain = BagLinear(WORDS, 3), nn.Linear(WORDS, 3)
    assert {k: v.shape for k, v in layer.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }
    plain.load_state_dict(layer.state_dict())
    batch = torch.randn(5, WORDS)
    torch.testing.assert_close(layer(batch), plain(batch))


def reloaded(layer):
    other = BagLinear(WORDS, 3)
    other.load_state_dict(layer.state_dict())
    return other


@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda layer: pickle.loads(pickle.dumps(layer)),
        reloaded,
        lambda layer: copy.deepcopy(layer).double().float(),
    ],
    ids=["deepcopy", "pickle", "load_state_dict", "double and back"],
)
def test_a_copy_keeps_weights_and_their_order_in_memory(copied):
    layer = BagLinear(WORDS, 3)
    other = copied(layer)
    assert torch.equal(other.weight, layer.weight)
    assert layer.weight.t().is_contiguous()
    assert other.weight.t().is_contiguous()
    assert isinstance(other.weight, nn.Parameter)
    assert other.weight.requires_grad
    bag, _ = as_bag([FULL])
    assert torch.equal(other(bag), layer(bag))


def test_a_layer_without_bias():
    layer = BagLinear(WORDS, 3, bias=False)
    bag, dense = as_bag([FULL, {}])
    torch.testing.assert_close(layer(bag), dense @ layer.weight.t())


@pytest.mark.parametrize("ids", [[3, WORDS], [-1, 3], [3, 10**7]])
def test_words_beyond_the_layer_are_refused(ids):
    bag = BagOfWords(torch.tensor(ids), torch.tensor([0]), torch.ones(2))
    with pytest.raises(InputError, match=r"the layer takes 0 to 11"):
        BagLinear(WORDS, 3)(bag)


def test_a_second_derivative_is_an_error_rather_than_wrong():
    bag, _ = as_bag([FULL])
    table = torch.randn(WORDS, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        bag_product(bag, table).square().sum(), table, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_bfloat16_weights_are_taken_too():
    bag, dense = as_bag([FULL, {}])
    layer = BagLinear(WORDS, 3).bfloat16()
    found = layer(bag)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, layer(dense.bfloat16()), rtol=2e-2, atol=2e-2)
