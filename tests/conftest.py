"""What every test shares: its own cache folder, and real data for those that ask for it."""

import gc
import os

import lightning  # noqa: F401 - its log handler is bound to the stream of the whole session
import pytest
import torch
from loaded_processes import DLP
from matplotlib.figure import Figure
from PIL import Image


@pytest.fixture(scope="session")
def one_pixel():
    """Return what saves one pixel instead of ``Figure.savefig``."""

    def save(figure, file, *, format="png", **options):
        if format == "svg":
            file.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>')
        else:
            Image.new("RGB", (1, 1)).save(file, format=format)

    return save


@pytest.fixture
def undrawn_figures(monkeypatch, one_pixel):
    """Save one pixel instead of each figure: for files whose many fits draw equal curves.

    Recipes, reports, examples and the tests of visualization draw theirs.
    """
    monkeypatch.setattr(Figure, "savefig", one_pixel)


@pytest.fixture
def loaded_jobs(monkeypatch):
    """Let the processes of ``--jobs`` begin with torch loaded."""
    monkeypatch.setattr("dlp.commands.jobs.subprocess.Popen", DLP)


@pytest.fixture(autouse=True)
def own_folders(request, tmp_path_factory, monkeypatch):
    """Point the caches to a folder of this test, and hide the real data unless it is marked."""
    monkeypatch.setenv("DLP_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    if request.node.get_closest_marker("realdata") is None:
        monkeypatch.delenv("DLP_DATA_DIR", raising=False)
    elif not os.environ.get("DLP_DATA_DIR"):
        pytest.skip("DLP_DATA_DIR is not set: no real data here")


@pytest.fixture(autouse=True, scope="session")
def imported_for_good():
    """Let the garbage collector pass over what is imported: it is most of all objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Let torch compute on one thread: the networks of the tests are too small for more."""
    torch.set_num_threads(1)
