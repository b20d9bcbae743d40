"""Tiny copies of the reference sets in their original formats, in one folder for all configs."""

import hashlib
import io
import tarfile

import numpy as np
from PIL import Image

from dlp.datamodules.text.reuters import CLASS_NAMES

#: Sizes of the parts in a config -> sizes for the tiny sets.
SMALLER = {
    "IMDBDataModule": ["--data.num_words=60", "--data.val_size=8"],
    "ReutersDataModule": ["--data.num_words=60", "--data.val_size=60"],
    "CatsVsDogsDataModule": [
        *("--data.image_size=50", "--data.per_class=12"),
        *("--data.val_size=6", "--data.test_size=6"),
    ],
    "PretrainedModule": ["--model.backbone=squeezenet1_1"],
}


def write_all(folder):
    """Write the five sets; return the SHA-256 of Reuters and California, which dlp checks."""
    write_imdb(folder / "imdb/plain_text")
    write_mnist(folder / "mnist/MNIST/raw", num_train=300)
    write_cats_dogs(folder / "cats_vs_dogs/train")
    (folder / "california_housing").mkdir()
    generator = np.random.default_rng(0)
    rows = {"x": generator.random((700, 8)), "y": 1e5 * generator.random(700)}
    california = folder / "california_housing/california_housing.npz"
    np.savez(california, **rows)
    sha256 = hashlib.sha256(california.read_bytes()).hexdigest()
    return write_reuters(folder / "reuters21578"), sha256


def write_imdb(folder):
    for part in ("train", "test"):
        texts = [
            f"a {'good' if row % 2 else 'bad'} film of {part} {row}"
            for row in range(40)
        ]
        write_reviews(folder, part, texts, [row % 2 for row in range(40)])


def write_reviews(folder, part, texts, labels):
    """Write a part of IMDB in the format of the Hub's Parquet file."""
    import datasets

    folder.mkdir(parents=True, exist_ok=True)
    kinds = {
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["neg", "pos"]),
    }
    table = {"text": texts, "label": labels}
    rows = datasets.Dataset.from_dict(table, features=datasets.Features(kinds))
    rows.to_parquet(folder / f"{part}-00000-of-00001.parquet")


def write_mnist(folder, num_train=60):
    folder.mkdir(parents=True)
    for part, count in (("train", num_train), ("t10k", 20)):
        images = np.random.default_rng(count).integers(
            0, 256, (count, 28, 28), np.uint8
        )
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = np.array([0x800 + array.ndim, *array.shape], ">i4").tobytes()
            (folder / f"{part}-{name}-ubyte").write_bytes(head + array.tobytes())


def write_cats_dogs(folder):
    folder.mkdir(parents=True)
    for label, name in enumerate(("cat", "dog")):
        for number in range(12):
            pixels = (
                np.random.default_rng(number).integers(0, 128, (32, 32, 3))
                + 120 * label
            )
            Image.fromarray(pixels.astype(np.uint8)).save(
                folder / f"{name}.{number}.jpg"
            )


def write_parquet(root, shards=1, named=True):
    """Write the cats and dogs in the format of the Hub's Parquet files."""
    import datasets

    write_cats_dogs(root / "images")
    files = [
        root / f"images/{n}.{number}.jpg"
        for n in ("cat", "dog")
        for number in range(12)
    ]
    images = [
        {"bytes": f.read_bytes(), "path": f.name if named else None} for f in files
    ]
    labels = datasets.ClassLabel(names=["cat", "dog"])
    features = {"image": datasets.Image(decode=False), "labels": labels}
    (root / "cats_vs_dogs/data").mkdir(parents=True)
    table = {"image": images, "labels": [0] * 12 + [1] * 12}
    rows = datasets.Dataset.from_dict(table, features=datasets.Features(features))
    for shard in range(shards):
        name = f"train-{shard:05}-of-{shards:05}.parquet"
        rows.shard(shards, shard).to_parquet(root / "cats_vs_dogs/data" / name)


def write_reuters(folder):
    wires = [(topic, f"{topic} wire {n}") for n in range(15) for topic in CLASS_NAMES]
    return write_wires(folder, wires)


def write_wires(folder, wires):
    """Write wires (topic, text) as one SGML file in the archive; return its SHA-256."""
    folder.mkdir(parents=True)
    element = "<REUTERS ><TOPICS><D>{}</D></TOPICS><BODY>{}</BODY></REUTERS>"
    content = "\n".join(element.format(*wire) for wire in wires).encode("latin-1")
    with tarfile.open(folder / "reuters21578.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("reut2-000.sgm")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()
