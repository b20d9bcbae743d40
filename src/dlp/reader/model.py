"""Model that predicts rows as people have them, also one that was exported."""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .array import ArrayReader
from .image import ImageReader
from .rows import Reader, ReaderError, Spec
from .spec import ModelSpec
from .table import TableReader
from .text import TextReader

_BATCH_SIZE = 256
_ROWS_OF_TABLES = 4096
_READERS: dict[str, type[Reader]] = {
    "dlp.reader.array.ArrayReader": ArrayReader,
    "dlp.reader.image.ImageReader": ImageReader,
    "dlp.reader.table.TableReader": TableReader,
    "dlp.reader.text.TextReader": TextReader,
}


class ExternalReader(Reader):
    """Reader by a class outside of the project, as the spec names it.

    Its module is imported by the program: a model imports nothing and calls only readers. The copy
    of this package in an export imports a module that lies beside it.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        path = spec["reader"]
        module, _, name = path.rpartition(".")
        if __package__ == "reader":
            module = module.rpartition(".")[2]
            if Path(__file__).parents[1].joinpath(f"{module}.py").is_file():
                import_module(module)
        cls: Any = getattr(sys.modules.get(module), name, None)
        if not isinstance(cls, type) or "__call__" not in dir(cls):
            raise ValueError(f"the rows are read by {path}; import {module} first.")
        self.read: Any = cls(spec)

    def __call__(self, rows: Any) -> list[Any]:
        """Encode rows."""
        return list(self.read(rows))


class Model:
    """Network with the reader of its rows and the steps of its answer.

    Args:
        spec: Description of the trained model.
        run: Function from the arrays of a reader to probabilities (N, C) or values (N, T).
    """

    def __init__(self, spec: ModelSpec, run: Callable[[list[Any]], Any]) -> None:
        self.spec = spec
        reader = _READERS.get(spec.inputs["reader"], ExternalReader)
        self.reader = reader(spec.inputs)
        self.read: Callable[[Any], list[Any]] = self.reader
        self.run = run
        #: Checkpoint of an exported model: ``path`` and ``sha256``; empty before 1.2.1.
        self.source: dict[str, str] = {}

    def scores(self, rows: Any) -> Any:
        """Return probabilities (N, C) or values (N, T).

        Raises:
            ReaderError: If a row cannot be read.
        """
        batches = []
        size = _ROWS_OF_TABLES if self.reader.form == "columns" else _BATCH_SIZE
        for start in range(0, max(1, len(rows)), size):
            end = start + size
            try:
                arrays = self.read(rows[start:end])
            except ValueError as error:
                raise self._refusal(rows[:end], error) from error
            except RecursionError as error:
                raise ReaderError("a row is nested too deeply.") from error
            batches.append(self.run(arrays))
        return np.concatenate(batches)

    def _refusal(self, rows: Any, error: ValueError) -> ReaderError:
        """Return the refusal of rows; read from the first one on, they have their numbers."""
        try:
            self.read(rows)
        except ValueError as numbered:
            error = numbered
        return ReaderError(str(error))


def load_exported(path: Path) -> Model:
    """Load an exported model."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it counts before the import alone
    import onnxruntime

    def run(arrays: list[Any]) -> Any:
        inputs = dict(zip(names, arrays, strict=True))
        [scores] = session.run(None, inputs)
        return scores

    try:
        options = onnxruntime.SessionOptions()
        session = onnxruntime.InferenceSession(path, options)
        metadata = session.get_modelmeta().custom_metadata_map
        content = json.loads(metadata["dlp"])
        if content["inputs"]["kind"] == "table":  # a second thread takes longer to wait
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, options)
        names = [node.name for node in session.get_inputs()]
        if content["format"] == 1 and content["inputs"].get("categories"):
            raise ValueError("its own predict.py reads it; export the run again")
        model = Model(ModelSpec.from_dict(content), run)
        model.source = json.loads(metadata.get("dlp_checkpoint", "{}"))
        return model
    except Exception as error:  # a damaged file fails in many ways
        raise ReaderError(f"{path} cannot be read as an exported model ({error!r}).") from error
