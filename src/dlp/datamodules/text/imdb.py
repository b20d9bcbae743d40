"""IMDB: 50,000 film reviews, positive or negative (section 3.4 of the book)."""

from typing import ClassVar, Literal, Unpack

from dlp.datamodules.base import Examples
from dlp.datamodules.splitting.splits import keras_order
from dlp.datamodules.targets import TargetEncoder
from dlp.datamodules.text.base import BaseTextDataModule, TextArguments
from dlp.datamodules.text.columns import TextColumns
from dlp.datamodules.text.keras_archives import KerasArchive
from dlp.datamodules.text.sources import TextFiles
from dlp.errors import InputError, unknown
from dlp.files import data_dir as find_data_dir

HUB_NAME = "stanfordnlp/imdb"
CLASS_NAMES = ["neg", "pos"]


class IMDBDataModule(BaseTextDataModule):
    """The film reviews of section 3.4: 25,000 to train on, 25,000 to test on, half positive.

    The text comes from the Hub (``stanfordnlp/imdb``), in the book's shuffled order: vocabulary
    and order of the reviews differ slightly from the archive that Keras loads, which
    ``source="keras"`` gives id for id. Large Movie Review Dataset v1.0, Maas et al. 2011,
    "Learning Word Vectors for Sentiment Analysis".

    Args:
        data_dir: Folder of the reference sets, with ``imdb`` (the Hub's files) or ``imdb.npz``;
            default: ``DLP_DATA_DIR``, else a folder per user.
        source: ``raw`` for the text, ``keras`` for the archive (words ranked over all reviews).
        one_hot: Give classes as one-hot rows.
        split_seed: Shuffle before any cut; null keeps the book's order: the first rows validate.
    """

    own_data = False
    defaults: ClassVar[TextArguments] = {
        "batch_size": 512,
        "val_size": 10_000,
        "split_seed": None,
    }

    def __init__(
        self,
        data_dir: str | None = None,
        source: Literal["raw", "keras"] = "raw",
        one_hot: bool = False,
        **arguments: Unpack[TextArguments],
    ) -> None:
        if source not in ("raw", "keras"):
            raise unknown("source", source, ["raw", "keras"])
        self.data_dir = find_data_dir(data_dir)
        local = self.data_dir / "imdb"
        path = str(local) if local.is_dir() else HUB_NAME
        reviews = TextFiles(path, TextColumns("text", ("label",)), offline=f"name it {local}")
        archive = KerasArchive("imdb", str(self.data_dir))
        super().__init__(
            source=archive if source == "keras" else reviews,
            columns=TextColumns("text"),
            targets=TargetEncoder("classification", CLASS_NAMES, one_hot),
            **arguments,
        )

    def load_train(self) -> Examples:
        """Return the training reviews in the book's order."""
        return self._part("train")

    def load_test(self) -> Examples:
        """Return the test reviews in the book's order."""
        return self._part("test")

    def _part(self, name: Literal["train", "test"]) -> Examples:
        parts = self.parts(self.source)
        if name not in parts:
            raise InputError(
                f"{self.data_dir / 'imdb'} has no {name} part: it must hold the files of "
                f"{HUB_NAME} on the Hub. Complete it, or remove it to read them from there."
            )
        part = self.labelled(parts[name])
        if isinstance(self.source, KerasArchive):  # it comes in the book's order
            return part
        order = keras_order(part.count)  # the Hub's files are sorted by label
        return part.chosen(order, part.rows[order])
