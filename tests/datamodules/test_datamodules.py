"""One contract for every DataModule."""

import copy
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import KFold
from torch.utils._pytree import tree_leaves

from dlp.datamodules import ArrayDataModule, Split
from dlp.errors import InputError
from dlp.reader.encoder import Bags
from dlp.speed.forks import run_at_once
from helpers.rounding import assert_rounded_alike
from helpers.sets import DATA_MODULES, GROUPS, TIMES, array_data, numbers, text_data
from helpers.training import OneWeight, quiet_trainer

PARTS = ("train", "val", "test")
everyone = pytest.mark.parametrize("name", DATA_MODULES)
with_columns = pytest.mark.parametrize(
    "name", [name for name in DATA_MODULES if name != "arrays"]
)
SPLITS = [
    Split(test_size=8, val_size=9, seed=1),
    Split(num_folds=3, fold=2, repeat=1),
    Split(test_size=8, splitter=KFold(3), fold=1, seed=None),
]


def dense(data, inputs):
    return (
        inputs
        if isinstance(inputs, torch.Tensor)
        else inputs.to_dense(data.input_shape[0])
    )


def batches(data, part):
    return [(dense(data, inputs), targets) for inputs, targets, *_ in data.loader(part)]


def stacked(data, part):
    return torch.cat([inputs for inputs, _ in batches(data, part)])


def everything(data, seed):
    """Return all that a fit on the current split gives."""
    torch.manual_seed(seed)
    result = [data.state_dict(), data.input_shape, data.num_outputs, data.class_names]
    for part in filter(data.has, PARTS):
        rows = data.examples(part).index.tolist()
        result.append(
            (rows, [(x.tolist(), y.tolist()) for x, y in batches(data, part)])
        )
    return result


@pytest.fixture(scope="module", params=DATA_MODULES)
def fitted(request, tmp_path_factory):
    """Return a fitted DataModule without its labelled rows, and the checkpoint of a Trainer."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLP_CACHE_DIR", str(folder / "cache"))
        data = DATA_MODULES[request.param](
            folder, predict=True, test_size=8, batch_size=6
        )
        run = quiet_trainer()
        run.fit(OneWeight(), data)
        run.save_checkpoint(folder / "last.ckpt")
        for table in ("rows.csv", "texts.csv", "images.csv"):
            (folder / table).unlink(missing_ok=True)
        yield data, folder / "last.ckpt"


@everyone
def test_sizes_are_there_before_setup_and_batches_are_float32_and_int64(name, tmp_path):
    data = DATA_MODULES[name](tmp_path, test_size=8, val_size=8, batch_size=5)
    assert (data.num_outputs, data.class_names) == (2, ["no", "yes"])
    inputs, targets = batches(data, "train")[0]
    assert (inputs.shape, inputs.dtype) == ((5, *data.input_shape), torch.float32)
    assert (targets.shape, targets.dtype) == ((5,), torch.int64)
    assert [len(data.loader(part).inputs) for part in PARTS] == [24, 8, 8]


@everyone
def test_rows_as_people_have_them_are_encoded_as_those_of_the_training(name, tmp_path):
    data = DATA_MODULES[name](tmp_path, split_seed=None)
    stored = stacked(data, "val")
    raw = data.examples("val").inputs.raw()
    fitted = data.encoder
    other = type(fitted)(**fitted.arguments())
    other.load_state(json.loads(json.dumps(fitted.state())))
    for encoder in (fitted, other):
        encoded = encoder.transform(raw)
        if isinstance(encoded, Bags):
            encoded = encoded.to_dense(data.input_shape[0])
        assert torch.equal(torch.from_numpy(encoded), stored)


@everyone
def test_a_second_fit_of_an_encoder_begins_again(name, tmp_path):
    data = DATA_MODULES[name](tmp_path, split_seed=None)
    rows = data.examples("train").inputs.encodable()
    data.fit()
    state = copy.deepcopy(data.encoder.state())
    data.encoder.fit(data.examples("val").inputs.encodable())
    data.encoder.fit(rows)
    assert data.encoder.state() == state


@everyone
def test_a_batch_is_a_copy_of_the_stored_rows(name, tmp_path):
    loader = DATA_MODULES[name](tmp_path, split_seed=None).loader("val")
    before = copy.deepcopy([*loader])
    for batch in loader:
        for tensor in tree_leaves(batch):
            tensor.fill_(7)
    assert all(map(torch.equal, tree_leaves([*loader]), tree_leaves(before)))


@everyone
def test_statistics_come_from_the_training_part_alone(name, tmp_path):
    make = DATA_MODULES[name]
    learned, rows = [], []
    for changed in (False, True):  # the first ten rows, which validate
        (folder := tmp_path / str(changed)).mkdir()
        data = make(folder, changed, val_size=10, split_seed=None)
        learned.append(data.fit().state())
        rows.append((stacked(data, "train"), stacked(data, "val")))
    assert learned[0].pop("fingerprint") != learned[1].pop("fingerprint")
    assert learned[0] == learned[1]
    assert sorted(rows[0][0].tolist()) != sorted(rows[1][1].tolist())
    assert not torch.equal(rows[0][1], rows[1][1])


@everyone
def test_a_data_module_with_another_split_is_as_new(name, tmp_path):
    unused = DATA_MODULES[name](tmp_path)
    data = copy.deepcopy(unused)
    for seed, split in enumerate(SPLITS):
        new = copy.deepcopy(unused)
        data = data.with_split(split)
        new = new.with_split(split)
        assert everything(data, seed) == everything(new, seed)


def test_a_checkpoint_predicts_without_the_training_rows(fitted):
    data, path = fitted
    arguments = {"x_predict": numbers()[:5]} if "Array" in type(data).__name__ else {}
    restored = type(data).load_from_checkpoint(path, weights_only=True, **arguments)
    assert (restored.input_shape, restored.class_names) == (
        data.input_shape,
        data.class_names,
    )
    assert torch.equal(stacked(restored, "predict"), stacked(data, "predict"))
    assert restored.state_dict() == data.state_dict()


def test_rows_to_predict_keep_their_numbers_and_are_encoded_as_in_training(fitted):
    data, _ = fitted
    (inputs, targets, rows), *others = data.predict_dataloader()
    assert (targets, rows.tolist(), others) == (None, [0, 1, 2, 3, 4], [])
    numbers = data.examples("train").index.tolist()
    known = {row: place for place, row in enumerate(numbers) if row < 5}
    assert known
    for row, place in known.items():
        first = dense(data, data.inputs("train")[torch.tensor([place])])
        assert_rounded_alike(dense(data, inputs)[row], first[0])


@everyone
@pytest.mark.parametrize("drop", [False, True])
def test_duplicates_of_parts_are_counted_and_dropped_from_the_earlier(
    name, drop, tmp_path, capsys
):
    data = DATA_MODULES[name](
        tmp_path, val_size=10, split_seed=None, drop_duplicates=drop
    )
    data.setup("fit")
    lines = [
        line for line in capsys.readouterr().out.splitlines() if "duplicates" in line
    ]
    assert len(lines) == 1
    assert "2 in val and train" in lines[0]
    assert len(data.examples("train")) == (28 if drop else 30)


@everyone
def test_groups_stay_together(name, tmp_path):
    data = DATA_MODULES[name](tmp_path, grouped=True, test_size=8, val_size=8)
    splits = [
        data.split,
        *(Split(test_size=8, num_folds=4, fold=n, repeat=1) for n in range(4)),
    ]
    tests = set()
    for split in splits:
        data = data.with_split(split)
        owners = [{*GROUPS[data.examples(part).index]} for part in PARTS]
        assert [len(names) for names in owners] == [6, 2, 2]
        assert len(set.union(*owners)) == 10
        tests.add(frozenset(owners[2]))
    assert len(tests) == 1


@with_columns
def test_parts_follow_each_other_in_time(name, tmp_path):
    data = DATA_MODULES[name](tmp_path, timed=True, test_size=8, val_size=8)
    train, val, test = (TIMES[data.examples(part).index] for part in PARTS)
    assert [len(train), len(val), len(test)] == [24, 8, 8]
    assert train.max() < val.min() <= val.max() < test.min()


@with_columns
def test_a_column_names_the_rows(name, tmp_path):
    rows = DATA_MODULES[name](tmp_path, id_column="sold").examples("val")
    assert list(map(str, rows.id_columns["sold"])) == [
        str(TIMES[row]) for row in rows.index
    ]


@with_columns
def test_rows_without_a_label_are_left_out_if_asked(name, tmp_path, capsys):
    data, strict = (
        DATA_MODULES[name](tmp_path, drop_unlabelled=drop) for drop in (True, False)
    )
    frame = pd.read_csv(tmp_path / "rows.csv")
    frame.loc[3::10, "label"] = None
    frame.to_csv(tmp_path / "rows.csv", index=False)
    rows = {*data.examples("train").index, *data.examples("val").index}
    assert rows == {*range(40)} - {3, 13, 23, 33}
    assert "have no target and are left out" in capsys.readouterr().out
    with pytest.raises(
        InputError, match=r"4 rows have no target\. The first of them is row 3"
    ):
        strict.fit()


@with_columns
@pytest.mark.parametrize("argument", ["id_column", "group_column", "time_column"])
def test_a_misspelt_column_is_named(name, argument, tmp_path):
    with pytest.raises(InputError, match=r"'ownr'.*'owner'"):
        DATA_MODULES[name](tmp_path, **{argument: "ownr"}).fit()


def test_another_split_shares_the_rows_and_leaves_the_data_as_it_is(tmp_path):
    data = array_data(tmp_path)
    state = data.state_dict()
    other = data.with_split(Split(num_folds=4, fold=1))
    assert other.labelled is data.labelled
    assert other.fit().fingerprint != state["fingerprint"]
    assert data.split == array_data(tmp_path).split
    assert data.state_dict() == state


def test_lines_are_printed_once_for_all_folds(tmp_path, capsys):
    data = array_data(tmp_path)
    for fold in range(4):
        data = data.with_split(Split(num_folds=4, fold=fold, seed=None))
        data.setup("fit")
    assert capsys.readouterr().out.count("exact duplicates") == 1


@everyone
def test_resuming_keeps_the_stored_rows_and_the_order(name, tmp_path):
    data = DATA_MODULES[name](tmp_path)
    torch.manual_seed(1)
    state = {**data.state_dict(), "seed": 77}
    inputs = data.inputs("train")
    data.load_state_dict(state)
    assert data.inputs("train") is inputs
    assert data.loader("train").batch_sampler.seed == 77


def test_a_checkpoint_of_an_older_version_is_refused(tmp_path):
    data = array_data(tmp_path)
    state = data.state_dict()
    del state["fingerprint"]
    with pytest.raises(InputError, match=r"Read it with dlp 1\.2"):
        array_data(tmp_path).load_state_dict({**state, "rows": ""})


@pytest.mark.parametrize(
    ("trained", "data", "message"),
    [
        (
            "arrays",
            "images",
            r"a dlp\.reader\.image\.ImageEncoder, got a state of .*ArrayEncoder",
        ),
        ("text", "other_texts", "num_words: expected 30, .* got 50"),
    ],
)
def test_the_state_of_other_data_is_refused(trained, data, message, tmp_path):
    makers = {**DATA_MODULES, "other_texts": partial(text_data, num_words=50)}
    state = makers[trained](tmp_path).state_dict()
    other = makers[data](tmp_path)
    with pytest.raises(InputError, match=message):
        other.load_state_dict(state)
    assert other.class_names == ["no", "yes"]  # of its own rows


def of_three_classes():
    labels = np.array(["no", "yes", "maybe"])[np.arange(len(numbers())) % 3]
    return ArrayDataModule(numbers(changed=True), labels, scaling="standard")


def test_a_fit_after_a_state_was_loaded_learns_from_its_own_rows(tmp_path, capsys):
    data = of_three_classes()
    data.load_state_dict(array_data(tmp_path).state_dict())
    assert data.class_names == ["no", "yes"]
    quiet_trainer().fit(OneWeight(), data)
    assert data.class_names == ["maybe", "no", "yes"]
    assert data.encoder.state() == of_three_classes().fit().encoder.state()
    assert (
        "the training rows differ from the rows of the checkpoint"
        in capsys.readouterr().out
    )


def test_a_state_with_other_classes_may_be_loaded_after_the_rows(tmp_path):
    data = of_three_classes()
    assert data.num_outputs == 3
    data.load_state_dict(array_data(tmp_path).state_dict())
    with pytest.raises(InputError, match="unknown class 'maybe'"):
        data.loader("train")
    quiet_trainer().fit(OneWeight(), data)
    assert data.class_names == ["maybe", "no", "yes"]


def test_a_fit_after_the_state_of_its_rows_was_loaded_keeps_it(tmp_path, capsys):
    state = array_data(tmp_path).state_dict()
    data = array_data(tmp_path)
    data.load_state_dict(state)
    fitted = data.fit()
    data.setup("fit")
    assert data.fit() is fitted
    assert "checkpoint" not in capsys.readouterr().out


def test_a_fit_that_goes_on_keeps_the_encoder_of_its_checkpoint(tmp_path):
    data = array_data(tmp_path)
    first = quiet_trainer(max_epochs=1)
    first.fit(OneWeight(), data)
    first.save_checkpoint(tmp_path / "last.ckpt")
    other = array_data(tmp_path, changed=True)
    quiet_trainer(max_epochs=2).fit(
        OneWeight(), other, ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert other.encoder.state() == data.encoder.state()


def test_a_second_fit_has_the_order_of_its_own_seed(tmp_path):
    data = array_data(tmp_path)
    for seed in (1, 2):
        torch.manual_seed(seed)
        quiet_trainer(max_epochs=1).fit(OneWeight(), data)
        assert data.fit().order_seed == seed


def test_a_missing_part_is_refused(tmp_path):
    data = array_data(tmp_path, val_size=None)
    assert not data.has("val")
    with pytest.raises(InputError, match=r"no val part\. Give val_size"):
        data.val_dataloader()
    with pytest.raises(InputError, match=r"no test part\. Give test_size"):
        data.predict_dataloader()
    with pytest.raises(InputError, match=r"no val part\. Give val_size"):
        quiet_trainer().validate(OneWeight(), data)


class Downloaded(ArrayDataModule):
    """Numbers that come with a file, whose downloads leave one more file each."""

    def prepare_data(self):
        if Path("downloaded").exists():
            return
        Path(f"download by {os.getpid()}").touch()
        time.sleep(0.2)
        Path("downloaded").touch()


def size_of_downloaded(start):
    time.sleep(max(0, start - time.time()))
    return Downloaded(numbers(), TIMES).num_outputs


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copies of this one")
def test_of_processes_that_start_at_once_one_downloads():
    start = time.time() + 0.2
    assert run_at_once([partial(size_of_downloaded, start)] * 3) == [1, 1, 1]
    assert len(list(Path.cwd().glob("download by *"))) == 1


def test_targets_are_encoded_once_for_all_parts_and_splits(tmp_path, monkeypatch):
    data = array_data(tmp_path)
    counts = []
    encode = type(data.targets).encode

    def counted(encoder, values):
        counts.append(len(values))
        return encode(encoder, values)

    monkeypatch.setattr(type(data.targets), "encode", counted)
    rows = data.labelled
    for split in (data.split, SPLITS[1]):
        for part in ("train", "val"):
            list(data.with_split(split).loader(part))
    assert counts == [len(part) for part in rows.loaded.values()]
