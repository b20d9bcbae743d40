"""Arguments that every DataModule takes: said once, seen in each signature, help and config."""

import inspect
from typing import ClassVar, Unpack

import pytest
import yaml

from dlp.cli import main
from dlp.datamodules import (
    ArrayDataModule,
    CatsVsDogsDataModule,
    HousingDataModule,
    ImageFolderDataModule,
    IMDBDataModule,
    MNISTDataModule,
    ReutersDataModule,
    SupervisedDataModule,
    TableDataModule,
    TargetEncoder,
    TextDataModule,
)
from dlp.datamodules.base import SharedArguments
from dlp.errors import InputError

CLASSES = [
    *(ArrayDataModule, TableDataModule, HousingDataModule, TextDataModule, IMDBDataModule),
    *(ReutersDataModule, ImageFolderDataModule, MNISTDataModule, CatsVsDogsDataModule),
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_signature_names_the_shared_arguments_with_the_defaults_of_its_class(kind):
    parameters = inspect.signature(kind.__init__).parameters
    found = {name: parameters[name].default for name in SharedArguments.__annotations__}
    assert found.items() <= kind.defaults.items()
    assert all(each.kind is not each.VAR_KEYWORD for each in parameters.values())
    assert parameters["val_size"].annotation == int | float | None


def test_defaults_that_are_given_change_those_and_leave_the_others():
    assert HousingDataModule.defaults["batch_size"] == 16
    assert HousingDataModule.defaults["train_size"] is None
    data = HousingDataModule(num_folds=4, fold=1)
    assert (data.batch_size, data.split.num_folds, data.split.seed) == (16, 4, None)
    assert HousingDataModule(batch_size=3).batch_size == 3


class Own(SupervisedDataModule):
    """Data of one's own.

    Args:
        count: How many.
    """

    defaults: ClassVar[SharedArguments] = {"val_size": 5}

    def __init__(self, count: int = 20, **shared: "Unpack[SharedArguments]") -> None:
        super().__init__(targets=TargetEncoder(), **shared)
        self.count = count

    def load_train(self):
        raise NotImplementedError

    def encode(self, rows):
        raise NotImplementedError

    def batch_shape(self):
        raise NotImplementedError


class Mine(Own):
    """Inherits all."""


def test_a_class_of_ones_own_takes_them_even_by_an_annotation_in_quotes():
    assert list(inspect.signature(Own.__init__).parameters)[:3] == ["self", "count", "batch_size"]
    assert (Mine().split.val_size, Mine(val_size=0.5).split.val_size) == (5, 0.5)
    with pytest.raises(TypeError, match="Did you mean 'batch_size'"):
        Own(batchsize=3)


def test_defaults_without_an_init_to_show_them_are_refused():
    with pytest.raises(TypeError, match=r"Other has defaults.*__init__"):
        type("Other", (Own,), {"defaults": {"val_size": 7}})


def test_an_argument_that_is_out_of_range_is_refused():
    with pytest.raises(InputError, match="eval_batch_size must be at least 1, got 0"):
        Mine(eval_batch_size=0)


def test_help_shows_each_with_its_text_and_default(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--data.help", "HousingDataModule"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--data.batch_size BATCH_SIZE Rows a training batch. (type: int, default: 16)" in shown
    assert "Use only so many training rows." in shown


def test_a_misspelt_one_gets_a_suggestion(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["fit", "--config", "housing", "--data.num_fold", "3"])
    assert "Did you mean --data.num_folds?" in capsys.readouterr().err


def test_a_config_holds_all_of_them(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--config", "housing", "--print_config"])
    data = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]
    assert SharedArguments.__annotations__.keys() <= data.keys()
