import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.sets import image_folder
from lightning.pytorch.cli import LightningArgumentParser
from PIL import Image
from torchvision.transforms import v2

from dlp.datamodules import ImageFolderDataModule, SupervisedDataModule
from dlp.datamodules.images.augmentation import RandomAffine
from dlp.errors import InputError


@pytest.fixture
def pets(tmp_path):
    return image_folder(tmp_path / "pets")


def stems(data, part):
    return ["/".join(name.split("/")[-2:]) for name in data.examples(part).names["path"]]


def test_subfolders_are_classes(pets):
    data = ImageFolderDataModule(pets, image_size=(8, 10), val_size=4, split_seed=None)
    assert data.class_names == ["cats", "dogs"]
    assert data.input_shape == (3, 8, 10)
    assert stems(data, "train") == [f"cats/{n}.png" for n in (4, 5)] + [
        f"dogs/{n}.png" for n in range(6)
    ]
    assert data.examples("train").targets.tolist() == ["cats"] * 2 + ["dogs"] * 6
    images, targets, *_ = next(iter(data.loader("val")))
    assert images.shape == (4, 3, 8, 10)
    assert 0 <= images.min() <= images.max() <= 1
    assert targets.tolist() == [0] * 4


@pytest.mark.parametrize("parts", [("train",), ("train", "val"), ("train", "val", "test")])
def test_part_folders_are_the_parts(parts, tmp_path):
    for seed, part in enumerate(parts):
        image_folder(tmp_path / "set" / part, count=3 + seed, seed=seed)
    data = ImageFolderDataModule(tmp_path / "set", image_size=8)
    sizes = {part: len(data.examples(part)) for part in ("train", "val", "test") if data.has(part)}
    expected = {part: 2 * (3 + seed) for seed, part in enumerate(parts)}
    assert sizes == (expected if "val" in parts else {"train": 5, "val": 1})


def test_folders_beside_the_parts_and_broken_links_are_named(tmp_path, capsys):
    for part in ("train", "extra"):
        image_folder(tmp_path / "set" / part)
    (tmp_path / "set/train/cats/9.png").symlink_to("absent.png")
    ImageFolderDataModule(tmp_path / "set", image_size=8).fit()
    printed = capsys.readouterr().out
    assert re.search("1 files in .*set are not used, such as .*set/extra\n", printed)
    assert re.search("1 files in .*train are not used, such as .*cats/9.png\n", printed)


def test_train_may_be_a_class_among_others(tmp_path):
    data = ImageFolderDataModule(image_folder(tmp_path / "set", ("boat", "train")), image_size=8)
    assert data.class_names == ["boat", "train"]


def test_hidden_files_and_those_of_macos_are_left_out(pets):
    (pets / "__MACOSX").mkdir()
    (pets / ".thumbnails/small").mkdir(parents=True)
    shutil.copy(pets / "cats/0.png", pets / ".thumbnails/small/0.png")
    shutil.copy(pets / "cats/0.png", pets / "cats/._0.png")
    (pets / "cats/Thumbs.db").touch()
    data = ImageFolderDataModule(pets, image_size=8, val_size=None)
    assert len(data.examples("train")) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pets: (pets / "birds").mkdir(), "birds holds no images of a class"),
        (lambda pets: image_folder(pets / "extra"), "extra holds no images .* as path and test"),
        (
            lambda pets: image_folder(pets / "cats/more", ("kittens",)),
            r"holds 6 images below its class folders, such as .*kittens/0\.png\. Move them up",
        ),
        (shutil.rmtree, "found no file"),
        (lambda pets: [shutil.rmtree(pets / n) for n in ("cats", "dogs")], "pets holds no images"),
        (lambda pets: shutil.rmtree(pets / "cats"), "has one class"),
    ],
)
def test_folders_that_are_not_classes_are_refused(change, message, pets):
    change(pets)
    with pytest.raises(InputError, match=message):
        ImageFolderDataModule(pets, image_size=8).fit()


@pytest.mark.parametrize("size", [0, -1, (8, 0)])
def test_images_have_pixels(size, pets):
    with pytest.raises(InputError, match="image_size takes 1 to 20000; got"):
        ImageFolderDataModule(pets, image_size=size)


# Tables ------------------------------------------------------------------------------------------


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
        ({"old": [0, 1] * 6, "big": [1, 1, 0] * 4}, ["old", "big"], "multilabel", ["old", "big"]),
    ],
)
def test_a_table_gives_paths_and_targets(columns, target, task, outputs, pets):
    path = table(pets, **columns)
    data = ImageFolderDataModule(path, target=target, task=task, image_size=8, val_size=2)
    assert (data.class_names or data.num_outputs) == outputs
    assert data.targets.task == task


def test_groups_and_ids_come_from_columns(pets):
    path = table(pets, kind=["a", "b"] * 6, owner=np.arange(12) // 3, number=[*"abcdefghijkl"])
    data = ImageFolderDataModule(
        path, target="kind", image_size=8, val_size=3, group_column="owner", id_column="number"
    )
    parts = [data.examples(part) for part in ("train", "val")]
    assert not {*parts[0].groups} & {*parts[1].groups}
    assert sorted(parts[0].names["number"] + parts[1].names["number"]) == [*"abcdefghijkl"]


def test_rows_without_a_target_are_left_out_if_asked(pets, capsys):
    path = table(pets, kind=["a", "b", None] * 4)
    data = ImageFolderDataModule(
        path, target="kind", image_size=8, val_size=None, split_seed=None, drop_unlabelled=True
    )
    assert data.examples("train").index.tolist() == [0, 1, 3, 4, 6, 7, 9, 10]
    assert "table.csv have no target and are left out" in capsys.readouterr().out


@pytest.mark.parametrize("ages", [["1,5", "2,5"], ["31", "32", "n/a"]])
def test_text_that_looks_like_values_is_refused_unless_it_is_classes(ages, pets):
    path = table(pets, age=(ages * 6)[:12])
    with pytest.raises(InputError, match="give task: classification"):
        ImageFolderDataModule(path, target="age", image_size=8).fit()
    data = ImageFolderDataModule(path, target="age", task="classification", image_size=8)
    assert data.class_names == ages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give target"),
        ({"target": "kin"}, "unknown column 'kin'. Did you mean 'kind'"),
        ({"target": "kind", "image_column": "path"}, "unknown column 'path'"),
        ({"target": "kind", "group_column": "owner"}, "unknown column 'owner'"),
    ],
)
def test_columns_that_do_not_exist_are_named(arguments, message, pets):
    path = table(pets, kind=["a", "b"] * 6)
    with pytest.raises(InputError, match=message):
        ImageFolderDataModule(path, image_size=8, **arguments).fit()


def test_a_folder_has_no_columns(pets):
    with pytest.raises(InputError, match=r"folder without columns.*'patient'"):
        ImageFolderDataModule(pets, group_column="patient").fit()


def test_a_path_to_nothing_is_named(pets):
    path = table(pets, kind=["a", "b"] * 6)
    (pets / "cats/3.png").unlink()
    with pytest.raises(InputError, match=r"names 1 images .* such as .*cats/3\.png"):
        ImageFolderDataModule(path, target="kind", image_size=8).fit()


# Corrupt files, prediction, sizes ----------------------------------------------------------------


def damage(pets):
    (pets / "cats/1.png").write_bytes((pets / "cats/1.png").read_bytes()[:200])
    (pets / "dogs/0.png").write_text("not an image")


def test_files_that_cannot_be_read_are_named(pets):
    damage(pets)
    message = r"2 of 12 images .* .*cats/1\.png \(.*truncated.*\), .*dogs/0\.png \(cannot identify"
    with pytest.raises(InputError, match=message):
        ImageFolderDataModule(pets, image_size=8).fit()


def test_files_that_cannot_be_read_are_left_out_if_asked(pets, capsys):
    damage(pets)
    data = ImageFolderDataModule(
        pets, image_size=8, val_size=None, split_seed=None, on_corrupt="skip"
    )
    rows = data.examples("train")
    assert rows.index.tolist() == [0, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert rows.targets.tolist() == ["cats"] * 5 + ["dogs"] * 5
    assert "they are left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "names"),
    [("new", ["0.png", "deep/1.png"]), ("new/0.png", ["0.png"]), ("new.csv", ["new/0.png"])],
)
def test_a_file_a_folder_or_a_table_is_predicted(path, names, pets, tmp_path):
    (tmp_path / "new/deep").mkdir(parents=True)
    for name in ("0.png", "deep/1.png"):
        Image.new("RGB", (5, 5)).save(tmp_path / "new" / name)
    (tmp_path / "new.csv").write_text("image\nnew/0.png\n")
    arguments = {"target": "kind"} if path.endswith("csv") else {}
    source = table(pets, kind=["a", "b"] * 6) if arguments else pets
    data = ImageFolderDataModule(source, predict_path=tmp_path / path, image_size=8, **arguments)
    rows = data.examples("predict")
    assert [name.removeprefix(f"{tmp_path}/new/") for name in rows.names["path"]] == names
    assert rows.targets is None


def test_a_model_of_a_folder_predicts_a_table(pets):
    (pets.parent / "new.csv").write_text(f"image\n{pets.name}/cats/0.png\n")
    data = ImageFolderDataModule(pets, predict_path=pets.parent / "new.csv", image_size=8)
    assert data.examples("predict").names["path"] == [f"{pets.name}/cats/0.png"]


def test_training_batches_alone_are_augmented(pets):
    data = ImageFolderDataModule(pets, image_size=8, augmentation=RandomAffine(90), batch_size=12)
    stored = {
        part: data.inputs(part)[torch.arange(len(data.inputs(part)))] for part in ("train", "val")
    }
    val, *_ = next(iter(data.loader("val")))
    assert torch.equal(val, stored["val"])
    first, second = (next(iter(data.loader("train")))[0] for _ in range(2))
    assert not torch.equal(first.sort(0)[0], stored["train"].sort(0)[0])
    assert torch.equal(first, second)  # the same epoch of the same seed


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("book", RandomAffine),
        ('{"class_path": "torchvision.transforms.v2.RandomRotation", "init_args": {"degrees": 9}}',
         v2.RandomRotation),
    ],
)  # fmt: skip
def test_a_config_names_the_augmentation(value, kind, pets):
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(SupervisedDataModule, "data", subclass_mode=True)
    words = ["--data=ImageFolderDataModule", f"--data.path={pets}", "--data.image_size=[8,9]"]
    config = parser.parse_args([*words, f"--data.augmentation={value}"])
    data = parser.instantiate(config).data
    assert type(data.augmentation) is kind
    assert data.input_shape == (3, 8, 9)
