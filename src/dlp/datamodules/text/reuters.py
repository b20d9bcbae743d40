"""Reuters: 11,228 newswires on 46 topics (chapter 3.5), from the distribution Reuters-21578."""

import hashlib
import html
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from dlp.datamodules.base import LabelledParts
from dlp.datamodules.splits import Size, keras_order
from dlp.datamodules.targets import TargetEncoder
from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.sources import TextFiles, cached_texts
from dlp.datamodules.text.text import BaseTextDataModule, TextArguments
from dlp.errors import InputError, reading
from dlp.files import AnyPath, download, find_data_dir
from dlp.hyperparameters import Keywords

URL = "https://kdd.ics.uci.edu/databases/reuters21578/reuters21578.tar.gz"
#: SHA-256 of the concatenated files reut2-000.sgm to reut2-021.sgm. It is not the hash of the
#: archive, because archives differ from mirror to mirror.
SHA256 = "3764d62c6c42ea64f88199a398af03059fb823de62120deefa5cc71f2502a3b3"
#: Topics in the order of their first wire. The position is the number of the class.
# fmt: off
CLASS_NAMES = [
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply",
    "coffee", "sugar", "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi",
    "money-fx", "interest", "gnp", "meal-feed", "alum", "oilseed", "gold", "tin",
    "strategic-metal", "livestock", "retail", "ipi", "iron-steel", "rubber", "heat", "jobs", "lei",
    "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
]
# fmt: on
_WIRE = re.compile(r"<REUTERS .*?</REUTERS>", re.DOTALL)
_TOPIC = re.compile(r"<D>(.*?)</D>")
_TAG = re.compile(r"<[^>]*>")


class ReutersDataModule(BaseTextDataModule):
    """Newswires on 46 topics: 8,982 for training and 2,246 for the test.

    The wires, their order and their classes are those in the book. In the set that Keras publishes,
    975 wires without a body have the body of the next wire, which costs 8 points of accuracy.
    Source: David D. Lewis, Reuters-21578, Distribution 1.0.

    Args:
        data_dir: Folder of the reference sets. Its file ``reuters21578/reuters21578.tar.gz`` is
            downloaded if it is missing. None means ``DLP_DATA_DIR``, or a folder in the user's
            cache if that is not set.
        source: Only ``raw`` is accepted. It is kept because configs written by dlp 1.1 contain it.
        text: ``own`` uses the text of each wire, that is, its body, or its title if it has no body.
            ``as_published`` uses the texts of the published set, with their entities such as
            ``&lt;``.
        one_hot: Whether classes are encoded as float32 (N, 46).
        batch_size: Number of rows per training batch.
        val_size: Number or fraction of validation rows. None means no validation.
        split_seed: Seed of the shuffle. None keeps the book's order, in which the first rows of the
            training wires are the validation part.
        **split: See `BaseTextDataModule`.
    """

    def __init__(
        self,
        data_dir: AnyPath | None = None,
        source: Literal["raw"] = "raw",
        text: Literal["own", "as_published"] = "own",
        one_hot: bool = False,
        batch_size: int = 512,
        val_size: Size = 1000,
        split_seed: int | None = None,
        **split: Keywords[TextArguments],
    ) -> None:
        super().__init__(
            files=TextFiles("", {"text": "text"}),  # only used for texts to predict
            targets=TargetEncoder("classification", CLASS_NAMES, one_hot=one_hot),
            batch_size=batch_size,
            val_size=val_size,
            split_seed=split_seed,
            **split,
        )
        self.folder = find_data_dir(data_dir)
        self.text = text
        self.save_arguments(locals())

    def load(self) -> LabelledParts:
        """Return both parts in the book's order."""
        key = f"reuters {SHA256} {self.text}"  # `read_wires` checks that the files have this hash
        return self.parts_of(cached_texts(key, lambda: read_wires(self.folder, self.text)))


def read_wires(folder: Path, text: str) -> Texts:
    """Return all wires in the order of ``keras.datasets``. The first 80 % are the training part.

    The class of a wire is its first topic. Wires whose topic is not in `CLASS_NAMES`, because it
    has fewer than 15 wires, are left out.

    Args:
        folder: Folder of the reference sets.
        text: ``own`` or ``as_published``; see `ReutersDataModule`.

    Raises:
        InputError: If the archive cannot be downloaded, or is another version.
    """
    path = download(URL, folder / "reuters21578" / "reuters21578.tar.gz", "")
    with reading(path, "Reuters-21578 (delete it and run again)"), tarfile.open(path) as archive:
        names = [name for name in archive.getnames() if name.endswith(".sgm")]
        files: Any = map(archive.extractfile, sorted(names))
        contents = [file.read() for file in files]
    if hashlib.sha256(b"".join(contents)).hexdigest() != SHA256:
        raise InputError(
            f"{path}: expected Reuters-21578 1.0, got other files. Delete it and run again."
        )
    wires: list[tuple[str, str]] = []
    for content in contents:
        wires += labelled_wires(content.decode("latin-1"), text)
    wires = [wire for wire in wires if wire[0] in CLASS_NAMES]
    wires = [wires[row] for row in keras_order(len(wires))]
    num_train = int(len(wires) * 0.8)
    return Texts.tokenise(
        [text for _, text in wires],
        part=["train"] * num_train + ["test"] * (len(wires) - num_train),
        label0=[CLASS_NAMES.index(topic) for topic, _ in wires],
    )


def labelled_wires(sgml: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the first topic and the text of each wire in a file. Wires without a topic are skipped.

    Args:
        sgml: Content of a file.
        text: ``own`` yields the BODY of the wire, or its TITLE if it has no BODY, or its whole TEXT
            if it has neither. ``as_published`` yields the first BODY after the beginning of the
            wire, even if it belongs to a later wire, as the script that made Keras's archive does.
    """
    for match in _WIRE.finditer(sgml):
        wire = match.group()
        topic = _TOPIC.search(_element(wire, "TOPICS"))
        if topic is None:
            continue
        if text == "as_published":
            yield topic[1], _element(sgml, "BODY", match.start())
        else:
            whole = _TAG.sub(" ", wire[wire.find("<TEXT") :])
            own = _element(wire, "BODY") or _element(wire, "TITLE") or whole
            yield topic[1], html.unescape(own)


def _element(sgml: str, name: str, start: int = 0) -> str:
    """Return the content of the first element called `name` after position `start`."""
    match = re.compile(f"<{name}>(.*?)</{name}>", re.DOTALL).search(sgml, start)
    return match[1] if match else ""
