"""Training on a table in several files, block by block; a resumed fit is bit-identical."""

import datasets
import numpy as np
import pytest
from memory import fit, write_shards
from streaming import StreamingDataModule

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write_shards(tmp_path / "shards", num_files=4, num_rows=100)
    return tmp_path / "shards"


def test_a_resumed_fit_is_bit_equal_to_an_unbroken_one(shards, tmp_path):
    whole = fit(shards, 2).lightning_module
    fit(shards, 1).save_checkpoint(tmp_path / "one.ckpt")
    resumed = fit(shards, 2, tmp_path / "one.ckpt").lightning_module
    for name, weight in whole.state_dict().items():
        assert weight.equal(resumed.state_dict()[name])


def test_an_epoch_has_each_row_once_in_its_own_order(shards):
    class Epoch:
        current_epoch = 0

    data = StreamingDataModule(shards, batch_size=32, block_size=64)
    data.trainer = Epoch()
    orders = []
    for data.trainer.current_epoch in range(2):
        orders.append([x for inputs, _ in data.train_dataloader() for x in inputs[:, 0].tolist()])
    assert len(orders[0]) == 300
    assert sorted(orders[0]) == sorted(orders[1])
    assert not np.array_equal(*orders)
