from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.callbacks import PredictionWriter
from dlp.datamodules import ImageFolderDataModule, TableDataModule, TextDataModule
from dlp.datamodules.tables.rows import TableRows
from dlp.errors import InputError
from dlp.modules import DenseModule
from dlp.reader.rows import Columns
from helpers.rounding import assert_rounded_alike
from helpers.sets import image_folder
from helpers.training import quiet_trainer

IN_ORDER = {"val_size": 10, "split_seed": None}


def houses(rows=40, seed=0):
    """Return a table of two numbers, a boolean, a category, an id and two targets."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": [f"h{n:03}" for n in range(rows)]})
    frame["area"] = random.uniform(40, 200, rows).round(1)
    frame["rooms"] = random.integers(1, 7, rows)
    frame["garden"] = random.random(rows) < 0.5
    frame["city"] = [("Paris", "Nice", "Lyon")[n % 3] for n in range(rows)]
    return frame.assign(price=3000.0 * frame.area, sold=np.arange(rows) % 2)


def table(source, target="price", **arguments):
    arguments = {"id_column": "id", "drop_columns": ["sold"], **arguments}
    return TableDataModule(source, target, **arguments)


def matrix(data, part="train"):
    return data.inputs(part).numpy()


def csv(frame, name="houses.csv"):
    frame.to_csv(name, index=False)
    return name


def test_a_table_becomes_numbers_and_one_hot_categories():
    frame = houses()
    data = table(csv(frame), scaling="none", val_size=None, split_seed=None)
    cities = ["city=Lyon", "city=Nice", "city=Paris"]
    assert data.feature_names == ["area", "rooms", "garden", *cities]
    assert (data.input_shape, data.num_outputs, data.class_names) == ((6,), 1, None)
    expected = frame[["area", "rooms", "garden"]].join(pd.get_dummies(frame.city))
    assert_rounded_alike(matrix(data), expected.to_numpy(np.float32))
    inputs, targets = next(iter(data.train_dataloader()))
    assert inputs.dtype == targets.dtype == torch.float32
    assert data.examples("train").id_columns["id"].tolist() == frame.id.tolist()


@pytest.mark.parametrize("index", [[7] * 40, pd.date_range("2024", periods=40)])
def test_a_data_frame_is_read_as_its_file_and_its_index_is_the_row_number(index):
    frame = houses()
    from_file = table(csv(frame), test_path=csv(houses(12, 1), "test.csv"))
    frame = frame.set_index(pd.Index(index))
    data = table(
        frame, test_path=houses(12, 1), predict_path=frame.drop(columns="price")
    )
    for part in ("train", "val", "test"):
        assert_rounded_alike(matrix(data, part), matrix(from_file, part))
    assert data.examples("predict").index.tolist() == [*range(40)]
    assert [*frame] == [*houses()]


def test_rows_to_predict_may_have_other_columns_in_any_order():
    frame = houses()
    new = frame[frame.columns[::-1]].drop(columns=["price", "sold"]).assign(extra="x")
    data = table(csv(frame), predict_path=csv(new, "new.csv"))
    trained = data.examples("train").index
    assert_rounded_alike(matrix(data, "predict")[trained], matrix(data))


def test_the_truth_of_rows_to_predict_is_known_if_it_is_complete():
    frame = houses()
    data = table(frame, predict_path=frame)
    np.testing.assert_array_equal(data.examples("predict").targets, frame.price)
    data = table(
        frame, predict_path=frame.assign(price=frame.price.where(frame.price > 2e5))
    )
    assert data.examples("predict").targets is None


def test_a_cell_that_is_no_number_is_named_in_the_notation_of_the_table():
    cells = [f"{n},5" for n in range(39)]
    text = "x;y\n" + "".join(
        f'"{cell}";{n % 2}\n' for n, cell in enumerate([*cells, "3\n4"])
    )
    path = Path("rows.csv")
    path.write_text(text, "utf-8")
    data = TableDataModule(path, "y", read_csv={"sep": ";", "decimal": ","})
    with pytest.raises(
        InputError, match=r"'x' contains numbers and '3\\n4', first in row 39"
    ):
        data.fit()


def test_a_part_of_a_table_keeps_its_columns_of_texts():
    rows = TableRows(pd.DataFrame({"note": ["a b", "c"]}), texts=["note"])
    assert rows[np.array([1])].texts == ["note"]


def test_new_cells_of_a_category_may_all_look_like_numbers():
    frame = houses().assign(city=["1.50", "A1"] * 20)
    new = frame.assign(city="1.50").drop(columns=["price", "sold"])
    data = table(csv(frame), scaling="none", predict_path=csv(new, "new.csv"))
    assert data.feature_names[-2:] == ["city=1.50", "city=A1"]
    assert (matrix(data, "predict")[:, -2:] == [1, 0]).all()


@pytest.mark.parametrize(
    ("target", "arguments", "classes"),
    [
        ("sold", {"drop_columns": [], "class_names": ["no", "yes"]}, ["no", "yes"]),
        ("sold", {"drop_columns": [], "positive_class": "0"}, ["1", "0"]),
        ("rooms", {"task": "classification"}, ["1", "2", "3", "4", "5", "6"]),
        (["garden", "sold"], {"drop_columns": []}, ["garden", "sold"]),
        ("price", {}, None),
    ],
)
def test_the_target_decides_the_task(target, arguments, classes):
    data = table(csv(houses()), target, **arguments)
    assert data.class_names == classes
    assert data.num_outputs == len(classes or [target])


@pytest.mark.parametrize("source", [csv, pd.DataFrame])
def test_whole_numbers_with_holes_stay_classes(source):
    frame = houses().astype({"sold": "Int64"})
    frame.loc[3::10, "sold"] = None
    data = table(source(frame), "sold", drop_columns=["price"], drop_unlabelled=True)
    assert data.class_names == ["0", "1"]


@pytest.mark.parametrize("source", [csv, pd.DataFrame])
def test_texts_of_numbers_with_holes_are_refused_as_a_target(source):
    prices = [f"{number},5" for number in range(39)]
    frame = houses().assign(price=[None, *prices])
    data = table(source(frame), drop_unlabelled=True)
    with pytest.raises(
        InputError, match="'price' contains text that looks like numbers"
    ):
        data.examples("train")


def test_columns_of_groups_and_times_are_no_inputs():
    frame = houses()
    assert table(frame, group_column="city").feature_names == [
        "area",
        "rooms",
        "garden",
    ]
    frame["when"] = pd.date_range("2024-01-31", periods=40, freq="-1D")
    data = table(csv(frame), time_column="when", read_csv={"parse_dates": ["when"]})
    assert data.feature_names == table(houses()).feature_names


def test_dates_are_no_values():
    frame = houses().assign(when=pd.date_range("2024", periods=40))
    with pytest.raises(InputError, match="the target 'when' contains dates"):
        table(frame, "when").examples("train")


def test_duplicates_are_counted_whatever_type_they_were_read_as(capsys):
    frame = houses()
    frame.loc[3, ["area", "rooms"]] = [50, 2]
    test = frame[2:4].astype({"rooms": float})
    test.iloc[0, 2] = 7.5
    data = table(
        csv(frame), test_path=csv(test, "t.csv"), drop_duplicates=True, val_size=None
    )
    assert len(data.examples("train")) == 39
    assert "1 in test and train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "prize"}, "unknown column 'prize'.*Did you mean 'price'"),
        ({"categorical_columns": ["ciyt"]}, "Did you mean 'city'"),
        ({"id_column": None}, "'id' contains text that looks like numbers"),
        (
            {"drop_columns": ["area", "rooms", "garden", "city", "sold"]},
            "no input column",
        ),
        (
            {"features": lambda frame: frame[::-1]},
            "a data frame with the index of its input",
        ),
        ({"features": "no_such_module.Ratio"}, "cannot import 'no_such_module.Ratio'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        table(csv(houses()), **arguments).fit()


def test_columns_are_checked_on_the_rows_of_all_parts():
    frame = houses().astype({"area": object})
    frame.loc[[3, 30], "area"] = ["NA", "n/a"]
    with pytest.raises(
        InputError, match=r"numbers and 'NA', first in row 3.*\[NA, n/a\]"
    ):
        table(csv(frame), **IN_ORDER).fit()


class Share:
    """Area relative to the largest one of the training part."""

    def fit(self, frame):
        self.largest = float(frame["area"].max())
        self.columns = sorted(frame)

    def transform(self, frame):
        frame["share"] = frame.pop("area") / self.largest
        return frame.drop(columns="city")


@pytest.mark.parametrize("features", [Share, Share()])
def test_own_features_are_fitted_on_the_training_part_without_the_target(features):
    frame = houses()
    frame.loc[:9, "area"] *= 50
    data = table(frame, features=features, scaling="none", **IN_ORDER)
    assert data.feature_names == ["rooms", "garden", "share"]
    expected = frame.area / frame.area[10:].max()
    np.testing.assert_allclose(matrix(data, "val")[:, 2], expected[:10], rtol=1e-6)
    state = data.state_dict()["encoder"]["features_"]
    assert state["name"] == "Share"
    assert state["attributes"]["columns"] == ["area", "city", "garden", "rooms"]
    assert [*data.examples("train").inputs.frame] == ["area", "rooms", "garden", "city"]


def test_features_of_a_name_are_imported_and_restored():
    name = f"{__name__}.Share"
    first = table(csv(houses()), features=name, predict_path=houses(5, 1))
    state = first.state_dict()
    second = table("gone.csv", features=name, predict_path=houses(5, 1))
    second.load_state_dict(state)
    np.testing.assert_array_equal(matrix(second, "predict"), matrix(first, "predict"))
    assert first.hparams["features"] == name
    for other in (None, pd.DataFrame.copy):
        with pytest.raises(InputError, match="trained with features: Share"):
            table("gone.csv", features=other).load_state_dict(state)


@pytest.mark.parametrize("value", [np.float64(1), {1, 2}])
def test_features_that_keep_what_a_checkpoint_cannot_are_named(value):
    class Keeps(Share):
        def fit(self, frame):
            super().fit(frame)
            self.kept = value

    with pytest.raises(
        InputError, match=r"Keeps\.kept is a .*float\(\.\.\.\) or \.tolist"
    ):
        table(houses(), features=Keeps).fit()


def test_columns_that_features_use_up_may_hold_anything():
    frame = houses().assign(row=range(40), tags=[["a", 1], ["b", 2]] * 20)

    def features(frame):
        return frame.assign(row=frame.row % 2, tags=frame.tags.str[0])

    assert table(frame, features=features).feature_names[-2:] == ["tags=a", "tags=b"]
    with pytest.raises(InputError, match=r"id_column: row, drop_columns: \[tags\]"):
        table(frame).fit()


def test_several_targets_with_holes_stay_numbers():
    frame = houses().assign(sold=1.0)
    frame.loc[::4, "sold"] = None
    data = table(frame, ["price", "sold"], drop_columns=[], drop_unlabelled=True)
    assert (data.class_names, data.num_outputs) == (None, 2)
    assert data.examples("train").targets.dtype == np.float64


def test_all_rows_to_predict_are_read_and_need_no_target(tmp_path):
    frame = houses(20, 1).drop(columns="sold")
    csv(frame)
    csv(frame.drop(columns="price"), "new.csv")
    options = {"nrows": 12, "usecols": list(frame)}
    data = table(
        "houses.csv", predict_path="new.csv", read_csv=options, drop_columns=[]
    )
    assert sum(map(len, data.labelled_parts().values())) == 12
    assert len(data.examples("predict")) == 20


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_is_predicted_in_pieces_as_at_once(tmp_path, monkeypatch, ending):
    frame = houses(20, 1).assign(city="Nice\n").drop(columns="sold")
    path = tmp_path / f"new.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    data = table(houses(), predict_path=path, id_column="id")
    data.fit()
    whole = data.inputs("predict")
    monkeypatch.setattr("dlp.datamodules.tables.table._ROWS_PER_PIECE", 7)
    pieces = []
    for piece in data.pieces_to_predict():
        assert piece.examples("predict").index[0] == sum(map(len, pieces))
        pieces.append(piece.inputs("predict"))
    assert list(map(len, pieces)) == [7, 7, 6]
    assert_rounded_alike(torch.cat(pieces), whole)


def test_a_checkpoint_of_a_data_frame_is_restored_without_it(tmp_path):
    data = table(houses(), predict_path=houses(5, 1))
    model = DenseModule(data.input_shape, data.num_outputs, "regression")
    trainer = quiet_trainer()
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    restore = partial(
        TableDataModule.load_from_checkpoint, tmp_path / "a.ckpt", weights_only=True
    )
    restored = restore(predict_path=houses(5, 1))
    assert_rounded_alike(restored.inputs("predict"), data.inputs("predict"))
    with pytest.raises(InputError, match="the train table was a data frame"):
        restore().examples("train")


def test_rows_of_a_class_that_training_did_not_have_are_predicted(tmp_path, capsys):
    frame = houses()
    new = frame.head(3).assign(city=["Paris", "Rome", "Nice"])
    data = table(frame, "city", drop_columns=["price", "sold"], predict_path=new)
    model = DenseModule(data.input_shape, data.num_outputs)
    writer = PredictionWriter(tmp_path / "p.csv")
    quiet_trainer(callbacks=[writer]).predict(model, data)
    predictions = pd.read_csv(tmp_path / "p.csv")
    assert predictions["target"].tolist() == ["Paris", "Rome", "Nice"]
    assert "unknown class 'Rome'" in capsys.readouterr().out


def test_labels_that_are_not_0_or_1_are_written_as_they_are(tmp_path):
    frame = pd.DataFrame(
        {"x": np.arange(20) % 7, "a": [0, 1] * 10, "b": [0, 0, 1, 1] * 5}
    )
    new = frame.head(3).assign(x=0.5, a=2)
    data = TableDataModule(frame, ["a", "b"], task="multilabel", predict_path=new)
    model = DenseModule(data.input_shape, 2, "multilabel")
    writer = PredictionWriter(tmp_path / "p.csv")
    quiet_trainer(callbacks=[writer]).predict(model, data)
    predictions = pd.read_csv(tmp_path / "p.csv")
    assert predictions["target_a"].tolist() == [2, 2, 2]
    assert predictions["target_b"].tolist() == [0, 0, 1]


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    csv(houses(), tmp_path / "houses.csv")
    image_folder(tmp_path / "photos")
    (tmp_path / "texts.csv").write_text(
        "text,label\n" + "".join(f"word{n},{n % 2}\n" for n in range(40)),
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path.anchor)
    data = table("~/houses.csv", predict_path="~/houses.csv")
    assert len(data.examples("train")) == 32
    assert len(data.examples("predict")) == 40
    assert (
        len(TextDataModule("~/texts.csv", label_column="label").examples("train")) == 32
    )
    assert ImageFolderDataModule("~/photos").class_names == ["cats", "dogs"]
    assert PredictionWriter("~/p.csv").path == tmp_path / "p.csv"


def test_a_number_that_stands_for_a_missing_cell_is_missing_for_features_too(tmp_path):
    frame = pd.DataFrame({"x": [*np.arange(30) % 7, -999], "y": np.arange(31.0)})
    data = TableDataModule(
        csv(frame),
        "y",
        features=lambda rows: rows[["x"]] * 2,
        read_csv={"na_values": [-999]},
        missing="mean",
    )
    data.fit()
    for rows in (
        [{"x": -999}],
        [{"x": "-999"}],
        Columns({"x": np.array([-999])}, range(1)),
    ):
        assert np.isnan(data.encoder.convert(rows).numbers).all()


def test_times_without_an_offset_are_refused_if_the_training_has_one(tmp_path):
    times = pd.date_range("2024-01-01", periods=48, freq="h", tz="+01:00")
    frame = pd.DataFrame({"time": times, "load": range(48)})
    data = TableDataModule(
        frame, "load", features=lambda rows: rows[[]].assign(hour=rows["time"].dt.hour)
    )
    data.fit()
    encoder = data.encoder
    [field] = encoder.fields()[:1]
    assert pd.Timestamp(field["typical"]).tzinfo is not None
    cells = encoder.convert([{"time": "2024-01-05T12:00:00+01:00"}])
    assert cells.numbers[0, 0] == 12
    naive = pd.Series(times[:2]).dt.tz_localize(None)
    for rows in (
        [{"time": "2024-01-05T12:00:00"}],
        Columns({"time": naive.to_numpy()}, range(2)),
    ):
        with pytest.raises(ValueError, match=r"takes dates .* with an offset from UTC"):
            encoder.convert(rows)
    new = frame.assign(time=frame["time"].dt.tz_localize(None))
    with pytest.raises(ValueError, match=r"takes dates .* with an offset from UTC"):
        encoder.transform(new[["time"]])


def test_a_piece_of_the_rows_to_predict_leaves_the_others_as_they_are(monkeypatch):
    data = table(houses(), predict_path=csv(houses(20, 1)))
    monkeypatch.setattr("dlp.datamodules.tables.table._ROWS_PER_PIECE", 7)
    first, second, _ = data.pieces_to_predict()
    assert len(first.examples("predict")) == 7
    assert second.examples("predict").index[0] == 7
    assert len(data.examples("predict")) == 20


def with_999():
    """Return a table in which some cells of each kind stand for missing ones."""
    frame = houses().assign(when=pd.date_range("2024", periods=40))
    frame = frame.astype({"city": "category"})
    frame.loc[::8, ["area", "rooms"]] = -999
    frame.loc[::4, "when"] = pd.Timestamp("1900-01-01")
    return frame


def parquet(frame):
    frame.to_parquet("houses.parquet")
    return "houses.parquet"


@pytest.mark.parametrize("source", [csv, pd.DataFrame, parquet])
def test_cells_of_na_values_are_missing_in_every_kind_of_table(source):
    options = {
        "na_values": {
            "area": -999,
            "rooms": [-999],
            "city": "Nice",
            "when": "1900-01-01",
        },
        "parse_dates": ["when"],
    }
    arguments = {"missing": "mean", "missing_indicator": True, "read_csv": options}
    data = table(source(with_999()), val_size=None, split_seed=None, **arguments)
    data.fit()
    fields = {field["name"]: field for field in data.encoder.fields()}
    names = ["area (missing)", "rooms (missing)", "when (missing)", "city=(missing)"]
    assert [name for name in data.feature_names if "missing" in name] == names
    assert data.facts()["missing_cells"] == 5 + 5 + 10 + 13
    assert fields["area"]["range"][0] > 0
    assert fields["rooms"]["typical"] > 0
    assert fields["city"]["categories"] == ["Lyon", "Paris", ""]


def test_truth_that_stands_for_a_missing_cell_is_missing():
    frame = houses()
    options = {"na_values": {"garden": 0}}
    data = table(frame, read_csv=options, missing="mean", missing_indicator=True)
    assert "garden (missing)" in data.feature_names


def test_the_types_of_training_are_those_of_the_checkpoint_in_every_process():
    frame = houses().assign(when=pd.date_range("2024", periods=40))
    options = {"parse_dates": ["when"]}
    trained = table(csv(frame), read_csv=options)
    state = trained.state_dict()
    new = frame.drop(columns="price").assign(rooms="2.5")
    other = frame.assign(rooms=[f"{n}.5" for n in range(40)])
    restored = table(csv(other, "other.csv"), read_csv=options, predict_path=new)
    restored.load_state_dict(state)
    assert restored.state_dict()["dtypes"] == state["dtypes"]
    restored.labelled_parts()  # the training table of this process has other types
    assert restored.state_dict()["dtypes"] == state["dtypes"]
    assert restored.examples("predict").inputs.frame["rooms"].dtype == "float64"
    assert state["dtypes"]["when"].startswith("datetime64")


def test_numbers_that_are_categories_or_ids_are_texts_of_a_new_csv():
    frame = houses().assign(id=2**60 + np.arange(40))
    new = frame.drop(columns="price")
    data = table(frame, categorical_columns=["rooms", "garden"], predict_path=csv(new))
    expected = data.encoder.transform
    inputs = matrix(data, "predict")
    np.testing.assert_array_equal(inputs, expected(new.to_dict("records")))
    assert inputs[:, data.feature_names.index("rooms=1")].any()
    [ids] = data.examples("predict").id_columns.values()
    assert list(map(int, ids)) == new["id"].tolist()
