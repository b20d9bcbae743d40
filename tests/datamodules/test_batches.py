import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlp.datamodules.loader import BatchLoader, BatchOrder

SIZES = {"rows": st.integers(1, 60), "size": st.integers(1, 20), "ranks": st.integers(1, 4)}


def rows_of(order):
    return [row for batch in order for row in batch.tolist()]


@settings(deadline=None)
@given(rows=SIZES["rows"], size=SIZES["size"], epoch=st.integers(0, 5))
def test_an_epoch_holds_every_row_once_in_batches_of_the_asked_size(rows, size, epoch):
    order = BatchOrder(rows, size, shuffle=True, seed=1)
    order.set_epoch(epoch)
    batches = list(order)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(rows))
    assert len(batches) == len(order)
    assert {len(batch) for batch in batches[:-1]} <= {size}


@settings(deadline=None)
@given(**SIZES)
def test_ranks_train_on_equally_many_batches_and_together_on_every_row(rows, size, ranks):
    orders = [BatchOrder(rows, size, True, 3, ranks, rank) for rank in range(ranks)]
    assert len({len(list(order)) for order in orders}) == 1
    assert all(len(list(order)) == len(order) for order in orders)
    assert {row for order in orders for row in rows_of(order)} == set(range(rows))


@settings(deadline=None)
@given(**SIZES)
def test_ranks_evaluate_each_row_exactly_once(rows, size, ranks):
    orders = [BatchOrder(rows, size, False, 3, ranks, rank) for rank in range(ranks)]
    assert all(len(list(order)) == len(order) for order in orders)
    assert sorted(row for order in orders for row in rows_of(order)) == list(range(rows))


def test_a_loop_without_a_trainer_has_the_orders_that_one_has_with_it():
    seen, told = BatchOrder(50, 8, True, seed=0), BatchOrder(50, 8, True, seed=0)
    loops = [rows_of(seen) for _ in range(3)]
    fits = []
    for epoch in range(3):
        told.set_epoch(epoch)
        fits.append(rows_of(told))
    assert loops == fits
    assert loops[0] != loops[1] != loops[2]
    assert fits[2] == rows_of(told)  # validated in between, say: the Trainer says which it is
    loader = BatchLoader(torch.zeros(50, 1), None, seen, lambda inputs, rows, seed: inputs + seed)
    assert len({batch.max().item() for _ in range(3) for batch, _ in loader}) == 3


def test_the_order_is_a_pure_function_of_seed_and_epoch():
    def order(seed, epoch):
        batches = BatchOrder(50, 8, True, seed)
        batches.set_epoch(epoch)
        return rows_of(batches)

    assert order(0, 2) == order(0, 2)
    assert order(0, 2) != order(0, 3)
    assert order(0, 2) != order(1, 2)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    order(0, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_loader_slices_inputs_and_targets_alike():
    inputs = torch.arange(20.0).reshape(10, 2)
    targets = torch.arange(10)
    loader = BatchLoader(inputs, targets, BatchOrder(10, 4, True, 0))
    batches = list(loader)
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    assert len(loader) == 3
    for x, y in batches:
        assert torch.equal(x, inputs[y])


class Together(torch.Tensor):
    """Rows that can be selected for several batches at once."""

    sizes: list[int]

    def select_batches(self, indices):
        self.sizes.append(len(indices))
        plain = self.as_subclass(torch.Tensor)
        return [plain[index] for index in indices]


@pytest.mark.parametrize("at_once", [1, 8, 11, 100], ids="{} rows".format)
def test_batches_that_are_selected_together_are_the_same_batches(at_once, monkeypatch):
    monkeypatch.setattr("dlp.datamodules.loader._AT_ONCE", at_once)
    rows, targets = torch.randn(21, 2, generator=torch.Generator().manual_seed(0)), torch.arange(21)
    together = rows.as_subclass(Together)
    together.sizes = []
    alone = BatchLoader(rows, targets, BatchOrder(21, 4, True, 0))
    ours = BatchLoader(together, targets, BatchOrder(21, 4, True, 0))
    for _ in range(2):  # epochs
        for (x, y), (z, w) in zip(alone, ours, strict=True):
            assert torch.equal(x, z)
            assert torch.equal(y, w)
    expected = {1: [1] * 6, 8: [2, 2, 2], 11: [2, 2, 2], 100: [6]}
    assert together.sizes == 2 * expected[at_once]


def test_an_epoch_that_is_broken_off_does_not_count_however_far_ahead_rows_are_selected():
    rows = torch.zeros(10, 1).as_subclass(Together)
    rows.sizes = []
    loader = BatchLoader(rows, None, BatchOrder(10, 4, True, 0))
    next(iter(loader))
    assert loader.batch_sampler.epoch == 0
    list(loader)
    assert loader.batch_sampler.epoch == 1


def test_unlabelled_rows_come_without_targets():
    loader = BatchLoader(torch.zeros(3, 2), None, BatchOrder(3, 2, False, 0))
    assert [y for _, y in loader] == [None, None]


@pytest.mark.parametrize("ranks", [2, 3])
def test_more_processes_than_batches_still_all_train(ranks):
    for rank in range(ranks):
        assert rows_of(BatchOrder(5, 8, True, 0, ranks, rank)) != []
