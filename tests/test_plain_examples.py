import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from helpers.backbones import drawn_network
from helpers.reference_sets import write_imdb, write_mnist, write_parquet, write_reuters

SCRIPTS = sorted(Path(__file__).parents[1].glob("examples/plain/*.py"))
#: Script -> constants that fit the tiny sets.
SMALLER = {
    "cats_dogs": {"TRAIN": slice(0, 6), "VAL": slice(6, 9)},
    "imdb": {"NUM_WORDS": 60, "VAL_SIZE": 8},
    "reuters": {"NUM_WORDS": 200, "TRAIN": slice(60, 552), "TEST": slice(552, None)},
    "vgg16": {
        "SIZE": 32,
        "TRAIN": slice(0, 6),
        "VAL": slice(6, 9),
        "TEST": slice(9, 12),
    },
}
WRITERS = {
    "cats_dogs": write_parquet,
    "imdb": lambda folder: write_imdb(folder / "imdb/plain_text"),
    "mnist": lambda folder: write_mnist(folder / "mnist/MNIST/raw"),
    "reuters": lambda folder: write_reuters(folder / "reuters21578"),
    "vgg16": write_parquet,
}


def test_there_are_six_of_at_most_80_lines_without_the_library():
    assert len(SCRIPTS) == 6
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 80, script.name
        assert not re.search(r"^\s*(from|import) dlp\b", text, re.M), script.name


def parameter(script):
    """Return a script as a test parameter. Scripts that read pictures are slow."""
    marks = [pytest.mark.slow] if script.stem in ("vgg16", "cats_dogs") else []
    return pytest.param(script, id=script.stem, marks=marks)


@pytest.mark.parametrize("script", [*map(parameter, SCRIPTS)])
@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec.*"
)
def test_a_script_prints_its_number_last(script, tmp_path, monkeypatch, capsys):
    spec = spec_from_file_location(f"plain_{script.stem}", script)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in {"EPOCHS": 2, **SMALLER.get(script.stem, {})}.items():
        assert hasattr(module, name)
        monkeypatch.setattr(module, name, value)
    folders = []
    if script.stem in WRITERS:
        WRITERS[script.stem](tmp_path)
        folders = [str(tmp_path)]
    if script.stem == "vgg16":
        for name in (
            "kaiming_uniform_",
            "kaiming_normal_",
            "normal_",
        ):  # skipped, because weights are loaded
            monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
        torch.save(drawn_network("vgg16").state_dict(), tmp_path / "vgg16.pth")
        monkeypatch.setenv("DLP_WEIGHTS", str(tmp_path / "vgg16.pth"))
    module.main(*folders)
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"(lowest val_loss|val_acc|test_acc|test_mae)\b.* \d+(\.\d+)?", last
    )
