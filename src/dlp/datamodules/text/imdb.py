"""IMDB: 50,000 film reviews that are positive or negative (chapter 3.4)."""

from typing import Literal

from dlp.datamodules.base import LabelledParts
from dlp.datamodules.splits import Size, keras_order
from dlp.datamodules.targets import TargetEncoder
from dlp.datamodules.text.sources import TextFiles
from dlp.datamodules.text.text import BaseTextDataModule, TextArguments
from dlp.files import AnyPath, find_data_dir
from dlp.hyperparameters import Keywords

#: Data set on the Hugging Face Hub, at the commit of the files in the reference sets.
HUB = "hub:stanfordnlp/imdb@e6281661ce1c48d982bc483cf8a173c1bbeb5d31"


class IMDBDataModule(BaseTextDataModule):
    """Film reviews: 25,000 for training and 25,000 for the test. Half of them are positive.

    The texts come from ``stanfordnlp/imdb`` on the Hugging Face Hub and are put into the book's
    order. Their vocabulary differs slightly from that in the archive that Keras loads. Source: Maas
    et al. 2011, "Learning Word Vectors for Sentiment Analysis".

    Args:
        data_dir: Folder of the reference sets. Its subfolder ``imdb`` has the files of the Hub; if
            it does not exist, they are downloaded. None means ``DLP_DATA_DIR``, or a folder in the
            user's cache if that is not set.
        source: Only ``raw`` is accepted. It is kept because configs written by dlp 1.1 contain it.
        batch_size: Number of rows per training batch.
        val_size: Number or fraction of validation rows. None means no validation.
        split_seed: Seed of the shuffle. None keeps the book's order, in which the first rows of the
            training reviews are the validation part.
        **split: See `BaseTextDataModule`.
    """

    def __init__(
        self,
        data_dir: AnyPath | None = None,
        source: Literal["raw"] = "raw",
        batch_size: int = 512,
        val_size: Size = 10_000,
        split_seed: int | None = None,
        **split: Keywords[TextArguments],
    ) -> None:
        path = HUB
        folder = find_data_dir(data_dir) / "imdb"
        if folder.is_dir():
            path = str(folder)
        super().__init__(
            files=TextFiles(path, {"text": "text", "label0": "label"}),
            targets=TargetEncoder("classification", ["neg", "pos"]),
            batch_size=batch_size,
            val_size=val_size,
            split_seed=split_seed,
            **split,
        )
        self.save_arguments(locals())

    def load(self) -> LabelledParts:
        """Return both parts in the book's order."""
        parts = super().load()  # the Hub's files are sorted by class
        return {part: rows.take(keras_order(len(rows))) for part, rows in parts.items()}
