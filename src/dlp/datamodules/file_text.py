"""From the bytes of a file to its text: packed or not, in whatever encoding."""

import gzip
import zlib
from pathlib import Path

from dlp.errors import InputError

#: The marks at the beginning of a file that name its encoding, the longer ones first.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_ENCODINGS = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32"}


def read_text(path: Path, given: str | None = None) -> tuple[str, str]:
    """Return the text of a file, packed by gzip or not, and its encoding in words.

    Args:
        path: The file.
        given: Its encoding; by default what its first bytes say, else UTF-8.

    Raises:
        InputError: It cannot be read, is no text of that encoding, or damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path} is damaged or cut off: {error}.") from error
    elif path.name.lower().endswith(".gz"):
        raise InputError(f"{path} is not packed by gzip, as its name says: rename or pack it.")
    if content.startswith((b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0")):
        kind = "Parquet" if content.startswith(b"PAR1") else "a spreadsheet or zip archive"
        raise InputError(f"{path} is no text but {kind}: save it as CSV, or name it by its kind.")
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    encoding = given or marked or _unmarked(content)
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        line = content[:at].count(b"\n") + 1
        name = _ENCODINGS.get(encoding, encoding)
        raise InputError(
            f"{path} is not {name} text (byte 0x{content[at : at + 1].hex()} in line {line}). Save "
            "it as UTF-8 ('CSV UTF-8' in a spreadsheet's save dialog), or say its encoding: "
            "table_format: {encoding: cp1252} for Western Windows."
        ) from error
    text = text.removeprefix("\ufeff")
    if (at := text.find("\0")) >= 0:
        line = text[:at].count("\n") + 1
        raise InputError(
            f"{path} holds a NUL byte in line {line}: it is damaged or no text. Write it anew."
        )
    return text, _ENCODINGS.get(encoding, encoding)


def _unmarked(content: bytes) -> str:
    """Return the encoding of a file without a mark: UTF-16 where every other byte is empty."""
    sample = content[:1000]
    half = len(sample) // 2
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if half and sample[offset::2].count(0) > 0.9 * half:
            return name
    return "utf-8"
