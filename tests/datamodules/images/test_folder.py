import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.cli import LightningArgumentParser
from PIL import Image
from torchvision.transforms import v2

from dlp.datamodules import ImageFolderDataModule
from dlp.datamodules.images.augmentation import RandomAffine
from dlp.errors import InputError
from dlp.files import cache_dir
from helpers.sets import image_folder


@pytest.fixture
def pets(tmp_path):
    return image_folder(tmp_path / "pets")


def images(path, **arguments):
    return ImageFolderDataModule(path, **{"image_size": 8, **arguments})


def test_subfolders_are_classes(pets):
    data = images(pets, image_size=(8, 10), val_size=4, split_seed=None)
    assert data.class_names == ["cats", "dogs"]
    assert data.input_shape == (3, 8, 10)
    rows = data.examples("train")
    names = [f"cats/{n}.png" for n in (4, 5)] + [f"dogs/{n}.png" for n in range(6)]
    assert rows.id_columns["path"].tolist() == [f"{pets}/{name}" for name in names]
    assert rows.targets.tolist() == ["cats"] * 2 + ["dogs"] * 6


@pytest.mark.parametrize(
    ("folders", "sizes"),
    [
        (["train"], {"train": 5, "val": 1}),
        (["train", "val"], {"train": 6, "val": 8}),
        (["train", "val", "test"], {"train": 6, "val": 8, "test": 10}),
    ],
)
def test_part_folders_are_the_parts(folders, sizes, tmp_path):
    for number, part in enumerate(folders):
        image_folder(tmp_path / part, count=3 + number, seed=number)
    parts = images(tmp_path).labelled_parts()
    assert {part: len(rows) for part, rows in parts.items()} == sizes


def test_folders_beside_the_parts_and_broken_links_are_named(tmp_path, capsys):
    for part in ("train", "extra"):
        image_folder(tmp_path / "set" / part)
    (tmp_path / "set/train/cats/9.png").symlink_to("absent.png")
    images(tmp_path / "set").fit()
    printed = capsys.readouterr().out
    assert re.search("1 files in .*set are not used, such as .*set/extra\n", printed)
    assert re.search("1 files in .*train are not used, such as .*cats/9.png\n", printed)


def test_train_may_be_a_class_among_others(tmp_path):
    data = images(image_folder(tmp_path / "set", ("boat", "train")))
    assert data.class_names == ["boat", "train"]


def test_hidden_files_and_those_of_macos_are_left_out(pets):
    (pets / "__MACOSX").mkdir()
    (pets / ".thumbnails/small").mkdir(parents=True)
    shutil.copy(pets / "cats/0.png", pets / ".thumbnails/small/0.png")
    shutil.copy(pets / "cats/0.png", pets / "cats/._0.png")
    (pets / "cats/Thumbs.db").touch()
    data = images(pets, val_size=None)
    assert len(data.examples("train")) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pets: (pets / "birds").mkdir(), "birds is not a class folder"),
        (lambda pets: image_folder(pets / "extra"), "extra is not a class folder"),
        (
            lambda pets: image_folder(pets / "cats/more", ("kittens",)),
            "is not a class .*a table",
        ),
        (shutil.rmtree, "found no file"),
        (
            lambda pets: [shutil.rmtree(pets / n) for n in ("cats", "dogs")],
            "folder of images, found none",
        ),
        (lambda pets: shutil.rmtree(pets / "cats"), "two or more classes, got"),
    ],
)
def test_folders_that_are_not_classes_are_refused(change, message, pets):
    change(pets)
    with pytest.raises(InputError, match=message):
        images(pets).fit()


def table(pets, **columns):
    names = [f"{name}/{number}.png" for name in ("cats", "dogs") for number in range(6)]
    frame = pd.DataFrame({"image": names, **columns})
    frame.to_csv(pets / "table.csv", index=False)
    return pets / "table.csv"


@pytest.mark.parametrize(
    ("columns", "target", "task", "outputs"),
    [
        ({"kind": ["1.1", "1.10"] * 6}, "kind", "classification", ["1.1", "1.10"]),
        ({"age": np.linspace(0.5, 3, 12)}, "age", "regression", 1),
        (
            {"old": [0, 1] * 6, "big": [1, 1, 0] * 4},
            ["old", "big"],
            "multilabel",
            ["old", "big"],
        ),
    ],
)
def test_a_table_gives_paths_and_targets(columns, target, task, outputs, pets):
    path = table(pets, **columns)
    data = images(path, target=target, task=task, val_size=2)
    assert (data.class_names or data.num_outputs) == outputs
    assert data.targets.task == task


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give target"),
        ({"target": "kin"}, "unknown column 'kin'. Did you mean 'kind'"),
        ({"target": "kind", "image_column": "path"}, "unknown column 'path'"),
        (
            {"target": "kind", "image_column": "kind"},
            r"lists 12 images .* such as .*pets/a\.",
        ),
        ({"target": "age"}, "give task: classification"),
    ],
)
def test_mistakes_in_columns_are_told_in_a_sentence(arguments, message, pets):
    path = table(pets, kind=["a", "b"] * 6, age=["31", "32", "n/a"] * 4)
    with pytest.raises(InputError, match=message):
        images(path, **arguments).fit()


def test_a_folder_has_no_columns(pets):
    with pytest.raises(InputError, match="the column 'patient', got a folder"):
        images(pets, group_column="patient").fit()


def test_files_that_cannot_be_read_are_named_or_left_out(pets, capsys):
    (pets / "cats/1.png").write_bytes((pets / "cats/1.png").read_bytes()[:200])
    (pets / "dogs/0.png").write_text("not an image")
    message = r"2 of 12 images .*cats/1\.png \(.*truncated.*\), .*dogs/0\.png \(.*cannot identify"
    with pytest.raises(InputError, match=message):
        images(pets).fit()
    rows = images(pets, val_size=None, split_seed=None, on_corrupt="skip").examples(
        "train"
    )
    assert rows.index.tolist() == [0, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert rows.targets.tolist() == ["cats"] * 5 + ["dogs"] * 5
    assert "They are left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("new", ["0.png", "deep/1.png"]),
        ("new/0.png", ["0.png"]),
        ("new.csv", ["new/0.png"]),
    ],
)
def test_a_file_a_folder_or_a_table_is_predicted(path, names, pets, tmp_path):
    (tmp_path / "new/deep").mkdir(parents=True)
    for name in ("0.png", "deep/1.png"):
        Image.new("RGB", (5, 5)).save(tmp_path / "new" / name)
    (tmp_path / "new.csv").write_text("image\nnew/0.png\n")
    data = images(pets, predict_path=tmp_path / path)
    rows = data.examples("predict")
    assert [
        name.removeprefix(f"{tmp_path}/new/") for name in rows.id_columns["path"]
    ] == names
    assert rows.targets is None


def test_images_to_predict_leave_no_file_in_the_cache(pets):
    images(pets).fit()
    cache = cache_dir() / "images"
    files = set(cache.iterdir())
    for name in ("cats", "dogs"):
        data = images(pets, predict_path=pets / name)
        assert len(data.inputs("predict")) == 6
    assert set(cache.iterdir()) == files


def test_training_batches_alone_are_augmented(pets):
    data = images(pets, augmentation=RandomAffine(90), batch_size=12)
    val, *_ = next(iter(data.loader("val")))
    assert torch.equal(val, data.inputs("val")[torch.arange(len(val))])
    first, second = (next(iter(data.loader("train")))[0] for _ in range(2))
    assert not torch.equal(
        first.sort(0)[0], data.inputs("train")[torch.arange(10)].sort(0)[0]
    )
    assert torch.equal(first, second)  # the same epoch of the same seed


def test_a_config_names_the_augmentation(pets):
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(ImageFolderDataModule, "data")
    rotation = {
        "class_path": "torchvision.transforms.v2.RandomRotation",
        "init_args.degrees": 9,
    }
    arguments = {"path": str(pets), "image_size": [8, 9], "augmentation": rotation}
    data = parser.instantiate(parser.parse_object({"data": arguments})).data
    assert type(data.augmentation) is v2.RandomRotation
    assert data.input_shape == (3, 8, 9)
