"""IMDB: 50,000 film reviews, positive or negative (chapter 3.4)."""

import os
from functools import partial
from pathlib import Path

import numpy as np

from dlp.cache import cached_file, crc32
from dlp.datamodules.base import Examples, SplitArguments, SupervisedDataModule
from dlp.datamodules.duplicates import row_hashes
from dlp.datamodules.splits import keras_order
from dlp.datamodules.targets import TargetEncoder
from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.encoding import BagEncoder, Encoding
from dlp.datamodules.text.tokens import spaced_words
from dlp.errors import MissingInputError
from dlp.files import data_dir as find_data_dir
from dlp.keywords import Keywords


class IMDBDataModule(SupervisedDataModule):
    """Film reviews: 25,000 for training, 25,000 for the test, half of them positive.

    The texts are those of ``stanfordnlp/imdb`` on the Hub, in the book's order. Source: Maas et al.
    2011, "Learning Word Vectors for Sentiment Analysis".

    Args:
        data_dir: Folder of the reference sets; None is ``DLP_DATA_DIR``, else the per-user cache.
        num_words: Upper bound of the word ids: the most frequent ``num_words - 4`` words are kept.
        encoding: Values of the rows.
        one_hot: Whether classes are encoded as float32 (N, 2).
        batch_size: Number of rows per training batch.
        eval_batch_size: Number of rows per other batch.
        val_size: Size of the validation part: a number of rows, a fraction, or None for no
            validation.
        split_seed: Seed of the shuffle; None keeps the book's order: the first rows validate.
        **split: See `SupervisedDataModule`.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        num_words: int | None = 10000,
        encoding: Encoding = "multi_hot",
        one_hot: bool = False,
        batch_size: int = 512,
        eval_batch_size: int = 16384,
        val_size: int | float | None = 10_000,
        split_seed: int | None = None,
        **split: Keywords[SplitArguments],
    ) -> None:
        arguments = dict(locals())
        super().__init__(
            encoder=BagEncoder(num_words, encoding=encoding),
            targets=TargetEncoder("classification", ["neg", "pos"], one_hot=one_hot),
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            val_size=val_size,
            split_seed=split_seed,
            **split,
        )
        self.folder = find_data_dir(data_dir) / "imdb" / "plain_text"
        self.save_plain_arguments(arguments)

    def load(self) -> dict[str, Examples]:
        """Return both parts in the book's order; the Hub's files are sorted by class."""
        return {part: self._load_part(part) for part in ("train", "test")}

    def _load_part(self, part: str) -> Examples:
        path = self.folder / f"{part}-00000-of-00001.parquet"
        if not path.is_file():
            raise MissingInputError(f"there is no file {path}. Set DLP_DATA_DIR.")  # TODO: the Hub
        name = f"texts/imdb-{part}-{crc32(path)}.arrow"
        texts = cached_file(name, partial(_tokenise, path), Texts.load)
        texts = texts[keras_order(len(texts))]
        return Examples(texts, texts.column("target"), hashes=texts.column("hash"))


def _tokenise(parquet: Path, path: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(parquet)
    reviews = table["text"].to_pylist()
    hashes = row_hashes(review.encode() for review in reviews)
    targets = table["label"].to_numpy().astype(np.int64)
    Texts.tokenise(reviews, spaced_words, target=targets, hash=hashes).save(path)
