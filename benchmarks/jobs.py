"""What one process of a comparison is asked to do, and how it reads the data: NumPy alone."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Network = Literal["imdb", "reuters", "boston", "mnist", "cats_dogs", "vgg16_head", "vgg16"]


@dataclass(frozen=True)
class Job:
    """One measurement, for the ways of Keras and of Lightning.

    Args:
        network: Which of the book's networks.
        folder: Where `dlp_way.py` has written data, first weights and first batches.
        kind: ``fit`` trains, ``features`` runs the convolutional base, ``input`` reads JPEG files,
            ``check`` takes a few steps on the batches that dlp has taken.
        epochs: Epochs, or passes.
        batch: Rows a batch.
        lr: Learning rate of RMSprop.
        dropout: Rate before (vgg16_head: after) the hidden dense layer.
        bf16: Mixed precision of 16 bits.
        augment: The book's augmentation.
        validates: Whether each epoch validates.
        rows: Rows trained on; None for all.
        workers: Processes of Lightning's DataLoader.
        tuned: What Keras's guides advise where it is slow: several steps in one call, no bar, and
            decoded images kept in memory.
    """

    network: Network
    folder: str
    kind: Literal["fit", "features", "input", "check"] = "fit"
    epochs: int = 1
    batch: int = 512
    lr: float = 1e-3
    dropout: float = 0.0
    bf16: bool = False
    augment: bool = False
    validates: bool = False
    rows: int | None = None
    workers: int = 0
    tuned: bool = False

    def dump(self) -> str:
        """Return the job as one word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, word: str) -> "Job":
        """Return the job that `dump` has written."""
        return cls(**json.loads(word))

    def inputs(self, name: str, channels_first: bool = False) -> NDArray[Any]:
        """Return inputs as float32, images (N, H, W, C): the arrays that the book makes first.

        Args:
            name: Of a part, or of a batch.
            channels_first: Images (N, C, H, W), as torch has them.

        Texts are the book's dense rows of 0 and 1; bytes of images become numbers in [0, 1], and
        what a pretrained base takes is normalised.
        """
        folder = Path(self.folder)
        if (folder / f"{name}_ids.npy").exists():
            ids, offsets = np.load(folder / f"{name}_ids.npy"), np.load(folder / f"{name}_ends.npy")
            texts = np.zeros((len(offsets) - 1, 10000), dtype=np.float32)
            for row in range(len(texts)):
                texts[row, ids[offsets[row] : offsets[row + 1]]] = 1.0
            return texts
        values: NDArray[Any] = np.load(folder / f"{name}.npy")
        if channels_first and values.ndim == 4:  # while they are bytes
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        if values.dtype == np.uint8:
            values = values.astype(np.float32)
            values /= 255
        if self.network == "vgg16":
            shape = (-1, 1, 1) if channels_first else (-1,)
            values -= np.load(folder / "mean.npy").reshape(shape)
            values /= np.load(folder / "std.npy").reshape(shape)
        return values

    def targets(self, name: str) -> NDArray[Any]:
        """Return the targets beside the inputs of a name."""
        values: NDArray[Any] = np.load(Path(self.folder) / f"{name}_targets.npy")
        return values

    def first_weights(self) -> list[NDArray[Any]]:
        """Return kernels and biases as Keras has them, in the order of the layers."""
        found = sorted((Path(self.folder) / "weights").glob("*.npy"))
        return [np.load(path) for path in found]

    def num_checked(self) -> int:
        """Return how many batches were kept for the check."""
        return len([*Path(self.folder).glob("batch*_targets.npy")])
