import torch

from dlp.runs.record import versions


def test_versions_name_the_build_too(monkeypatch):
    # pip's metadata of the ordinary Linux build says 2.15.0, the package itself 2.15.0+cu132
    monkeypatch.setattr(torch, "__version__", "9.9.9+cu999")
    assert versions()["torch"] == "9.9.9+cu999"
