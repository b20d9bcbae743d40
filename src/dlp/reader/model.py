"""Model that predicts rows as people have them, also one that was exported."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .encoder import AnyEncoder, Array, Bags, Encoded
from .rows import ReaderError
from .spec import ModelSpec, build_encoder

_BATCH_SIZE = 256
_ROWS_OF_TABLES = 4096


class Model:
    """Network with the encoder of its rows and the steps of its answer.

    Args:
        spec: Spec of the trained model.
        encoder: Encoder of the rows, which has learned.
        run: Function from encoded rows to probabilities (N, C) or values (N, T).
    """

    def __init__(
        self, spec: ModelSpec, encoder: AnyEncoder, run: Callable[[Encoded], Array]
    ) -> None:
        self.spec = spec
        self.encoder = encoder
        self.run = run
        #: Checkpoint of an exported model: ``path`` and ``sha256``.
        self.source: dict[str, str] = {}

    @property
    def is_run_by_one_thread(self) -> bool:
        """Whether one thread is the fastest: for tables, a second one takes longer to wait."""
        return self.encoder.kind == "table"

    def scores(self, rows: Any) -> Array:
        """Return probabilities (N, C) or values (N, T).

        Raises:
            ReaderError: If a row cannot be read.
        """
        batches = []
        size = _ROWS_OF_TABLES if self.encoder.form == "columns" else _BATCH_SIZE
        for start in range(0, max(1, len(rows)), size):
            end = start + size
            try:
                encoded = self.encoder.transform(rows[start:end])
            except ValueError as error:
                raise self._refusal(rows[:end], error) from error
            except RecursionError as error:
                raise ReaderError("a row is nested too deeply.") from error
            batches.append(self.run(encoded))
        return np.concatenate(batches)

    def _refusal(self, rows: Any, error: ValueError) -> ReaderError:
        """Return the refusal of rows: all are encoded again, so that it counts from the first."""
        try:
            self.encoder.transform(rows)
        except ValueError as numbered:
            error = numbered
        return ReaderError(str(error))


def load_exported(path: Path) -> Model:
    """Load an exported model."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it has an effect only before the import
    import onnxruntime

    def run(encoded: Encoded) -> Array:
        if isinstance(encoded, Bags):
            encoded = encoded.to_dense(width)
        [scores] = session.run(None, {name: encoded})
        return np.asarray(scores)

    try:
        options = onnxruntime.SessionOptions()
        session = onnxruntime.InferenceSession(path, options)
        metadata = session.get_modelmeta().custom_metadata_map
        content = json.loads(metadata["dlp"])
        spec = ModelSpec.from_dict(content)
        model = Model(spec, build_encoder(spec.encoder), run)
        if model.is_run_by_one_thread:
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, options)
        [name] = [node.name for node in session.get_inputs()]
        width = model.encoder.input_shape_[0]
        model.source = json.loads(metadata.get("dlp_checkpoint", "{}"))
        return model
    except ReaderError as error:
        raise type(error)(f"{path} cannot be read as an exported model: {error}") from error
    except ModuleNotFoundError as error:  # of the encoder
        raise ReaderError(
            f"{path} needs the package {error.name}. Install it: pip install {error.name}."
        ) from error
    except Exception as error:  # a damaged file fails in many ways
        raise ReaderError(
            f"{path} cannot be read as an exported model: it is damaged or another kind of file. "
            "Export the model again."
        ) from error
