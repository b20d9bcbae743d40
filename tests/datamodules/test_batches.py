"""Whole batches: every row once, equal counts for all processes, an order that is pure."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.trainer.states import TrainerStatus
from torch.utils._pytree import tree_leaves

from dlp.datamodules import ArrayDataModule
from dlp.datamodules.batches import BatchLoader, BatchOrder, StoredRows
from helpers.sets import DATA_MODULES
from helpers.training import OneWeight, quiet_trainer


def rows_of(order):
    return [row for batch in order for row in batch.tolist()]


@pytest.mark.parametrize("shuffle", [True, False])
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 4))
def test_processes_share_all_rows_in_equally_many_batches(shuffle, rows, size, ranks):
    orders = [BatchOrder(rows, size, shuffle, 3, ranks, rank) for rank in range(ranks)]
    batches = [[*order] for order in orders]
    assert {len(each) for each in batches} == {len(orders[0])}
    assert all(len(batch) for each in batches for batch in each)
    served = rows_of([batch for each in batches for batch in each])
    if ranks > 1 and (
        shuffle or rows < ranks
    ):  # the last batches, or few rows, wrap around
        served = {*served}
    assert sorted(served) == [*range(rows)]
    if ranks == 1:
        assert {len(batch) for batch in batches[0][:-1]} <= {size}


def test_a_process_without_a_row_of_its_own_serves_one_of_another():
    batches = []
    for rank in range(5):
        order = BatchOrder(2, 4, False, 0, num_replicas=5, rank=rank)
        batches.append([batch.tolist() for batch in order])
    assert batches == [[[0]], [[1]], [[0]], [[1]], [[0]]]


def test_batches_of_one_row_are_not_split_into_empty_ones():
    shares = [
        list(BatchOrder(3, 1, False, 0, num_replicas=2, rank=rank)) for rank in range(2)
    ]
    assert [rows_of(share) for share in shares] == [[0, 2], [1]]
    assert [len(share) for share in shares] == [1, 1]


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        batches = BatchOrder(50, 8, True, seed)
        batches.set_epoch(epoch)
        return rows_of(batches)

    state = torch.get_rng_state()
    assert order(0, 2) == order(0, 2)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (2, 3)}) == 4
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loop_without_a_trainer_sees_the_orders_of_a_fit():
    loop, fit = BatchOrder(50, 8, True, seed=0), BatchOrder(50, 8, True, seed=0)
    for epoch in range(3):
        fit.set_epoch(epoch)
        assert rows_of(loop) == rows_of(fit)
    assert rows_of(fit) == rows_of(fit)  # the Trainer says when an epoch begins


def test_inputs_targets_and_rows_are_sliced_alike():
    inputs, targets = torch.arange(20.0).reshape(10, 2), torch.arange(10)
    loader = BatchLoader(inputs, targets, BatchOrder(10, 4, True, 0), with_index=True)
    assert [len(x) for x, _, _ in loader] == [4, 4, 2]
    for x, y, rows in loader:
        assert torch.equal(x, inputs[y])
        assert torch.equal(rows, y)


def test_augmentation_draws_anew_in_each_epoch():
    def augment(inputs, rows, seed):
        return inputs + seed % 1000

    loader = BatchLoader(torch.zeros(8, 1), None, BatchOrder(8, 4, True, 0), augment)
    assert len({x.max().item() for _ in range(3) for x, _ in loader}) == 3


class Halves(StoredRows):
    """Numbers that are stored as their halves."""

    def __init__(self, numbers):
        self.halves = numbers / 2

    def __len__(self):
        return len(self.halves)

    def select(self, index):
        return self.halves[index]

    def expand(self, batch):
        return 2 * batch


def test_stored_rows_of_a_kind_of_ones_own_need_select_and_expand_only():
    numbers = torch.arange(9.0)[:, None]
    order = BatchOrder(9, 4, True, 0)
    plain = BatchLoader(numbers, None, order)
    own = BatchLoader(Halves(numbers), None, order)
    for epoch in range(2):
        order.set_epoch(epoch)
        for (x, _), (z, _) in zip([*plain], [*own], strict=True):
            assert torch.equal(x, z)
    index = torch.tensor([3, 1])
    assert torch.equal(Halves(numbers)[index], numbers[index])


@pytest.fixture
def gpu(monkeypatch):
    """Return a GPU to the eye of the loader; what goes there stays on the CPU."""
    monkeypatch.setattr(
        "dlp.datamodules.batches.move_data_to_device", lambda batch, device: batch
    )
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    return torch.device("cuda")


@pytest.mark.parametrize("name", DATA_MODULES)
def test_a_gpu_gets_the_batches_of_the_cpu(name, tmp_path, gpu):
    augmentation = {"augmentation": "book"} if name == "images" else {}
    data = DATA_MODULES[name](tmp_path, batch_size=7, **augmentation)
    on_cpu, on_gpu = data.loader("train"), data.loader("train")
    on_gpu.device = gpu
    for _ in range(2):  # epochs
        for expected, batch in zip(on_cpu, on_gpu, strict=True):
            assert type(batch[0]) is type(expected[0])
            assert all(map(torch.equal, tree_leaves(batch), tree_leaves(expected)))


def test_images_travel_as_bytes(tmp_path, gpu, monkeypatch):
    travelled = []

    def move(batch, device):
        travelled.append(batch.dtype)
        return batch

    monkeypatch.setattr("dlp.datamodules.batches.move_data_to_device", move)
    loader = DATA_MODULES["images"](tmp_path).loader("train")
    loader.device = gpu
    images, _ = next(iter(loader))
    assert (travelled, images.dtype) == ([torch.uint8], torch.float32)


def test_an_error_while_a_batch_is_prepared_is_raised(gpu):
    loader = BatchLoader(
        torch.zeros(4, 1), None, BatchOrder(9, 4, False, 0), device=gpu
    )
    batches = iter(loader)
    next(batches)
    with pytest.raises(IndexError):
        next(batches)


def values():
    x = torch.arange(20.0)[:, None]
    sizes = {
        "batch_size": np.int64(2),
        "eval_batch_size": np.int64(3),
        "val_size": np.int64(4),
    }
    return ArrayDataModule(x, torch.arange(20) % 2, **sizes)


def fitted_epochs(data, **flags):
    """Return the training inputs of each of three epochs."""
    epochs = [[], [], []]

    def watch(trainer, pl_module, batch, batch_idx):
        epochs[trainer.current_epoch] += batch[0].flatten().tolist()

    callbacks = [LambdaCallback(on_train_batch_start=watch)]
    quiet_trainer(3, callbacks, num_sanity_val_steps=0, **flags).fit(OneWeight(), data)
    return epochs


def test_overfit_batches_trains_on_the_same_rows_in_every_epoch():
    data = values()
    epochs = fitted_epochs(data, overfit_batches=2)
    assert epochs == 3 * [data.inputs("train").flatten().tolist()[:4]]


def test_each_epoch_of_a_fit_has_another_order():
    epochs = fitted_epochs(values(), reload_dataloaders_every_n_epochs=1)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1
    assert epochs == fitted_epochs(values())


def test_a_loader_after_the_fit_gives_batches_on_the_cpu(monkeypatch):
    data = values()
    data.trainer = quiet_trainer()
    monkeypatch.setattr(
        type(data.trainer.strategy), "root_device", torch.device("meta")
    )
    assert data.loader("val").device.type == "meta"
    data.trainer.state.status = TrainerStatus.FINISHED
    assert data.loader("val").device.type == "cpu"
