import sys
from importlib import import_module

import pytest

from dlp.errors import InputError
from dlp.inference.encoder_source import write_encoder

FILE = """\
import os.path
import scipy.signal
import scipy.stats
import torch

from dlp.reader.array import ArrayEncoder
from dlp.datamodules import ArrayRows

FACTOR = 2.0


class Smooth(ArrayEncoder):
    def transform(self, rows):
        return super().transform(scipy.signal.detrend(rows) * FACTOR + scipy.stats.norm.cdf(0))

    def name(self):
        return os.path.basename("a/b")


class Other(ArrayEncoder):
    def transform(self, rows):
        return super().transform(ArrayRows(rows))
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes the source of an encoder from a file of a name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(module, kind):
        (tmp_path / f"{module}.py").write_text(FILE, "utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
        encoder = getattr(import_module(module), kind)()
        folder = tmp_path / "exported"
        folder.mkdir()
        write_encoder(encoder, folder)
        return (folder / "own_encoder.py").read_text("utf-8")

    return write


def test_an_export_brings_the_class_and_what_it_names(write):
    source = write("smooth_rows", "Smooth")
    imports = [line for line in source.splitlines() if "import" in line]
    assert imports == [
        "import os.path",
        "import scipy.signal",
        "import scipy.stats",
        "from reader.array import ArrayEncoder",
    ]
    assert "FACTOR = 2.0" in source
    assert "Other" not in source


def test_an_encoder_that_needs_more_than_the_reader_is_refused(write):
    with pytest.raises(InputError, match=r"Other uses ArrayRows from dlp\.datamodules"):
        write("other_rows", "Other")


def test_a_file_may_have_the_name_of_one_of_the_export(write):
    assert "class Smooth" in write("predict", "Smooth")
