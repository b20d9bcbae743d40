import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlp.bag_of_words import BagLinear, BagOfWords

WORDS = 12
TEXTS = st.lists(
    st.dictionaries(
        st.integers(0, WORDS - 1), st.floats(0.125, 9, width=32), max_size=WORDS
    ),
    min_size=1,
    max_size=6,
)


def as_bag(texts, dtype=torch.int32):
    """Return the batch of texts given as id -> weight, and the dense batch entry by entry."""
    dense = torch.zeros(len(texts), WORDS)
    for row, text in enumerate(texts):
        for word, weight in text.items():
            dense[row, word] = weight
    ids = torch.tensor([word for text in texts for word in text], dtype=dtype)
    offsets = np.cumsum([0, *map(len, texts)])[:-1]
    weights = torch.tensor([weight for text in texts for weight in text.values()])
    return BagOfWords(ids, torch.tensor(offsets, dtype=dtype), weights.float()), dense


def layer(dtype=torch.float32, device="cpu"):
    torch.manual_seed(0)
    return BagLinear(WORDS, 3).to(device, dtype)


def gradients(linear, batch):
    output = linear(batch)
    weights = torch.linspace(
        -1, 1, output.numel(), dtype=output.dtype, device=output.device
    )
    return torch.autograd.grad(
        (output * weights.view_as(output)).sum(), [*linear.parameters()]
    )


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@given(TEXTS)
def test_product_and_gradient_equal_those_of_the_dense_batch(dtype, texts):
    batch, dense = as_bag(texts, dtype)
    linear = layer()
    torch.testing.assert_close(linear(batch), linear(dense))
    torch.testing.assert_close(gradients(linear, batch), gradients(linear, dense))
    assert torch.equal(batch.to_dense(WORDS), dense)


@pytest.mark.parametrize(
    ("dtype", "device"),
    [(torch.float64, "cpu"), (torch.bfloat16, "cpu"), (torch.float32, "cuda")],
)
def test_other_precisions_and_a_gpu_give_those_of_the_dense_batch(dtype, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    batch, dense = as_bag([{1: 2.0, 5: 1.0}, {}, {11: 3.0}])
    linear = layer(dtype, device)
    batch = BagOfWords(*(tensor.to(device) for tensor in batch))
    dense = dense.to(device, dtype)
    torch.testing.assert_close(linear(batch), linear(dense))
    torch.testing.assert_close(gradients(linear, batch), gradients(linear, dense))
