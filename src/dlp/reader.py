"""Read rows as people have them, and predict them with an exported model.

The file stands alone: beside ``model.onnx`` it needs numpy, onnxruntime and, for images, Pillow.

    python predict.py "a film to remember" "a bore"
    python predict.py rows.csv
    python predict.py cat.jpg dog.jpg

Rows of all kinds can also stand in a JSON file, arrays in a file of NumPy.
"""

import csv
import json
import os
import re
import sys
import unicodedata
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from io import BytesIO
from itertools import compress, pairwise
from pathlib import Path
from typing import Any

import numpy as np

_TABLES = (".csv", ".tsv", ".txt")
_CSV_OPTIONS = {
    "sep",
    "encoding",
    "decimal",
    "thousands",
    "na_values",
    "dtype",
    "parse_dates",
    "date_format",
}
_IMAGES = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
#: Ids of no word: 0 pads, 1 starts each text, 2 is an unknown word, 3 is unused. The most frequent
#: word has id 4.
START = 1
UNKNOWN = 2
FIRST_WORD = 4
_JOINT = "\u2581"  # of pairs; of characters it is the space
#: ASCII's marks, then quotes, dashes and marks of word processors and of other scripts.
_MARKS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'
_MARKS += (
    "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u201a\u2013\u2014\u2015\u2010\u2011\u2026"
    "\u00b7\u2022\u00a1\u00bf\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1b\uff1a\uff08\uff09\u300c"
    "\u300d\u300e\u300f\u3010\u3011\u300a\u300b\u200b\ufeff"
)
_LETTERS = {"\u2019": "'", "\u2018": "'", "\u00ad": ""}  # apostrophes, soft hyphen
_TO_WORDS = str.maketrans(dict.fromkeys(_MARKS, " ") | _LETTERS)

Spec = Mapping[str, Any]


class Reader(ABC):
    """Reader of rows as people have them; it returns arrays of NumPy with N rows each.

    A page asks for a row in a `form`: ``columns``, ``text``, ``file`` or ``json``.

    Args:
        spec: `Encoder.spec` of the rows.
    """

    form = "json"
    example: Any = None

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @abstractmethod
    def __call__(self, rows: Any) -> list[Any]:
        """Encode rows."""

    def typical(self) -> Any:
        """Return a row as people have it; None if none is known."""
        return self.example

    def fields(self) -> list[dict[str, Any]]:
        """Return name, kind, typical cell and categories of each column."""
        return []


class OwnReader(Reader):
    """Reader by a class of one's own, as the spec names it."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.read = _imported_class(spec["reader"])(spec)

    def __call__(self, rows: Any) -> list[Any]:
        """Encode rows."""
        return list(self.read(rows))


class TextReader(Reader):
    """Reader of texts into counts of word ids, float32 (N, num_words)."""

    form = "text"
    example = "a text"

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.ids = {word: id for id, word in enumerate(spec["words"], FIRST_WORD)}

    def __call__(self, rows: Sequence[Any]) -> list[Any]:
        """Count the ids of texts, or of rows of a table with a column of texts."""
        counts = np.zeros((len(rows), self.spec["num_words"]), np.float32)
        for count, row in zip(counts, rows, strict=True):
            text = row
            if isinstance(row, Mapping):
                text = row.get(self.spec["column"])
            if not isinstance(text, str):
                raise ValueError(f"a row is a text, not {row!r:.80}.")
            ids = [START]
            tokens = tokenise(text, self.spec["tokens"], self.spec["ngrams"])
            ids += [self.ids.get(token, UNKNOWN) for token in tokens]
            ids = ids[: self.spec["max_length"]]
            if max(ids) <= UNKNOWN:
                warnings.warn(f"no word of the training texts in {text!r:.80}", stacklevel=4)
            np.add.at(count, ids, 1)
        if self.spec["encoding"] == "multi_hot":
            counts = counts.clip(max=1)  # an export of version 1.0 takes them so
        return [counts]


def tokenise(text: str, tokens: str = "words", ngrams: int = 1) -> list[str]:
    """Return the words of a text, or its characters, in lower case.

    Marks are between words, apostrophes belong to them. White space among characters is
    ``\u2581``, which also joins the pairs of neighbours that ``ngrams=2`` adds.
    """
    text = text.encode(errors="replace").decode()  # half an emoji
    text = unicodedata.normalize("NFC", text).lower()
    if tokens == "characters":
        singles = list(_JOINT.join(text.split()))
    else:
        singles = text.translate(_TO_WORDS).split()
    if ngrams == 1:
        return singles
    terms = singles[:1]
    for previous, token in pairwise(singles):
        terms += [f"{previous}{_JOINT}{token}", token]
    return terms


class TableReader(Reader):
    """Reader of rows into numbers, float64 (N, K), and codes of categories, int64 (N, C).

    A missing number is NaN; the code of a category that was not in training is -1.
    """

    form = "columns"

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.csv = spec.get("read_csv") or {}
        self.numbers = list(dict.fromkeys([*spec["scales"], *spec["indicators"]]))

    def __call__(self, rows: Sequence[Any]) -> list[Any]:
        """Encode rows, dictionaries by column."""
        numbers = [self._cells(rows, name, np.nan) for name in self.numbers]
        codes = []
        for name, categories in self.spec["categories"].items():
            places = {text: code for code, text in enumerate(categories)}
            texts = self._cells(rows, name, "")
            unseen = sorted(set(texts) - set(places))
            if unseen:
                warnings.warn(f"column {name!r}: unseen in training: {unseen[:5]}", stacklevel=4)
            codes.append([places.get(text, -1) for text in texts])
        return [
            np.array(numbers, np.float64).reshape(-1, len(rows)).T,
            np.array(codes, np.int64).reshape(-1, len(rows)).T,
        ]

    def typical(self) -> dict[str, Any]:
        """Return a typical cell of each column; dates have the format of the training table."""
        row = dict(self.spec["typical"])
        for name in self.spec["dates"]:
            if row.get(name):
                date = datetime.fromisoformat(row[name])
                row[name] = date.strftime(self._date_format(name) or "%Y-%m-%d")
        return row

    def fields(self) -> list[dict[str, Any]]:
        """Return name, kind, typical cell and categories of each column."""
        fields = []
        for name, cell in self.typical().items():
            categories = self.spec["categories"].get(name)
            kind = "text" if isinstance(cell, str) else "number"
            if name in self.spec["dates"]:
                kind = "date"
            elif categories:
                kind = "category"
            field = {
                "name": name,
                "kind": kind,
                "typical": cell,
                "categories": categories,
            }
            fields.append(field)
        return fields

    def _cells(
        self,
        rows: Sequence[Any],
        name: str,
        hole: Any,
    ) -> list[Any]:
        """Return the converted cells of a column, and `hole` for missing ones."""
        holes = self._option("na_values", name)
        if holes is None:
            holes = []
        elif not isinstance(holes, list):
            holes = [holes]
        empty = ["", *map(str, holes)]
        cells = []
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise ValueError(f"a row is a dictionary by column, not {row!r:.80}.")
            if name not in row:
                names = ", ".join(self.numbers + list(self.spec["categories"]))
                raise ValueError(f"column {name!r} is absent; the model takes {names}.")
            cell = row[name]
            is_missing = cell is None or cell != cell or cell in empty
            value = None
            if not is_missing:
                try:
                    value = self._convert(name, cell)
                except (ValueError, TypeError, OverflowError, AttributeError) as error:
                    raise ValueError(
                        f"column {name!r} of row {number} takes {self._accepted(name)}, not "
                        f"{cell!r:.80}."
                    ) from error
            if value is None or (isinstance(cell, str) and value in holes):  # -999 is -999.0
                if self.spec["missing"] == "error":
                    raise ValueError(f"column {name!r} of row {number} is missing; fill it in.")
                value = hole
            cells.append(value)
        return cells

    def _accepted(self, name: str) -> str:
        """Return what the cells of a column are."""
        if name in self.spec["dates"]:
            return f"dates {self._date_format(name) or 'by ISO 8601'}"
        if name in self.numbers:
            return "finite numbers"
        return "single cells"

    def _convert(self, name: str, cell: Any) -> Any:
        """Return a number, or the text of a category."""
        is_number = name in self.numbers
        if name in self.spec["dates"]:
            form = self._date_format(name)
            if form is None or not isinstance(cell, str):
                date = datetime.fromisoformat(str(cell))
            else:
                date = datetime.strptime(cell, form)
            return _days(date) if is_number else str(date)
        if is_number:
            return number(cell, self.csv)
        hash(cell)  # a TypeError of lists and dictionaries
        return re.sub(r"^(-?\d+)\.0$", r"\1", str(cell))  # holes make floats of whole numbers

    def _option(
        self,
        argument: str,
        name: str,
    ) -> Any:
        """Return an argument of ``pandas.read_csv`` for a column."""
        value = self.csv.get(argument)
        if isinstance(value, Mapping):
            return value.get(name)
        return value

    def _date_format(self, name: str) -> str | None:
        """Return the format of a column of dates; None is ISO 8601."""
        form = self._option("date_format", name)
        return None if form == "ISO8601" else form


class ImageReader(Reader):
    """Reader of image files, their content or Pillow images, uint8 (N, H, W, C)."""

    form = "file"
    example = "a.jpg"

    def __call__(self, rows: Sequence[Any]) -> list[Any]:
        """Decode images."""
        shape = [self.spec[name] for name in ("height", "width", "channels")]
        pixels = np.zeros([len(rows), *shape], np.uint8)
        reasons = []
        for number, source in enumerate(rows):
            try:
                pixels[number] = read_image(source, self.spec)
            except Exception as error:  # decoders fail on damaged files in every way
                name = source if isinstance(source, str | Path) else f"image {number}"
                reason = str(error).partition(" <")[0] or type(error).__name__
                reasons.append(f"{name} ({reason})")
        if reasons:
            count = f"{len(reasons):,} of {len(rows):,} images cannot be read"
            raise ValueError(f"{count}: {', '.join(reasons[:10])}.")
        return [pixels]


class ArrayReader(Reader):
    """Reader of an array, float64 (N, ...), of finite numbers."""

    def __call__(self, rows: Any) -> list[Any]:
        """Return the array."""
        try:
            array = np.asarray(rows, np.float64)
        except (ValueError, TypeError) as error:
            raise ValueError(f"a row is an array of numbers: {error}.") from error
        shape = self.spec.get("shape")
        if shape and list(array.shape[1:]) != list(shape):
            raise ValueError(f"a row has the shape {list(shape)}, not {list(array.shape[1:])}.")
        if not np.isfinite(array).all():
            raise ValueError("a row holds missing or infinite numbers.")
        return [array]


def reader_of(spec: Spec) -> Reader:
    """Return the reader that a spec names; one of version 1.0 names the kind alone."""
    path = spec.get("reader", f"{spec['kind'].title()}Reader")
    readers = {reader.__name__: reader for reader in Reader.__subclasses__()}
    return readers.get(path.removeprefix("dlp.reader."), OwnReader)(spec)


def _imported_class(path: str) -> Any:
    """Return a class whose module is imported: a model imports nothing and calls only readers.

    This file, run as predict.py, imports a module that lies beside it.
    """
    module, _, name = path.rpartition(".")
    if __name__ == "__main__":
        module = module.rpartition(".")[2]
        if Path(__file__).with_name(f"{module}.py").is_file():
            import_module(module)
    cls = getattr(sys.modules.get(module), name, None)
    if not isinstance(cls, type) or "__call__" not in vars(cls):
        raise ValueError(f"the rows are read by {path}; import {module} first.")
    return cls


class Model:
    """Network with the reader of its rows.

    Args:
        entry: Entry ``use`` of the checkpoint.
        run: Function from the arrays of a reader to probabilities (N, C) or values (N, T).
    """

    def __init__(
        self,
        entry: Mapping[str, Any],
        run: Callable[[list[Any]], Any],
    ) -> None:
        self.inputs = entry["inputs"]
        self.head = entry["head"]
        self.card = entry["card"]
        self.reader = reader_of(self.inputs)
        self.read: Callable[[Any], list[Any]] = self.reader
        self.run = run

    def scores(self, rows: Any, batch_size: int = 256) -> Any:
        """Return probabilities (N, C) or values (N, T)."""
        batches = []
        for start in range(0, max(1, len(rows)), batch_size):
            arrays = self.read(rows[start : start + batch_size])
            batches.append(self.run(arrays))
        return np.concatenate(batches)

    def check(self) -> None:
        """Predict a typical row, if one is known, by which an altered entry fails."""
        row = self.reader.typical()
        if self.reader.form == "file":
            from PIL import Image

            row = Image.new("RGB", (1, 1))
        if row is not None:
            with warnings.catch_warnings(action="ignore"):
                answer(self.scores([row]), self.head)


def load(path: Path) -> Model:
    """Load an exported model."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it counts before the import alone
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(path)
        entry = json.loads(session.get_modelmeta().custom_metadata_map["dlp"])
        names = [node.name for node in session.get_inputs()]
        spec = entry["inputs"]
        is_other = "tfidf" in spec.get("encoding", "")  # these took other arrays in version 1.0
        is_other |= any(scale["quantiles"] for scale in spec.get("scales", {}).values())
        if is_other and "reader" not in spec:
            raise ValueError("exported by dlp 1.0; export its run anew")

        def run(arrays: list[Any]) -> Any:
            inputs = dict(zip(names, arrays, strict=True))
            [scores] = session.run(None, inputs)
            return scores

        model = Model(entry, run)
        model.check()
    except ImportError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise ValueError(f"{path} cannot be read as an exported model ({error!r}).") from error
    return model


def decide(
    probabilities: Any,
    threshold: float = 0.5,
    is_multilabel: bool = False,
) -> Any:
    """Return the predicted class of each row of probabilities (N, C), (N,), or its labels (N, C).

    Class 1 of two, and a label, must exceed the threshold; of more classes the likeliest is taken.
    """
    if is_multilabel:
        return probabilities > threshold
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] > threshold).astype(np.int64)
    return probabilities.argmax(axis=1)


def answer(
    scores: Any,
    head: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the columns of predictions: ``class`` and ``prob_<class>``, or a column per value.

    Those of `prediction_sets` follow.
    """
    names = head["names"]
    if head["prediction"] == "values":
        columns = dict(zip(names, scores.T, strict=True))
        return columns | prediction_sets(scores, head)
    is_multilabel = head["task"] == "multilabel"
    decided = decide(scores, head["threshold"], is_multilabel)
    if is_multilabel:
        classes = [";".join(compress(names, labels)) for labels in decided]
    else:
        classes = [names[number] for number in decided]
    columns = {"class": classes}
    for name, probabilities in zip(names, scores.T, strict=True):
        columns[f"prob_{name}"] = probabilities
    return columns | prediction_sets(scores, head)


def prediction_sets(
    scores: Any,
    head: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``low`` and ``high`` of values, or the ``set`` of classes, if ``calibrate`` has run.

    Of several targets they are ``low_<target>`` and ``high_<target>``. The likeliest class is
    always in the set.
    """
    if not np.isfinite(scores).all():
        raise ValueError("the model predicts NaN or infinity for some of these rows.")
    if "quantiles" not in head:
        return {}
    names = head["names"]
    quantiles = head["quantiles"]
    if head["task"]:
        least = np.minimum(quantiles, scores.max(axis=1, keepdims=True))
        return {"set": [";".join(compress(names, row)) for row in scores >= least]}
    forward, backward = scale_of(head["arguments"])
    values = forward(scores)
    low = output_columns("low", backward(values - quantiles), names)
    return low | output_columns("high", backward(values + quantiles), names)


def scale_of(arguments: Mapping[str, Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the functions to the scale on which all intervals have one width, and back."""
    transform = arguments.get("target_transform")
    if transform == "log":
        return np.log, np.exp
    if transform == "log1p":
        return np.log1p, np.expm1
    return np.asarray, np.asarray


def output_columns(name: str, values: Any, names: Sequence[str] | None) -> dict[str, Any]:
    """Return a column per output, with its name unless it is the only one."""
    values = values.reshape(len(values), -1)
    num_columns = values.shape[1]
    if num_columns == 1:
        return {name: values[:, 0]}
    places = names or range(num_columns)
    return {f"{name}_{place}": values[:, number] for number, place in enumerate(places)}


def read_image(source: Any, spec: Spec) -> Any:
    """Read a path, the content of a file or a Pillow image as uint8 (height, width, channels).

    The EXIF orientation is undone, transparent pixels become white, and an animation gives its
    first frame. ``squeeze`` resizes whatever the shape, ``crop`` cuts out the middle.
    """
    from PIL import Image, ImageOps

    size = (spec["width"], spec["height"])
    bilinear = Image.Resampling.BILINEAR
    if isinstance(source, bytes):
        source = BytesIO(source)
    is_read = isinstance(source, Image.Image)
    with nullcontext(source) if is_read else Image.open(source, formats=_IMAGES) as image:
        image.load()
        with suppress(Exception):  # damaged EXIF data of a whole image
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            raise ValueError("16 or more bits per pixel; save it with 8 bits")
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("L" if spec["channels"] == 1 else "RGB")
        if spec["fit"] == "crop":
            image = ImageOps.fit(image, size, bilinear)
        else:
            image = image.resize(size, bilinear)
    return np.array(image, np.uint8).reshape(spec["height"], spec["width"], -1)


def number(cell: Any, options: Mapping[str, Any]) -> float:
    """Return a finite number; its text follows ``decimal`` and ``thousands`` of ``read_csv``."""
    if isinstance(cell, str):
        mark = options.get("thousands")
        decimal = options.get("decimal", ".")
        if mark and mark in cell:
            groups = rf"\s*[-+]?\d{{1,3}}({re.escape(mark)}\d{{3}})+(?!\d).*"
            if not re.fullmatch(groups, cell):
                raise ValueError
            cell = cell.replace(mark, "")
        if "_" in cell or (decimal != "." and "." in cell):  # float takes both
            raise ValueError
        cell = cell.replace(decimal, ".")
        cell = {"true": 1, "false": 0}.get(cell.lower(), cell)
    value = float(cell)
    if not abs(value) < 3.4e38:
        raise ValueError
    return value


def _days(date: datetime) -> float:
    """Return the days since 1970, in UTC unless the date names a zone."""
    date = date.replace(tzinfo=date.tzinfo or UTC)
    return (date - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=1)


def typed_rows(
    words: Sequence[str],
    spec: Spec,
) -> list[Any]:
    """Return the rows in the files that words name; other words are rows themselves."""
    rows: list[Any] = []
    for word in words:
        ending = Path(word).suffix.lower()
        if ending in _TABLES and spec["kind"] != "image":
            rows += _read_csv(word, spec.get("read_csv") or {})
        elif ending == ".json":
            content = json.loads(Path(word).read_text("utf-8"))
            if not isinstance(content, list):
                raise ValueError(f"{word} does not hold a list of rows.")
            rows += content
        elif ending == ".npy":
            rows += list(np.load(word))
        elif spec["kind"] != "image" and os.path.exists(word):  # noqa: PTH110  # or a long text
            raise ValueError(f"{word} is not a file of rows: give a .csv, .tsv, .json or .npy.")
        else:
            rows.append(word)
    return rows


def _read_csv(
    path: str,
    options: Mapping[str, Any],
) -> list[dict[str, str]]:
    """Return the rows of a CSV by column."""
    others = set(options) - _CSV_OPTIONS
    if others:
        raise ValueError(f"predict.py does not know read_csv: {others}; give it rows in JSON.")
    separator = "\t" if path.endswith(".tsv") else ","
    separator = options.get("sep", separator)
    encoding = options.get("encoding", "utf-8-sig")
    with Path(path).open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        lines = [line for line in reader if line]
    if len(lines) < 2:
        raise ValueError(f"{path} has no rows.")
    header = lines[0]
    twins = [name for name in header if header.count(name) > 1]
    if twins:
        raise ValueError(f"{path} has two columns called {twins[0]!r}; rename one.")
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"{path} has rows of different widths.")
    return [dict(zip(header, line, strict=True)) for line in lines[1:]]


def main(words: Sequence[str]) -> None:
    """Print the predictions of typed texts or files as a CSV."""
    model = load(Path(__file__).with_name("model.onnx"))
    rows = typed_rows(words, model.inputs)
    scores = model.scores(rows)
    columns = answer(scores, model.head)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["index", *columns])
    for index, cells in enumerate(zip(*columns.values(), strict=True)):
        texts = [cell if isinstance(cell, str) else f"{cell:.9g}" for cell in cells]
        writer.writerow([index, *texts])


if __name__ == "__main__":
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        sys.exit(__doc__)
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # predict.py rows.csv | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (LookupError, OSError, RecursionError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
