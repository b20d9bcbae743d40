import io
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from image_files import pixels
from PIL import Image

from dlp.datamodules import CatsVsDogsDataModule
from dlp.errors import InputError
from dlp.files import cache_dir

CLASSES = ("cat", "dog")
PER_CLASS = 12
# What the datasets library writes beside the columns.
FEATURES = (
    '{"info": {"features": {"image": {"_type": "Image"}, '
    '"labels": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
)
KIND = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def content(label, number):
    """Return the bytes of an image; PNG, since pixels must come back, whatever the name says."""
    file = io.BytesIO()
    Image.fromarray(pixels(100 * label + number)).save(file, "PNG")
    return file.getvalue()


def shard(path, images, labels):
    schema = pa.schema([("image", KIND), ("labels", pa.int64())], {"huggingface": FEATURES})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "labels": labels}, schema), path, row_group_size=5)


def write_hub(home, shards=1, named=True):
    """The Hub's layout: sorted by class; the names may be missing."""
    rows = [(label, number) for label in (0, 1) for number in range(PER_CLASS)]
    images = [
        {"bytes": content(*row), "path": f"{CLASSES[row[0]]}.{row[1]}.jpg" if named else None}
        for row in rows
    ]
    step = len(rows) // shards
    for place in range(shards):
        cut = slice(place * step, (place + 1) * step)
        path = home / "data" / f"train-{place:05}-of-{shards:05}.parquet"
        shard(path, images[cut], [label for label, _ in rows[cut]])


def write_kaggle(home):
    (home / "train").mkdir(parents=True)
    for label, name in enumerate(CLASSES):
        for number in range(PER_CLASS):
            (home / "train" / f"{name}.{number}.jpg").write_bytes(content(label, number))


def write_petimages(home):
    """Microsoft's layout, with the odd files it has."""
    for label, name in enumerate(("Cat", "Dog")):
        folder = home / "PetImages" / name
        folder.mkdir(parents=True)
        for number in range(PER_CLASS):
            (folder / f"{number}.jpg").write_bytes(content(label, number))
        (folder / "Thumbs.db").write_bytes(b"no image")
        (folder / "._0.jpg").write_bytes(b"of another operating system")
        (folder / "copy (1) of 3.jpg").write_bytes(content(label, 3))
        (folder / "666.jpg").write_bytes(b"")


@pytest.fixture
def pets(tmp_path):
    """Write 12 cats and 12 dogs in the Hub's layout; give the data folder."""
    write_hub(tmp_path / "cats_vs_dogs")
    return tmp_path


def make(folder, **arguments):
    sizes = {"per_class": 8, "val_size": 4, "test_size": 4, "image_size": (8, 10)}
    return CatsVsDogsDataModule(folder, **{**sizes, **arguments})


def numbers(data, part):
    """Return (class, number) of each image of a part, by its pixels."""
    known = {
        pixels(100 * label + number).tobytes(): (label, number)
        for label in (0, 1)
        for number in range(PER_CLASS)
    }
    examples = data.examples(part)
    found = [known[image.tobytes()] for image in examples.rows.pixels[examples.rows.rows]]
    assert [label for label, _ in found] == examples.targets.tolist()
    return found


def of_both(*chosen):
    return [(label, number) for number in chosen for label in (0, 1)]


@pytest.mark.parametrize(
    "write",
    [
        write_hub,
        lambda home: write_hub(home, shards=3),
        lambda home: write_hub(home, named=False),
        write_kaggle,
        write_petimages,
        lambda home: write_petimages(home.parent),
    ],
    ids=["hub", "three files", "nameless", "kaggle", "petimages", "petimages in data_dir"],
)
def test_every_layout_gives_the_books_parts(write, tmp_path):
    write(tmp_path / "cats_vs_dogs")
    data = make(tmp_path)
    assert (data.input_shape, data.num_outputs, data.class_names) == ((3, 8, 10), 2, [*CLASSES])
    assert sorted(numbers(data, "train")) == sorted(of_both(0, 1, 2, 3))
    assert sorted(numbers(data, "val")) == sorted(of_both(4, 5))
    assert numbers(data, "test") == of_both(7, 6)


def test_the_environment_names_the_folder_and_nothing_is_written_there(pets, monkeypatch):
    before = sorted(pets.rglob("*"))
    monkeypatch.setenv("DLP_DATA_DIR", str(pets))
    data = make(None, batch_size=3)
    images, targets = next(iter(data.train_dataloader()))
    assert (images.shape, images.dtype, targets.dtype) == (
        (3, 3, 8, 10),
        torch.float32,
        torch.int64,
    )
    assert sorted(pets.rglob("*")) == before


def test_folds_take_turns_over_both_classes(pets):
    parts = [make(pets, num_folds=3, fold=fold, test_size=None) for fold in range(3)]
    shown = [row for data in parts for row in numbers(data, "val")]
    assert sorted(shown) == sorted(of_both(*range(8)))


@pytest.mark.parametrize("per_class", [None, 12])
def test_all_images(per_class, pets):
    assert len(make(pets, per_class=per_class).examples("train").rows) == 24 - 8


def test_more_images_than_there_are_is_an_error_but_in_a_trial_run(pets):
    with pytest.raises(InputError, match="per_class is 13, and there are 12 images of a cat"):
        make(pets, per_class=13).setup("fit")
    data = CatsVsDogsDataModule(pets, image_size=8)
    data.dry_run = True
    labels = [data.examples(part).targets.tolist() for part in ("train", "val", "test")]
    assert [len(part) for part in labels] == [12, 6, 6]
    assert [sum(part) for part in labels] == [6, 3, 3]
    assert not (cache_dir() / "images").exists()


def test_wrong_per_class(tmp_path):
    with pytest.raises(InputError, match="per_class must be at least 1"):
        make(tmp_path, per_class=0)


@pytest.mark.parametrize("layout", ["hub", "petimages"])
def test_images_that_cannot_be_read_are_left_out_by_default(layout, tmp_path, capsys):
    home = tmp_path / "cats_vs_dogs"
    if layout == "petimages":
        write_petimages(home)
        (home / "PetImages" / "Cat" / "2.jpg").write_bytes(b"")
    else:
        write_hub(home)
        [path] = home.rglob("*.parquet")
        table = pq.read_table(path)
        images = table.column("image").to_pylist()
        images[2]["bytes"] = None
        shard(path, images, table.column("labels").to_pylist())
    data = make(tmp_path)
    assert sorted(numbers(data, "train")) == sorted({*of_both(0, 1, 2, 3)} - {(0, 2)})
    assert sorted(numbers(data, "val")) == sorted(of_both(4, 5))
    said = capsys.readouterr().out
    assert "1 of 16 images cannot be read and are left out" in said
    assert "2.jpg: empty file" in said
    with pytest.raises(InputError, match=r"1 of 16 images cannot be read.*on_corrupt: skip"):
        make(tmp_path, on_corrupt="raise").setup("fit")


def test_own_images_to_predict(pets, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "felix.png").write_bytes(content(0, 1))
    data = make(pets, predict_path=tmp_path / "mine")
    images, targets = next(iter(data.predict_dataloader()))
    assert targets is None
    assert torch.equal(images[0], torch.from_numpy(pixels(1)).permute(2, 0, 1) / 255)
    assert data.examples("predict").names == [f"{tmp_path}/mine/felix.png"]


# Download ----------------------------------------------------------------------------------------


@pytest.fixture
def hub_offers(monkeypatch, tmp_path):
    """Return a function that sets what the Hub has, or the error it gives."""
    asked = []

    def offer(there):
        def download(name, repo_type, allow_patterns, local_dir):
            asked.append((name, repo_type, allow_patterns))
            if isinstance(there, Exception):
                raise there
            shutil.copytree(there, local_dir, dirs_exist_ok=True)

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        return asked

    return offer


def test_the_set_comes_from_the_hub_once_whole(tmp_path, hub_offers):
    write_hub(tmp_path / "hub", shards=2)
    asked = hub_offers(tmp_path / "hub")
    home = tmp_path / "data" / "cats_vs_dogs"
    home.joinpath("data").mkdir(parents=True)
    first = "data/train-00000-of-00002.parquet"  # a download that was broken off
    shutil.copy(tmp_path / "hub" / first, home / first)
    for _ in range(2):
        data = make(tmp_path / "data")
        data.prepare_data()
        assert sorted(numbers(data, "val")) == sorted(of_both(4, 5))
    assert asked == [("microsoft/cats_vs_dogs", "dataset", "data/*.parquet")]


def test_without_network_the_error_says_what_to_do(tmp_path, hub_offers):
    hub_offers(ConnectionError("no route to host"))
    with pytest.raises(InputError, match=r"(?s)not in .*no route to host.*PetImages folder into"):
        make(tmp_path).setup("fit")


def test_a_hub_of_another_layout(tmp_path, hub_offers):
    (tmp_path / "hub").mkdir()
    hub_offers(tmp_path / "hub")
    with pytest.raises(InputError, match="no longer has"):
        make(tmp_path / "data").setup("fit")


@pytest.mark.parametrize("damage", ["cut", "other columns"])
def test_a_file_that_is_not_the_sets(damage, pets):
    [path] = pets.rglob("*.parquet")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(InputError, match=r"of-00001.parquet is damaged or not of microsoft"):
        make(pets).setup("fit")


@pytest.mark.realdata
def test_the_real_images():
    data = CatsVsDogsDataModule(image_size=16)
    data.setup("fit")
    hashes = []
    for part, first, last in (("train", 0, 999), ("val", 1000, 1499), ("test", 1500, 1999)):
        examples = data.examples(part)
        of_part = [(name.split(".")[0], int(name.split(".")[1])) for name in examples.names]
        assert sorted(of_part) == [
            (name, number) for name in CLASSES for number in range(first, last + 1)
        ]
        assert [CLASSES.index(name) for name, _ in of_part] == examples.targets.tolist()
        hashes += examples.hashes.tolist()
    assert len(set(hashes)) == 4000
