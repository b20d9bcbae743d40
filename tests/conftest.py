"""Fixtures for all tests: a separate folder for each test, no network, one thread."""

import atexit
import gc
import os
import socket
from functools import partial

import pytest
from hypothesis import settings

from helpers import approval

gc.set_threshold(100_000)  # most allocated objects come from imports and stay
settings.register_profile("dlp", max_examples=20, deadline=None, derandomize=True)
settings.load_profile("dlp")


def pytest_addoption(parser):
    """Add the option --approve."""
    help_ = "run only the tests of approved texts, and write tests/approved again"
    parser.addoption("--approve", action="store_true", help=help_)


def pytest_collection_modifyitems(config, items):
    """With --approve, run only the tests of the approved texts."""
    if not config.getoption("approve"):
        return
    others = [item for item in items if "approved" not in item.fixturenames]
    items[:] = [item for item in items if "approved" in item.fixturenames]
    config.hook.pytest_deselected(items=others)


@pytest.fixture
def approved(request):
    """Return a function that compares a text with a file in tests/approved, or writes the file."""
    return partial(approval.compare, renew=request.config.getoption("approve"))


@pytest.fixture(autouse=True, scope="session")
def quick_session():
    """Compute on one thread, and exclude the imports from garbage collection."""
    # Imported here, because the process that only distributes the tests needs neither.
    import lightning  # noqa: F401 - its log handler binds to the stream of the whole session
    import torch

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # otherwise Triton reports frozen objects as leaks


@pytest.fixture(autouse=True)
def own_folders(request, tmp_path, monkeypatch):
    """Work in a separate folder, and hide the real data unless the test is marked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLP_CACHE_DIR", str(tmp_path / ".cache"))
    if request.node.get_closest_marker("realdata") is None:
        monkeypatch.delenv("DLP_DATA_DIR", raising=False)
    elif not os.environ.get("DLP_DATA_DIR"):
        pytest.skip("DLP_DATA_DIR is not set")


@pytest.fixture(autouse=True, scope="session")
def quick_figures():
    """Draw without searching for a layout, which takes as long as the drawing."""
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "set_layout_engine", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def offline():
    """Refuse connections to other machines."""
    connect = socket.socket.connect

    def local(self, address):
        if self.family != socket.AF_UNIX and address[0] not in (
            "127.0.0.1",
            "::1",
            "localhost",
        ):
            raise OSError(f"a test connects to {address}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", local)
        yield
