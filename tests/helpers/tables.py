"""Tables in the form in which they are trained on."""

from dlp.datamodules.tables.conversion import convert_columns
from dlp.datamodules.tables.files import read_table


def read_converted(path, read_csv=None):
    """Read a table and convert all of its columns of texts."""
    frame = read_table(path, read_csv)
    return convert_columns(frame, read_csv or {}, str(path), list(frame))
