"""Guess the encoding of text files that are not UTF-8."""

import codecs
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from dlp.errors import InputError, inline
from dlp.reader.files import open_csv

#: Encodings that are tried, and the scripts that they are for. Windows saves tables in them. If
#: several are equally plausible, the first one is chosen.
_ENCODINGS = {
    "cp1252": "Western European",
    "gb18030": "simplified Chinese",
    "cp950": "traditional Chinese, Big5",
    "cp932": "Japanese, Shift JIS",
    "cp949": "Korean",
    "cp1251": "Cyrillic",
}
#: Control characters that do not occur in text.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1c-\x1f]")
#: A letter or a common sign in cp1252 between two ASCII characters. In Western European text, most
#: characters that are not ASCII occur like this. In other scripts they follow one another.
_LATIN = re.compile(
    rb"(?<![\x80-\xff])[\xc0-\xff\x80\x84\x91-\x94\x96\x97\xa0\xa7\xb0\xb2\xb3\xb5](?![\x80-\xff])"
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_CHUNK = 2**20
_MAX_SAMPLE = 2**18


def settle_encoding(path: Path, names: Collection[str] = ()) -> InputError | None:
    """Return an error for a file that is not UTF-8, or None if it is UTF-8.

    If the encoding can be guessed, the error has the argument that sets it among its fixes.

    Args:
        path: Text file, or a text file that is compressed as .gz.
        names: Words that the file contains, such as the names of its columns. They decide between
            encodings in which the file is plausible text.
    """
    if _decodes(path, "utf-8-sig"):
        return None
    damaged = _damaged_line(path)
    if damaged is not None:
        return InputError(
            f"{path} is UTF-8, except for line {damaged}, which contains invalid bytes. "
            "Correct this line; it may come from a file in another encoding."
        )
    encoding = _guess(path, names)
    if encoding is None:
        return InputError(
            f"{path} is not a text file: it is neither UTF-8 nor UTF-16, nor plausible text in "
            f"{', '.join(_ENCODINGS)}. Save it as UTF-8, or give its encoding, such as read_csv: "
            "{encoding: cp1250}."
        )
    fix = {"read_csv": {"encoding": encoding}}
    purpose = ""
    if encoding in _ENCODINGS:
        purpose = f" ({_ENCODINGS[encoding]})"
    return InputError(
        f"{path} is not UTF-8. Its text is plausible if it is read as {encoding}{purpose}. Give "
        f"{inline(fix)}, or save it as UTF-8.",
        fix,
    )


def _damaged_line(path: Path) -> int | None:
    """Return the number of the first line that is not UTF-8, counted from 1.

    Return None if the file is in another encoding, that is, if at most half of its lines that are
    not ASCII are UTF-8.
    """
    wrong = []
    num_right = 0
    with open_csv(path) as file:
        for number, line in enumerate(file, 1):
            if line.isascii():
                continue
            try:
                line.decode()
                num_right += 1
            except UnicodeDecodeError:
                wrong.append(number)
    if num_right <= len(wrong):
        return None
    return wrong[0]


def _guess(path: Path, names: Collection[str]) -> str | None:
    """Return the encoding in which a file is plausible text, or None."""
    with open_csv(path) as file:
        start = file.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and _decodes(path, "utf-16"):
        return "utf-16"
    sample = _sample(path)
    if _CONTROL.search(sample):
        return None
    possible = [encoding for encoding in _ENCODINGS if _decodes(path, encoding)]
    named = [encoding for encoding in possible if _has_names(path, encoding, names)]
    best = _most_plausible(sample, named or possible)
    if best is None and len(named) < len(possible):
        best = next(iter(named), None)  # it is enough that the file contains the names
    return best


def _most_plausible(sample: bytes, encodings: list[str]) -> str | None:
    """Return the encoding in which a sample is most similar to natural language, or None."""
    from charset_normalizer import from_bytes  # imported here, because most files are UTF-8

    if not encodings:
        return None
    num_latin = len(_LATIN.findall(sample))
    num_others = len(_NOT_ASCII.findall(sample)) - num_latin
    if "cp1252" in encodings and num_latin > num_others:
        return "cp1252"  # reliable even for short samples
    order = list(_ENCODINGS)
    ranks = []
    for match in from_bytes(sample, cp_isolation=encodings):
        rank = (match.chaos, -match.coherence, order.index(match.encoding))
        ranks.append((rank, match.encoding))
    if not ranks:
        return None
    return min(ranks)[1]


def _decodes(path: Path, encoding: str) -> bool:
    """Return True if a whole file can be decoded."""
    try:
        with open_csv(path) as content, io.TextIOWrapper(content, encoding, newline="") as file:
            while file.read(_CHUNK):
                pass
    except UnicodeError:
        return False
    return True


def _has_names(path: Path, encoding: str, names: Collection[str]) -> bool:
    """Return True if the first lines of a file contain all names."""
    with open_csv(path) as content, io.TextIOWrapper(content, encoding, newline="") as file:
        text = file.read(_CHUNK)
    return all(name in text for name in names)


def _sample(path: Path) -> bytes:
    """Return lines that are not ASCII. ASCII lines are equal in all encodings."""
    with open_csv(path) as file:
        return b"".join(_limited(line for line in file if not line.isascii()))


def _limited(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines until they reach the size of a sample."""
    size = 0
    for line in lines:
        yield line
        size += len(line)
        if size > _MAX_SAMPLE:
            return
