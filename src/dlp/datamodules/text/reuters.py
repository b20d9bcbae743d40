"""Reuters: 11,228 newswires of 46 topics (section 3.5 of the book), made from the distribution."""

import hashlib
import html
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Unpack

import numpy as np

from dlp.datamodules.examples import Examples, sample_rows
from dlp.datamodules.splitting.splits import keras_order
from dlp.datamodules.targets import TargetEncoder
from dlp.datamodules.text.base import BaseTextDataModule, TextArguments
from dlp.datamodules.text.columns import TextColumns
from dlp.datamodules.text.corpus import Corpus, TextParts, source_key
from dlp.datamodules.text.keras_archives import KerasArchive
from dlp.errors import InputError, unknown
from dlp.files import Download
from dlp.files import data_dir as find_data_dir

TextChoice = Literal["own", "as_published"]

URL = "https://kdd.ics.uci.edu/databases/reuters21578/reuters21578.tar.gz"
#: Topics of fewer wires are left out.
MIN_WIRES = 15
#: SHA-256 of the files reut2-000.sgm to reut2-021.sgm: archives differ by mirror, these do not.
SHA256 = (
    "0ec53cda8f6d605a3ba710df14be7f00fc02f0c222a14748101df22326afe0f6",
    "1528e7e82d110d88d0234eb9619eadb7f9fd805711971df05975b92277dfdf4d",
    "99f18068d0518952987dedd78c622e5c2a584e357d264d3754696c815f3e6628",
    "78a3a8d7e04bc9d42c4614d5d5c60a4293dbe3f708df6fb5a71d9ef31f4b3fa3",
    "726342c19a65873330b412378cd6a3f0d512035f5223146ddd60930c62eb6ff0",
    "d09de619b6dd2d047d5124681f6df90550abaf592020d1c1ce338ae9b91522e7",
    "b5535c0d66b01f4976f84621a4a795afbc00d2c4bd0a1b7ae426df6630fb361d",
    "aa706007ec84a03537a3921ca976d60e11b3f99e4b9e9b2d5c81dd384d2c2062",
    "a3994583694a00b7c744097c1d7eabfcf90f2e6650cc21663e46828035a336cb",
    "29995f606dd1a9bdf907eacc9d879846c716860d9d9141676979474aaea39c7d",
    "996df6008089bd09fa5b28a4d2eb0ee5f7b9d4601cde566fed3926ac82960fa3",
    "d3a2782015247d9c2bffb8926267827fdd449c70d619435ef01a25a1c56a53ca",
    "da31035d483851f2aebce5b66d779e5e2c0ac9dcfe098596c6d544e81c5604ab",
    "8f7700bc0455fac3fcc12377ced4807b7df8aba1f21ecad059b9cc2b1cf0b8be",
    "ef936bd3e0f36cf722afa9a6957563549775af32e9e28b4f539c8737ceda83ab",
    "6d3bcec73eff871b8a5403588af814c4e50a0de6bc25707480522ab836f74026",
    "be2f03a185fff70131f3b4fdbd6229b7ee2be077eba9691eaa597c8cfbda8812",
    "f370e610b4b1342e41a98e0c426a08541044bd1d7e539674f32372a6060b73b5",
    "a5f971bf25448e915781962309e669359a35fbcaf3017a806eca0590897f209a",
    "d3b07097fba2633d130b4914aceba671645985248943ce9e39c289315339dffb",
    "f6ad1b724125c202566c63b35ea0b5ee23881f8b7ed47a32829d5af05d8e860d",
    "3f5196d32869723c9042aa5756805b4e90360f1f45ea17f4594fa0e2b3630b18",
)

#: The topics in the order of their first wire, which numbers them.
# fmt: off
CLASS_NAMES = [
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing",
    "money-supply", "coffee", "sugar", "trade", "reserves", "ship", "cotton", "carcass",
    "crude", "nat-gas", "cpi", "money-fx", "interest", "gnp", "meal-feed", "alum",
    "oilseed", "gold", "tin", "strategic-metal", "livestock", "retail", "ipi", "iron-steel",
    "rubber", "heat", "jobs", "lei", "bop", "zinc", "orange", "pet-chem", "dlr", "gas",
    "silver", "wpi", "hog", "lead",
]
# fmt: on

_WIRE = re.compile(r"<REUTERS .*?</REUTERS>", re.DOTALL)
_TOPIC = re.compile(r"<D>(.*?)</D>")
_TAG = re.compile(r"<[^>]*>")


class ReutersDataModule(BaseTextDataModule):
    """The newswires of section 3.5: 8,982 to train on, 2,246 to test on, 46 topics.

    Made from the distribution Reuters-21578 wire for wire as the book's set was, but each wire
    has its own text: the published set gives 975 wires without a body the next wire's, which
    costs 8 points of accuracy; ``text="as_published"`` does the same. ``source="keras"`` takes the
    archive that Keras loads, id for id.

    Args:
        data_dir: Folder of the reference sets, with ``reuters21578/reuters21578.tar.gz`` or
            ``reuters.npz``; default: ``DLP_DATA_DIR``, else a folder per user.
        source: ``raw`` for the text, ``keras`` for the archive (words ranked over all wires).
        text: ``own`` for each wire's own text (its body, else its title); ``as_published`` to pair
            wires and texts, and leave entities, as the published set does (as ``source="keras"``
            has them in any case).
        one_hot: Give classes as one-hot rows.
        split_seed: Shuffle before any cut; null keeps the book's order: the first rows validate.
    """

    own_data = False
    defaults: ClassVar[TextArguments] = {
        "batch_size": 512,
        "val_size": 1000,
        "split_seed": None,
    }

    def __init__(
        self,
        data_dir: str | None = None,
        source: Literal["raw", "keras"] = "raw",
        text: TextChoice = "own",
        one_hot: bool = False,
        **arguments: Unpack[TextArguments],
    ) -> None:
        if source not in ("raw", "keras"):
            raise unknown("source", source, ["raw", "keras"])
        if text not in ("own", "as_published"):
            raise unknown("text", text, ["own", "as_published"])
        folder = str(find_data_dir(data_dir))
        is_keras = source == "keras"
        names = CLASS_NAMES if is_keras else None
        super().__init__(
            source=KerasArchive("reuters", folder) if is_keras else ReutersArchive(folder, text),
            columns=TextColumns("text"),
            targets=TargetEncoder("classification", names, one_hot),
            **arguments,
        )


# The distribution: 22 SGML files, read as the book's set was made from them ----------------------


@dataclass(frozen=True)
class ReutersDownload(Download):
    """The distribution's archive, checked file by file."""

    @property
    def expected(self) -> str:
        """What the archive must hold, in words."""
        return f"with {len(SHA256)} files reut2-0NN.sgm of known SHA-256"

    def check(self, path: Path, name: Path) -> None:
        """Raise an InputError that speaks of `name` if `path` lacks one of the files."""
        read_members(path, name)


def read_members(path: Path, name: Path) -> list[str]:
    """Return the text of each .sgm file in an archive, in order (ISO 8859-1).

    Nothing is extracted.

    Raises:
        InputError: A file is missing or is not the distribution's; the message speaks of `name`.
    """
    texts = []
    advice = f"The archive is corrupt or truncated: delete {name} if it is there, and run again."
    try:
        with tarfile.open(path) as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}
            for number, expected in enumerate(SHA256):
                file = f"reut2-{number:03}.sgm"
                stream = archive.extractfile(members[file]) if file in members else None
                content = b"" if stream is None else stream.read()
                found = hashlib.sha256(content).hexdigest()
                if found != expected:
                    raise InputError(
                        f"{file} in {name} is {'another file' if stream else 'missing'}: SHA-256 "
                        f"{found}, expected {expected}. {advice}"
                    )
                texts.append(content.decode("latin-1"))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"cannot read {name} ({error}). {advice}") from error
    return texts


def labelled_wires(sgml: str, text: TextChoice) -> Iterator[tuple[str, str]]:
    """Yield (first topic, text) of each wire of a file that has a topic.

    ``own``: the wire's BODY, else its TITLE, else what its TEXT holds, entities unescaped.
    ``as_published``: what follows the next <BODY> from its topics on, entities as they stand. The
    script behind Keras's archive did so: a wire without BODY got the next one's.
    """
    for match in _WIRE.finditer(sgml):
        wire = match.group()
        topics = _TOPIC.findall(_element(wire, "TOPICS") or "")
        if not topics:
            continue
        if text == "as_published":
            yield topics[0], _element(sgml, "BODY", match.start()) or ""
        else:
            own = _element(wire, "BODY") or _element(wire, "TITLE")
            yield topics[0], html.unescape(own or _TAG.sub(" ", wire[wire.find("<TEXT") :]))


def _element(sgml: str, name: str, start: int = 0) -> str | None:
    """Return what stands in the first element `name` from `start` on; None if there is none."""
    begin = sgml.find(f"<{name}>", start)
    if begin < 0:
        return None
    begin += len(name) + 2
    return sgml[begin : sgml.find(f"</{name}>", begin)]


@dataclass(frozen=True)
class ReutersArchive:
    """The book's Reuters set, made from the distribution: 11,228 wires, 46 topics.

    Of the wires with a topic the first topic counts; topics of at least 15 wires are kept and
    numbered by first appearance; the order is that of ``keras.datasets``, 80 % train.

    Args:
        folder: Where ``reuters21578/reuters21578.tar.gz`` lies, or is downloaded to.
        text: Which text a wire gets, see `labelled_wires`.
    """

    folder: str
    text: TextChoice

    @cached_property
    def key(self) -> str:
        """What stands for the content: the hashes the files must have, and the text chosen."""
        return source_key("reuters21578", SHA256, self.text)

    def build(self, sample_size: int | None = None, folder: Path | None = None) -> TextParts:
        """Return the tokenised parts ``train`` and ``test``.

        Raises:
            InputError: The archive cannot be downloaded, or is not the distribution's.
        """
        path = Path(self.folder) / "reuters21578" / "reuters21578.tar.gz"
        if not path.exists():
            ReutersDownload(URL).fetch(path)
        wires = [
            wire for sgml in read_members(path, path) for wire in labelled_wires(sgml, self.text)
        ]
        counts = Counter(topic for topic, _ in wires)
        wires = [(topic, text) for topic, text in wires if counts[topic] >= MIN_WIRES]
        names = list(dict.fromkeys(topic for topic, _ in wires))
        labels = np.array([names.index(topic) for topic, _ in wires], np.int64)
        order = keras_order(len(wires))
        cut = int(len(wires) * 0.8)
        parts = {}
        for part, rows in (("train", order[:cut]), ("test", order[cut:])):
            if sample_size is not None:
                rows = rows[sample_rows(labels[rows], len(rows), sample_size)]
            corpus = Corpus.from_texts((wires[row][1] for row in rows), total=len(rows))
            corpus = replace(corpus, class_names=names)
            parts[part] = Examples(corpus.texts(), labels[rows], corpus.hashes)
        return parts
