"""Read rows as people have them, and predict them with an exported model.

The file stands alone: beside ``model.onnx`` it needs numpy, onnxruntime and, for images, Pillow.

    python predict.py "a film to remember" "a bore"
    python predict.py rows.csv
    python predict.py cat.jpg dog.jpg
"""

import csv
import json
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

_CSV = {"sep", "encoding", "decimal", "thousands", "na_values", "dtype"}
_CSV |= {"parse_dates", "date_format"}
_IMAGES = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")


class TextReader:
    """Reader of texts into counts of word ids, float32 (N, num_words)."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.inputs = inputs
        self.ids = {word: id for id, word in enumerate(inputs["words"], 4)}

    def __call__(self, texts: Sequence[str]) -> list[Any]:
        """Count the ids of each text."""
        counts = np.zeros((len(texts), self.inputs["num_words"]), np.float32)
        for row, text in zip(counts, texts, strict=True):
            if not isinstance(text, str):
                raise ValueError(f"a row is a text, not {text!r:.80}.")
            ids = [1]  # the start of a text; 2 is an unknown word
            ids += [self.ids.get(token, 2) for token in self.tokens(text)]
            ids = ids[: self.inputs["max_length"]]
            if max(ids) <= 2:
                warnings.warn(f"no word of the training texts in {text!r:.80}", stacklevel=4)
            np.add.at(row, ids, 1)
        return [counts]

    def tokens(self, text: str) -> list[str]:
        """Return the words of a text, or its characters, and pairs of neighbours."""
        lower = text.encode(errors="replace").decode()  # half an emoji
        lower = unicodedata.normalize("NFC", lower).lower()
        if self.inputs["tokens"] == "characters":
            tokens = list("\u2581".join(lower.split()))
        else:
            lower = lower.replace("\u2019", "'").replace("\u2018", "'").replace("\u00ad", "")
            tokens = list(filter(None, re.split(self.inputs["split"], lower)))
        if self.inputs["ngrams"] == 1:
            return tokens
        terms = tokens[:1]
        for previous, token in pairwise(tokens):
            terms += [f"{previous}\u2581{token}", token]
        return terms


class TableReader:
    """Reader of rows into numbers, float64 (N, K), and codes of categories, int64 (N, C).

    A missing number is NaN; the code of a category that was not in training is -1.
    """

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.inputs, self.csv = inputs, inputs["read_csv"] or {}
        self.numbers = [*dict.fromkeys([*inputs["scales"], *inputs["indicators"]])]

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Encode rows, dictionaries by column."""
        numbers = [np.array(self._column(rows, n, np.nan), np.float64) for n in self.numbers]
        codes = []
        for name, categories in self.inputs["categories"].items():
            places = {text: code for code, text in enumerate(categories)}
            texts = self._column(rows, name, "")
            if unseen := sorted({*texts} - {*places}):
                warnings.warn(f"column {name!r}: unseen in training: {unseen[:5]}", stacklevel=4)
            codes.append([places.get(text, -1) for text in texts])
        blocks = ((numbers, np.float64), (codes, np.int64))
        return [np.array(b, kind).reshape(len(b), len(rows)).T for b, kind in blocks]

    def _column(self, rows: Sequence[Mapping[str, Any]], name: str, hole: Any) -> list[Any]:
        """Return the converted cells of a column, and `hole` for missing ones."""
        if not all(isinstance(row, Mapping) and name in row for row in rows):
            names = ", ".join([*self.numbers, *self.inputs["categories"]])
            raise ValueError(f"column {name!r} is absent; the model takes {names}.")
        is_date, is_number = name in self.inputs["dates"], name in self.numbers
        convert: Callable[[Any], Any] = self._number if is_number else _category
        if is_date:
            convert = self._days if is_number else lambda cell: str(self._date(cell))
        kind = "dates" if is_date else "finite numbers" if is_number else "single cells"
        holes, cells = self.csv.get("na_values"), []
        holes = holes.get(name) if isinstance(holes, Mapping) else holes
        holes = holes if isinstance(holes, list) else [] if holes is None else [holes]
        for number, cell in enumerate(row[name] for row in rows):
            is_text, value = isinstance(cell, str), None
            if not (cell is None or cell != cell or (is_text and cell in {"", *map(str, holes)})):
                try:
                    value = convert(cell)
                except (ValueError, TypeError, OverflowError, AttributeError) as error:
                    given = f"column {name!r} of row {number} takes {kind}, not {cell!r:.80}."
                    raise ValueError(given) from error
            if value is None or (is_text and value in holes):  # -999 is -999.0
                if self.inputs["missing"] == "error":
                    raise ValueError(f"column {name!r} of row {number} is missing; fill it in.")
                value = hole
            cells.append(value)
        return cells

    def _number(self, cell: Any) -> float:
        if isinstance(cell, str):
            cell = cell.replace(self.csv.get("thousands") or "_", "")
            cell = cell.replace(self.csv.get("decimal", "."), ".")
            cell = {"true": 1, "false": 0}.get(cell.lower(), cell)
        number = float(cell)
        if not abs(number) < 3.4e38:
            raise ValueError
        return number

    def _date(self, cell: Any) -> Any:
        form = self.csv.get("date_format")
        if isinstance(cell, str):
            return datetime.strptime(cell, form) if form else datetime.fromisoformat(cell)
        return cell

    def _days(self, cell: Any) -> float:
        """Return the days since 1970."""
        date = self._date(cell)
        if date.tzinfo is not None:
            date = date.astimezone(UTC).replace(tzinfo=None)
        return float((date - datetime(1970, 1, 1)) / timedelta(days=1))


class ImageReader:
    """Reader of image files, their content or Pillow images, uint8 (N, H, W, C)."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.inputs = inputs
        self.shape = tuple(inputs[name] for name in ("height", "width", "channels"))

    def __call__(self, sources: Sequence[Any]) -> list[Any]:
        """Decode images."""
        pixels = np.zeros((len(sources), *self.shape), np.uint8)
        for number, source in enumerate(sources):
            try:
                pixels[number] = read_image(source, self.inputs)
            except Exception as error:  # decoders fail on damaged files in every way
                name = source if isinstance(source, str | Path) else f"image {number}"
                raise ValueError(f"{name} cannot be read as an image.") from error
        return [pixels]


class ArrayReader:
    """Reader of an array, float64 (N, ...), of finite numbers."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        pass

    def __call__(self, rows: Any) -> list[Any]:
        """Return the array."""
        array = np.asarray(rows, np.float64)
        if not np.isfinite(array).all():
            raise ValueError("a row holds missing or infinite numbers.")
        return [array]


def reader_of(inputs: Mapping[str, Any]) -> Any:
    """Return the reader that a spec names: one of this file, or one that is imported.

    Models of 1.0 name the kind alone. A file imports nothing, and calls nothing but readers.
    """
    path = inputs.get("reader", f"{inputs['kind'].title()}Reader")
    module, _, name = path.rpartition(".")
    if module in ("", "dlp.inference.reader"):
        module = __name__
    cls = getattr(sys.modules.get(module), name, None)
    if isinstance(cls, type) and "__call__" in vars(cls):
        return cls(inputs)
    raise ValueError(f"the rows are read by {path}; import {module} first.")


class Model:
    """Network with the reader of its rows.

    Args:
        entry: Entry ``use`` of the checkpoint.
        run: Function from the arrays of a reader to probabilities (N, C) or values (N, T).
    """

    def __init__(self, entry: Mapping[str, Any], run: Callable[[list[Any]], Any]) -> None:
        self.inputs, self.head, self.card = entry["inputs"], entry["head"], entry["card"]
        self.read = reader_of(self.inputs)
        self.run = run

    def scores(self, rows: Any, batch_size: int = 256) -> Any:
        """Return probabilities (N, C) or values (N, T)."""
        starts = range(0, max(1, len(rows)), batch_size)
        batches = [self.run(self.read(rows[start : start + batch_size])) for start in starts]
        return np.concatenate(batches)


def load(path: Path) -> Model:
    """Load an exported model."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it counts before the import alone
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    names = [node.name for node in session.get_inputs()]
    entry = json.loads(session.get_modelmeta().custom_metadata_map["dlp"])
    if entry["inputs"]["kind"] == "text" and "reader" not in entry["inputs"]:
        raise ValueError(f"{path} was exported by dlp 1.0; run its own predict.py or export anew.")
    return Model(entry, lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))[0])


def answer(scores: Any, head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of predictions: ``class`` and ``prob_<class>``, or a column per value."""
    names, threshold = head["names"], head["threshold"]
    if head["prediction"] == "values":
        return dict(zip(names, scores.T, strict=True))
    if head["task"] == "multilabel":
        classes = [";".join(np.array(names, object)[row > threshold]) for row in scores]
    elif head["task"] == "binary":
        classes = [names[number] for number in (scores[:, 1] > threshold).astype(int)]
    else:
        classes = [names[number] for number in scores.argmax(1)]
    return {"class": classes} | {f"prob_{n}": scores[:, i] for i, n in enumerate(names)}


def read_image(source: Any, inputs: Mapping[str, Any]) -> Any:
    """Read a path, the content of a file or a Pillow image as uint8 (height, width, channels).

    The EXIF orientation is undone, transparent pixels become white, and an animation gives its
    first frame. ``squeeze`` resizes whatever the shape, ``crop`` cuts out the middle.
    """
    from PIL import Image, ImageOps

    size, bilinear = (inputs["width"], inputs["height"]), Image.Resampling.BILINEAR
    file = BytesIO(source) if isinstance(source, bytes) else source
    is_read = isinstance(source, Image.Image)
    with nullcontext(source) if is_read else Image.open(file, formats=_IMAGES) as image:
        image.load()
        with suppress(Exception):  # damaged EXIF data of a whole image
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            raise ValueError("16 or more bits per pixel; save it with 8 bits")
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("L" if inputs["channels"] == 1 else "RGB")
        crops = inputs["fit"] == "crop"
        image = ImageOps.fit(image, size, bilinear) if crops else image.resize(size, bilinear)
    return np.array(image, np.uint8).reshape(inputs["height"], inputs["width"], -1)


def _category(cell: Any) -> str:
    """Return the text of a category; 1.0 is 1: holes make floats of whole numbers."""
    hash(cell)  # a TypeError of lists and dictionaries
    return re.sub(r"^(-?\d+)\.0$", r"\1", str(cell))


def _read_csv(path: str, inputs: Mapping[str, Any]) -> list[Any]:
    """Return the rows of a CSV, or its texts."""
    options = inputs["read_csv"] or {}
    if others := {*options} - _CSV:
        raise ValueError(f"predict.py knows read_csv: {_CSV}, not {others}; call predict(rows).")
    encoding = options.get("encoding", "utf-8-sig")
    with Path(path).open(encoding=encoding, newline="") as file:
        separator = options.get("sep", "\t" if path.endswith(".tsv") else ",")
        rows = [*csv.DictReader(file, delimiter=separator)]
    if any(None in row or None in row.values() for row in rows):
        raise ValueError(f"{path} has rows of different widths.")
    return [row[inputs["column"]] for row in rows] if inputs["kind"] == "text" else rows


def main(words: list[str]) -> None:
    """Print the predictions of texts, of CSVs or of images as a CSV."""
    model, rows = load(Path(__file__).with_name("model.onnx")), words
    if model.inputs["kind"] == "table" or words[0].lower().endswith((".csv", ".tsv")):
        rows = [row for path in words for row in _read_csv(path, model.inputs)]
    elif model.inputs["kind"] == "array":
        rows = np.load(words[0])
    columns = answer(model.scores(rows), model.head)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["index", *columns])
    for index, cells in enumerate(zip(*columns.values(), strict=True)):
        writer.writerow([index, *(c if isinstance(c, str) else f"{c:.9g}" for c in cells)])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (LookupError, OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}\n\n{__doc__}")
