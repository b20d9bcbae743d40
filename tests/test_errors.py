import re
import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dlp.datamodules import ArrayDataModule, TableDataModule, TextDataModule
from dlp.errors import InputError, extra, reading, unknown
from dlp.modules import DenseModule

ROOT = Path(__file__).parents[1]


def test_a_missing_package_is_a_sentence_with_the_command_that_installs_it():
    command = re.escape('pip install "dlp-lightning[serve]".')
    message = f"no_such_package .*{command}"
    with pytest.raises(InputError, match=message), extra("serve"):
        import no_such_package  # noqa: F401  # its absence is the test


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: DenseModule((3,), 1, "regression", hidden=(8, -3)),
            "hidden: expected 1 to 1000000",
        ),
        (
            lambda: DenseModule((3,), 1, "regression", l2=-1),
            "l2: expected 0 or more, got -1",
        ),
        (
            lambda: ArrayDataModule([[1.0]], [1], batch_size=0),
            "^batch_size: expected 1 or more",
        ),
        (
            lambda: ArrayDataModule([[1.0]], [1], eval_batch_size=0),
            "eval_batch_size: expected 1",
        ),
        (
            partial(TextDataModule, "t.csv", num_words=4),
            "num_words: expected 5 or more",
        ),
        (
            partial(TableDataModule, "table.csv", "y", bins=-1),
            "bins: expected 0 or more",
        ),
        (
            lambda: DenseModule((3,), 1, "regression", target_mean=np.ones(2)),
            "got a NumPy array",
        ),
    ],
)
def test_an_argument_out_of_its_range_is_a_sentence(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_every_extra_that_a_sentence_names_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    names = {*re.findall(r'with extra\("(\w+)"\)', sources)}
    assert names <= {*project["optional-dependencies"]}
    assert "tune" in names


def test_the_beginning_of_a_long_name_is_proposed_first():
    error = unknown("metric", "val_accuracy", ["val_auroc", "val_acc", "val_loss"])
    assert "Did you mean 'val_acc'?" in str(error)


@pytest.mark.parametrize("error", [KeyError("spec"), EOFError(), UnicodeError("a")])
def test_a_damaged_file_is_a_sentence_without_the_error_of_python(error):
    with pytest.raises(InputError) as caught, reading("a.ckpt", "a checkpoint"):
        raise error
    assert str(caught.value) == (
        "a.ckpt cannot be read as a checkpoint: it is damaged or another kind of file. Give a "
        "complete file of that kind."
    )
