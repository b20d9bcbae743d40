"""Own images in every arrangement people have them in, and what is said of the wrong ones."""

import csv
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from image_files import pixels, rows_of, write_classes, write_image
from lightning import Trainer
from PIL import Image

from dlp.datamodules import ImageFolderDataModule
from dlp.datamodules.images import on_all_cores
from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError
from dlp.files import cache_dir
from dlp.modules import ConvNetModule


def make(path, **arguments):
    """Return the DataModule with images of the size that the tests write: pixels stay."""
    return ImageFolderDataModule(path, **{"image_size": (8, 10), "batch_size": 4, **arguments})


def names(data, part):
    return [name.rpartition("/")[2] for name in data.examples(part).names]


def sizes(data):
    return [len(data.examples(part).rows) for part in ("train", "val", "test")]


def fitted(data, head, **trainer):
    """Fit a tiny convnet and return its trainer."""
    model = ConvNetModule(data.input_shape, data.num_outputs, head=head, channels=(2,), dense=(3,))
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **{"max_epochs": 1, **trainer},
    )
    trainer.fit(model, data)
    return trainer


@pytest.fixture
def folder(tmp_path):
    """Twelve cats and eight dogs."""
    return write_classes(tmp_path / "pets", {"cats": 12, "dogs": 8})


def no_reading(monkeypatch):
    def fail(*arguments):
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(on_all_cores, "read_with_header", fail)


# Folders of classes ------------------------------------------------------------------------------


def test_a_folder_with_a_subfolder_a_class(folder):
    data = make(folder, test_size=0.25)
    assert (data.input_shape, data.num_outputs) == ((3, 8, 10), 2)
    assert data.class_names == ["cats", "dogs"]
    assert sizes(data) == [11, 4, 5]
    seen = []
    for part in ("train", "val", "test"):
        images, targets = rows_of(data, part)
        for name, image, target in zip(names(data, part), images, targets, strict=True):
            seed = int(name.removesuffix(".png"))
            assert np.array_equal(image, pixels(seed).transpose(2, 0, 1))
            assert target == ("cats" if seed < 12 else "dogs")
            seen.append(seed)
        assert abs((targets == "cats").mean() - 0.6) <= 1 / len(targets)
    assert sorted(seen) == list(range(20))


def test_batches_are_float32_in_0_to_1_with_class_numbers(folder):
    data = make(folder, split_seed=None, stratify=False)
    images, targets = next(iter(data.val_dataloader()))
    assert (images.dtype, images.shape) == (torch.float32, (4, 3, 8, 10))
    assert targets.tolist() == [0, 0, 0, 0]
    assert targets.dtype == torch.int64
    expected = torch.from_numpy(pixels(0)).permute(2, 0, 1) / 255
    assert torch.equal(images[0], expected)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"image_size": 12}, (3, 12, 12)),
        ({"image_size": [5, 9]}, (3, 5, 9)),
        ({"image_size": (9, 5), "fit": "crop", "channels": 1}, (1, 9, 5)),
    ],
)
def test_the_size_of_the_batches(arguments, shape, folder):
    data = make(folder, **arguments)
    assert data.input_shape == shape
    assert next(iter(data.train_dataloader()))[0].shape[1:] == shape


def test_fit_and_channels_reach_the_pixels(tmp_path):
    """A wide image with a green middle: squeezed it keeps its red sides, cropped it does not."""
    for name in ("a", "b"):
        image = Image.new("RGB", (30, 10), (255, 0, 0))
        image.paste((0, 255, 0), (10, 0, 20, 10))
        (tmp_path / "wide" / name).mkdir(parents=True)
        image.save(tmp_path / "wide" / name / "1.png")
    arguments = {"image_size": 10, "val_size": None}
    squeezed, _ = rows_of(make(tmp_path / "wide", **arguments), "train")
    assert (squeezed[0, :, 5, 0] == [255, 0, 0]).all()
    assert (squeezed[0, :, 5, 5] == [0, 255, 0]).all()
    cropped, _ = rows_of(make(tmp_path / "wide", fit="crop", **arguments), "train")
    assert (cropped[0].transpose(1, 2, 0) == [0, 255, 0]).all()
    grey, _ = rows_of(make(tmp_path / "wide", fit="crop", channels=1, **arguments), "train")
    assert (grey == 150).all()


PARTS = {"train": {"ant": 5, "bee": 4}, "val": {"ant": 2, "bee": 1}, "test": {"ant": 1, "bee": 3}}


@pytest.mark.parametrize(
    ("folders", "arguments", "expected"),
    [
        ({"train": "train", "val": "val", "test": "test"}, {}, [9, 3, 4]),
        ({"train": "Training", "val": "valid", "test": "TEST"}, {}, [9, 3, 4]),
        ({"train": "training_set", "val": "dev", "test": "test_set"}, {}, [9, 3, 4]),
        ({"train": "Train", "val": "Validation-set", "test": "testing"}, {}, [9, 3, 4]),
        ({"train": "seg_train", "val": "devset", "test": "eval"}, {}, [9, 3, 4]),
        ({"train": "train", "test": "test"}, {"val_size": 3}, [6, 3, 4]),
        ({"train": "train", "val": "validation"}, {"test_size": 2}, [7, 3, 2]),
        ({"train": "train", "val": "val", "test": "test"}, {"num_folds": 3, "fold": 1}, [8, 4, 4]),
        ({"train": "train"}, {"val_size": None, "test_size": 1}, [8, 0, 1]),
    ],
)
def test_part_folders_are_the_parts(folders, arguments, expected, tmp_path):
    for start, (part, name) in enumerate(folders.items()):
        write_classes(tmp_path / "set" / name, PARTS[part], 100 * start)
    data = make(tmp_path / "set", **arguments)
    assert data.class_names == ["ant", "bee"]
    assert sizes(data) == expected
    if "val" in folders and "num_folds" not in arguments:
        assert all(f"/{folders['val']}/" in name for name in data.examples("val").names)
    if "test" in folders:
        assert all(f"/{folders['test']}/" in name for name in data.examples("test").names)


def test_which_folder_is_which_part_is_said_in_one_line(tmp_path, capsys):
    for part in ("Train", "test_set", "validaton"):
        write_classes(tmp_path / part, {"ant": 4, "bee": 4})
    write_classes(tmp_path, {"__MACOSX": 1, "dev": 2})
    data = make(tmp_path, val_size=2)
    assert sizes(data) == [6, 2, 8]
    line = capsys.readouterr().out.splitlines()[0]
    expected = "Train is the training part, test_set is the test part; other folders, left out: "
    assert line.startswith(f"{tmp_path}: {expected}validaton; dev holds images without class ")
    assert f"predict_path: {tmp_path / 'dev'}" in line
    assert expected in data.reading().input.source
    assert "is the training part" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["test/ant", "test/bee", "ant", "bee"], "pets/test is named as a test part and holds fol"),
        (["train/ant", "train/bee", "val/ant", "dev/ant"], "dev and val are both named as the val"),
        (
            ["pets/ant", "pets/bee"],
            "pets/pets holds no images but folders .*Give .*/pets/pets",
        ),
        (["train/train/ant", "train/train/bee"], "pets/train/train holds no images but folders"),
        (["data/train/ant", "data/train/bee", "data/test/ant"], "pets/data holds no images but"),
        (["ant/ant", "bee/bee"], "pets/ant holds no images but folders"),
        (["Ant", "ant", "bee"], "the class folders Ant and ant of .* differ in upper and lower"),
        (
            ["siteA/ant", "siteA/bee", "siteB/Ant"],
            "siteA, siteB hold no images but folders",
        ),
    ],
)
def test_folders_that_are_no_classes_are_refused(folders, message, tmp_path):
    write_classes(tmp_path / "pets", dict.fromkeys(folders, 2))
    with pytest.raises(InputError, match=message):
        make(tmp_path / "pets").setup("fit")


def test_folders_below_a_class_are_of_the_class(tmp_path):
    folders = {"cat/siamese": 2, "cat/persian": 2, "dog/poodle": 2, "dog": 1, "__MACOSX/cat": 1}
    data = make(write_classes(tmp_path, folders), val_size=None)
    assert data.class_names == ["cat", "dog"]
    assert len(data.examples("train").rows) == 7


def test_train_may_be_a_class_among_others(tmp_path):
    write_classes(tmp_path / "vehicles", {"bus": 3, "car": 3, "train": 3})
    assert make(tmp_path / "vehicles").class_names == ["bus", "car", "train"]


def test_a_test_path_of_its_own(folder, tmp_path):
    other = write_classes(tmp_path / "other", {"dogs": 2, "cats": 1}, 50)
    data = make(folder, test_path=other, val_size=None)
    assert sizes(data) == [20, 0, 3]
    assert data.examples("test").targets.tolist() == ["cats", "dogs", "dogs"]


def test_classes_of_the_test_part_alone_are_named_before_any_training(folder, tmp_path):
    other = write_classes(tmp_path / "other", {"dogs": 2, "catz": 1}, 50)
    with pytest.raises(InputError, match=r"'catz' is not among the classes cats, dogs.*'cats'\?"):
        make(folder, test_path=other).setup("fit")


def test_what_is_found_and_what_is_left_out(tmp_path, capsys):
    root = write_classes(tmp_path / "my pets", {"gr\u00fcne k\u00e4fer": 2, "\u732b": 1})
    write_image(root / "\u732b" / "deep er" / "IMG 1.PNG", 7)
    write_image(root / "\u732b" / "2.bmp", 8)
    write_image(root / "\u732b" / ".hidden.png", 9)
    write_image(root / ".thumbnails" / "1.png", 9)
    write_image(root / "\u732b" / ".cache" / "1.png", 9)
    for name in ("\u732b/Thumbs.db", "\u732b/notes.txt", "gr\u00fcne k\u00e4fer/labels.csv"):
        (root / name).write_text("no image")
    (root / "readme.txt").write_text("beside the classes")
    data = make(root, val_size=None)
    classes = [unicodedata.normalize("NFC", name) for name in data.class_names]
    assert classes == ["gr\u00fcne k\u00e4fer", "\u732b"]
    assert sorted(names(data, "train")) == ["000.png", "001.png", "002.png", "2.bmp", "IMG 1.PNG"]
    said = capsys.readouterr().out
    kinds = "1 .csv, 1 .db, 1 .txt"
    assert sorted(said.strip().rpartition("out: ")[2].split(", ")) == kinds.split(", ")


def test_links_are_followed_and_circles_are_not(folder, tmp_path):
    write_classes(tmp_path / "elsewhere", {"mice": 2}, 50)
    (folder / "mice").symlink_to(tmp_path / "elsewhere" / "mice")
    (folder / "cats" / "900.png").symlink_to(tmp_path / "elsewhere" / "mice" / "050.png")
    (folder / "dogs" / "all").symlink_to(folder)
    (folder / "dogs" / "again").symlink_to(folder / "dogs")
    data = make(folder, val_size=None, split_seed=None)
    targets = data.examples("train").targets.tolist()
    # The link to the whole folder stands in it: its other classes are below dogs once.
    assert {name: targets.count(name) for name in data.class_names}["mice"] == 2
    assert targets.count("cats") == 13
    assert len(set(data.examples("train").names)) == len(targets) < 60


@pytest.mark.parametrize("name", ["cats", "train/cats"])
def test_an_empty_class_folder(name, tmp_path):
    root = write_classes(tmp_path, {"train/ants": 3, "train/bees": 3} if "/" in name else {"b": 3})
    (root / name).mkdir(parents=True)
    with pytest.raises(InputError, match=rf"the class folder .*/{name} holds no image"):
        make(root).setup("fit")


def test_a_val_folder_without_images_is_no_silent_split_of_the_training_part(tmp_path):
    write_classes(tmp_path, {"train/ants": 3, "train/bees": 3, "val/ants": 0, "val/bees": 0})
    with pytest.raises(InputError, match=r"the class folders of .*/val hold no image"):
        make(tmp_path).setup("fit")


def test_a_class_that_no_image_of_the_test_folder_has(tmp_path):
    write_classes(tmp_path, {"train/ants": 4, "train/bees": 4, "test/ants": 2, "test/bees": 0})
    assert sizes(make(tmp_path, val_size=2)) == [6, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "pest"}, r"there is no folder pest .*Did you mean 'pets'\?"),
        ({"path": "pets/cats"}, r"has no subfolders\. Accepted: .*use predict_path"),
        ({"path": "labels.csv"}, "labels.csv is a table: give target"),
        ({"path": "lables.csv", "target": "kind"}, r"no file lables.csv .*'labels.csv'\?"),
        ({"path": "pets.zip", "target": "kind"}, "pets.zip is no table by its name"),
        ({"path": "pets", "target": "kind"}, "target names columns of a table, and pets is a fol"),
        ({"path": "pets", "task": "regression"}, "task regression needs a table"),
        ({"path": "pets", "test_path": "labels.csv"}, "must both be folders of classes, or both"),
        ({"path": "pets", "test_path": "pets", "test_size": 2}, "give test_path or test_size"),
        ({"path": "parts", "test_size": 2}, "parts has a test folder of its own: leave test_size"),
        ({"path": "pets", "predict_path": "pest"}, r"no predict_path pest .*Did you mean 'pets'\?"),
        ({"path": "pets", "predict_path": "empty"}, "empty holds no image"),
        ({"path": "pets", "image_size": 0}, "image_size must be one positive number, or height"),
        ({"path": "pets", "image_size": (3, 4, 5)}, "image_size must be one positive number"),
        ({"path": "pets", "fit": "squeze"}, r"unknown fit 'squeze'\. Did you mean 'squeeze'\?"),
        ({"path": "pets", "channels": 4}, "unknown channels '4'. Accepted: 1, 3"),
        ({"path": "pets", "on_corrupt": "ignore"}, "unknown on_corrupt 'ignore'"),
        ({"path": "pets", "cache_gb": -1}, "cache_gb must be 0 or more"),
        ({"path": "pets", "augmentation": "boook"}, r"unknown augmentation .*'book'\?"),
    ],
)
def test_arguments_that_cannot_be_used(arguments, message, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.csv").write_text("image,kind\npets/cats/000.png,a\n")
    (tmp_path / "pets.zip").write_text("")
    (tmp_path / "empty").mkdir()
    write_classes(tmp_path / "parts", {f"{part}/{name}": 2 for part in PARTS for name in "ab"})
    with pytest.raises(InputError, match=message):
        make(**arguments).predict_dataloader()


# Tables ------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path, csv):
    """Return a function that writes images and a table of them, and gives its path."""

    def write(**columns):
        rows = len(next(iter(columns.values())))
        files = [f"all images/{row}.png" for row in range(rows)]
        for row, name in enumerate(files):
            write_image(tmp_path / name, row)
        return csv(pd.DataFrame({"image": files, **columns}), "labels.csv")

    return write


KINDS = ["oak", "fir", "oak", "elm"] * 3


@pytest.mark.parametrize(
    ("columns", "head", "class_names", "targets"),
    [
        ({"kind": KINDS}, "softmax", ["elm", "fir", "oak"], [2, 1, 2, 0] * 3),
        ({"old": [0, 1, 1] * 4, "tall": [1, 1, 0] * 4}, "multilabel", ["old", "tall"], None),
        ({"age": [row / 4 for row in range(12)]}, "regression", None, None),
        (
            {"age": [row / 4 for row in range(12)], "height": [2.5] * 12},
            "regression",
            None,
            None,
        ),
    ],
    ids=["classes", "labels", "value", "values"],
)
def test_a_table_of_paths_and_targets(columns, head, class_names, targets, table):
    data = make(table(**columns), target=list(columns), val_size=3, test_size=2, split_seed=None)
    trainer = fitted(data, head)
    assert data.class_names == class_names
    assert data.num_outputs == len(class_names or columns)
    assert np.isfinite(trainer.callback_metrics["val_loss"].item())
    stored = torch.cat([targets for _, targets in data.val_dataloader()])
    if targets is None:
        targets = np.array([*columns.values()], np.float32).T.squeeze()
        assert stored.dtype == torch.float32
    assert stored.tolist() == np.array(targets)[2:5].tolist()
    images, _ = rows_of(data, "val")
    assert np.array_equal(images, [pixels(row).transpose(2, 0, 1) for row in (2, 3, 4)])


def test_rows_without_a_target_are_left_out_if_asked(table, capsys):
    kinds = [None if row == 4 else kind for row, kind in enumerate(KINDS)]
    path = table(kind=kinds)
    with pytest.raises(InputError, match="drop_unlabelled"):
        make(path, target="kind").setup("fit")
    data = make(path, target="kind", drop_unlabelled=True, val_size=None, split_seed=None)
    assert len(data.examples("train").rows) == 11
    assert data.examples("train").places.tolist() == [0, 1, 2, 3, *range(5, 12)]
    assert f"{path}: 1 rows have no target and are left out" in capsys.readouterr().out


def test_names_of_classes_that_look_like_numbers_stay_as_they_are_written(table):
    path = table(kind=[("1.1", "1.10")[row % 2] for row in range(len(KINDS))])
    assert make(path, target="kind", task="classification").class_names == ["1.1", "1.10"]


def test_a_table_with_classes_is_cut_by_classes_if_asked(table):
    data = make(table(kind=KINDS), target="kind", stratify=True, val_size=4)
    assert sorted(data.examples("val").targets) == ["elm", "fir", "oak", "oak"]


def test_a_test_table_and_paths_anywhere(table, tmp_path, csv):
    (tmp_path / "later").mkdir()
    files = ["../all images/3.png", str(write_image(tmp_path / "far" / "5.png", 5))]
    later = csv(pd.DataFrame({"file": files, "kind": ["fir", "oak"]}), "later/test.tsv", sep="\t")
    frame = pd.read_csv(table(kind=KINDS)).rename(columns={"image": "file"})
    data = make(
        csv(frame, "train.csv"), test_path=later, image_column="file", target="kind", val_size=3
    )
    assert sizes(data) == [9, 3, 2]
    assert np.array_equal(rows_of(data, "test")[0][1], pixels(5).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, {"target": "kin"}, r"target: there is no column 'kin'\. Did you mean 'kind'\?"),
        ({}, {"image_column": "images"}, r"image_column: there is no column 'images'\. Did you"),
        ({"image": "7"}, {}, r"there is no image '7' \(line 4 of the file; 1 such rows\)\. Path"),
        ({"image": None}, {}, r"there is no image None \(line 4 of the file"),
        ({"kind": None}, {}, "target 'kind' is missing in line 4"),
    ],
)
def test_mistakes_in_a_table_are_placed(change, arguments, message, table, csv):
    frame = pd.read_csv(table(kind=KINDS))
    for column, value in change.items():
        frame.loc[2, column] = value
    with pytest.raises(InputError, match=message):
        make(csv(frame), **{"target": "kind", **arguments}).setup("fit")


def test_rows_without_a_target_are_left_out_and_a_file_is_read_as_is_said(table, csv, capsys):
    frame = pd.read_csv(table(kind=KINDS)).astype({"kind": object})
    frame.loc[2, "kind"], frame.loc[5, "kind"] = None, "unknown"
    path = csv(frame, sep=";", encoding="cp1252")
    said = TableFormat(separator=";", encoding="cp1252", na_values=("unknown",))
    data = make(path, target="kind", drop_unlabelled=True, table_format=said)
    data.setup("fit")
    assert data.num_rows == len(KINDS) - 2
    assert "houses.csv: 2 rows have no target and are left out" in capsys.readouterr().out


# Prediction --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("new", ["new/a.png", "new/b c.bmp", "new/x/y/d.PNG"]),
        ("new/b c.bmp", ["new/b c.bmp"]),
        ("image", ["image"]),
    ],
    ids=["folder and below", "file", "file of any name"],
)
def test_images_to_predict(given, expected, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("new/a.png", "new/b c.bmp", "new/x/y/d.PNG", "new/.no.png")):
        write_image(tmp_path / name, 70 + seed)
    shutil.copy(tmp_path / "new/b c.bmp", tmp_path / "image")
    data = make(folder, predict_path=given)
    batches = list(data.predict_dataloader())
    assert data.examples("predict").names == expected
    seeds = [70, 71, 72] if given == "new" else [71]
    images = torch.cat([images for images, _ in batches])
    wanted = np.stack([pixels(seed) for seed in seeds]).transpose(0, 3, 1, 2)
    assert torch.equal(images, torch.from_numpy(wanted) / 255)
    assert batches[0][1] is None


def test_without_predict_path_the_test_part_is_predicted_and_named(folder):
    data = make(folder, test_size=4)
    images, _ = next(iter(data.predict_dataloader()))
    assert len(images) == 4
    assert data.examples("predict").names == data.examples("test").names


# Decoding once, corrupt images, duplicates, trial runs -----------------------------------------


def test_a_second_datamodule_decodes_nothing(folder, monkeypatch):
    first = make(folder, test_size=4, predict_path=folder)
    expected = [rows_of(first, part)[0] for part in ("train", "val", "test")]
    list(first.predict_dataloader())
    no_reading(monkeypatch)
    second = make(folder, test_size=4, predict_path=folder)
    for part, images in zip(("train", "val", "test"), expected, strict=True):
        assert np.array_equal(rows_of(second, part)[0], images)
    list(second.predict_dataloader())


@pytest.mark.parametrize("augmentation", [None, "book", "trivial_augment"])
def test_streamed_batches_equal_stored_ones(augmentation, folder):
    batches = []
    for cache_gb in (0, 1):
        torch.manual_seed(3)
        data = make(folder, cache_gb=cache_gb, augmentation=augmentation, batch_size=5)
        loaders = (data.train_dataloader(), data.val_dataloader())
        batches.append([batch for loader in loaders for batch in loader])
    for (images, targets), (others, other_targets) in zip(*batches, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(targets, other_targets)


def test_an_error_while_streaming_reaches_the_training(folder):
    data = make(folder, cache_gb=0, test_size=None)
    loader = data.train_dataloader()
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"\.png could be read before and cannot now"):
        list(loader)


@pytest.fixture
def damaged(folder):
    """The folder with 11 images more that cannot be read."""
    whole = (folder / "cats" / "000.png").read_bytes()
    (folder / "cats" / "000a.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dogs" / "015a.png").write_bytes(b"")
    for number in range(9):
        (folder / "dogs" / f"text{number}.jpg").write_text("no image")
    return folder


def test_corrupt_images_are_all_named_with_the_reason(damaged):
    with pytest.raises(InputError) as error:
        make(damaged).setup("fit")
    first, *lines = str(error.value).splitlines()
    assert first.startswith("11 of 31 images cannot be read. Mend or remove them, or leave them")
    assert "on_corrupt: skip" in first
    assert lines[0] == f"  {damaged}/cats/000a.png: truncated"
    assert lines[1] == f"  {damaged}/dogs/015a.png: empty file"
    assert lines[2].startswith(f"  {damaged}/dogs/text0.jpg: not an image")
    assert lines[10] == "  and 1 more"
    report = Path(lines[11].removeprefix("  the whole list is in "))
    rows = list(csv.reader(report.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["path", "reason"]
    assert rows[11][0] == f"{damaged}/dogs/text8.jpg"
    assert len(rows) == 12


def test_corrupt_images_are_left_out_and_all_else_stays_in_line(damaged, folder, capsys):
    data = make(damaged, on_corrupt="skip", test_size=3, predict_path=damaged)
    assert sum(sizes(data)) == 20
    assert "11 of 31 images cannot be read and are left out:" in capsys.readouterr().out
    for part in ("train", "val", "test"):
        stored, targets = rows_of(data, part)
        for name, image, target in zip(names(data, part), stored, targets, strict=True):
            seed = int(name.removesuffix(".png"))
            assert np.array_equal(image, pixels(seed).transpose(2, 0, 1))
            assert target == ("cats" if seed < 12 else "dogs")
    images = torch.cat([images for images, _ in data.predict_dataloader()])
    called = data.examples("predict").names
    assert [name[-7:] for name in called] == [f"{seed:03}.png" for seed in range(20)]
    assert torch.equal(images[15], torch.from_numpy(pixels(15)).permute(2, 0, 1) / 255)


@pytest.mark.parametrize(("how_many", "left"), [(1, [6, 2]), (3, None)])
def test_corrupt_images_of_a_val_folder(how_many, left, tmp_path):
    write_classes(tmp_path, {"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 1})
    for path in sorted((tmp_path / "val").rglob("*.png"))[:how_many]:
        path.write_bytes(b"no image")
    data = make(tmp_path, on_corrupt="skip")
    if left is None:
        with pytest.raises(InputError, match="none of the images of the validation part"):
            data.setup("fit")
        return
    assert [len(data.examples(part).rows) for part in ("train", "val")] == left
    assert all("/val/" in name for name in data.examples("val").names)


def test_if_no_image_can_be_read_skipping_is_no_way(folder, tmp_path, monkeypatch):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no image")
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DLP_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"(?s)20 of 20 images cannot be read:.*list cannot be "):
        make(folder, on_corrupt="skip").setup("fit")


def test_duplicates_across_parts_are_counted_and_dropped_if_asked(tmp_path, capsys):
    for part, seeds in (("train", (0, 1, 2, 3)), ("val", (1, 4)), ("test", (2, 4, 5))):
        for number, seed in enumerate(seeds):
            write_image(tmp_path / part / "ab"[number % 2] / f"{part}{number}.png", seed)
    assert sizes(make(tmp_path)) == [4, 2, 3]
    said = capsys.readouterr().out
    for count in ("1 in both validation and training", "1 in both test and training"):
        assert count in said
    assert "1 in both test and validation; drop_duplicates: true removes them" in said
    data = make(tmp_path, drop_duplicates=True)
    assert [names(data, part) for part in ("train", "val")] == [
        ["train0.png", "train3.png"],
        ["val0.png"],
    ]
    assert sizes(data)[2] == 3


def test_a_trial_run_decodes_a_sample_and_writes_nothing(tmp_path, monkeypatch):
    counts = {f"class {number:02}": 2 for number in range(70)} | {"class 99": 60}
    root = write_classes(tmp_path / "many", counts, size=(4, 4))
    write_classes(root / "..", {"new": 70}, 300, size=(4, 4))
    decodes, read = [], on_all_cores.read_with_header

    def counting(content, *arguments):
        decodes.append(content)
        return read(content, *arguments)

    monkeypatch.setattr(on_all_cores, "read_with_header", counting)
    data = make(root, test_size=100, predict_path=tmp_path / "new", image_size=4)
    data.dry_run = True
    assert data.num_outputs == 71
    trainer = fitted(data, "softmax", fast_dev_run=True)
    trainer.test(trainer.model, data, verbose=False)
    assert len(decodes) < 145
    trainer.predict(trainer.model, data)
    assert len(decodes) < 145 + 65
    assert not cache_dir().exists() or not list(cache_dir().iterdir())
    assert trainer.fast_dev_run


# What was understood ------------------------------------------------------------------------------


def drawn(path, colour, mode="RGB", size=(40, 30), **save):
    """Write an image of noise in a mode, or of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels(len(path.name), size)).convert(mode)
    if colour is not None:
        image.paste(colour, (0, 0, *image.size))
    image.save(path, **save)


def test_the_reading_says_sizes_modes_and_what_is_odd(tmp_path):
    write_classes(tmp_path, {"ant": 14, "bee": 14}, size=(30, 40))
    drawn(tmp_path / "ant" / "flat.png", (250, 250, 250))
    drawn(tmp_path / "ant" / "grey.png", None, "L")
    drawn(tmp_path / "bee" / "icon.png", None, size=(4, 5))
    drawn(tmp_path / "bee" / "wide.png", None, size=(10, 200))
    later = [Image.fromarray(pixels(number, (30, 40))) for number in range(3)]
    drawn(tmp_path / "bee" / "moves.gif", None, save_all=True, append_images=later)
    (tmp_path / "bee" / "broken.png").write_bytes(b"no image")
    data = make(tmp_path, on_corrupt="skip")
    found = data.reading()
    facts = dict(found.input.facts)
    assert facts["images"] == "33, 1 unreadable"
    assert facts["sizes"] == "4 x 5 to 10 x 200 (height x width), middle 30 x 40"
    assert facts["modes"].startswith("RGB 31")
    assert facts["made into"] == "8 x 10, squeeze, colours"
    (note,) = found.input.notes
    assert note.startswith("images unlike the others: ")
    for odd in ("ant/flat.png (100% of one colour: a placeholder?)", "ant/grey.png (mode L)"):
        assert odd in note
    assert "bee/icon.png (4 x 5)" in note
    assert "bee/wide.png (10 x 200)" in note
    assert "bee/moves.gif (4 frames, the first one is read" in note
    assert dict(found.target.classes) == {"ant": 16, "bee": 17}
    assert "unlike the others" in found.summary()[-1]
    again = make(tmp_path, on_corrupt="skip")  # from the cache
    assert again.reading().input == found.input


def test_images_that_differ_as_photographs_do_are_not_odd(tmp_path):
    for number, size in enumerate([(300, 400), (400, 300), (200, 300), (500, 333), (240, 320)] * 4):
        write_image(tmp_path / "ab"[number % 2] / f"{number}.png", number, size)
    assert make(tmp_path).reading().input.notes == ()


def test_drawings_on_a_flat_ground_are_not_odd(tmp_path):
    for number in range(12):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        drawn(path, (255, 255, 255))
        image = Image.open(path)
        image.paste((number, 0, 0), (number, number, number + 3, number + 3))
        image.save(path)
    assert make(tmp_path).reading().input.notes == ()


# The checkpoint ----------------------------------------------------------------------------------


def test_a_checkpoint_brings_back_size_fit_channels_and_classes(folder, tmp_path):
    state = make(folder, image_size=(6, 7), fit="crop", channels=1).state_dict()
    torch.save(state, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = write_classes(tmp_path / "other", {"dogs": 3, "cats": 1}, 50)
    fresh, used = make(other), make(other, predict_path=other)
    used.setup("fit")
    next(iter(used.val_dataloader()))
    for data in (fresh, used):
        data.load_state_dict(state)
        assert (data.input_shape, data.class_names) == ((1, 6, 7), ["cats", "dogs"])
        for loader in (data.train_dataloader(), data.predict_dataloader() if data is used else ()):
            assert {tuple(images.shape[1:]) for images, _ in loader} <= {(1, 6, 7)}


def test_values_are_trained_on_standardised(tmp_path):
    for row in range(10):
        write_image(tmp_path / f"{row}.png", row)
    values = [100.0, 300.0] * 5
    table = pd.DataFrame({"image": [f"{row}.png" for row in range(10)], "price": values})
    table.to_csv(tmp_path / "prices.csv", index=False)
    data = ImageFolderDataModule(
        tmp_path / "prices.csv", target="price", task="regression", target_scaling="standard"
    )
    train = data.examples("train").targets
    assert data.target_mean == [pytest.approx(train.mean())]
    assert data.target_std == [pytest.approx(train.std())]
    with pytest.raises(InputError, match="target_scaling: standard is for values"):
        _ = ImageFolderDataModule(
            tmp_path / "prices.csv", target="image", target_scaling="standard", val_size=None
        ).target_mean
