import gzip

import numpy as np
import pytest
import torch
from table_examples import ROWS, houses, matrix, table

from dlp.errors import InputError


def test_columns_become_numbers_then_one_hot_categories(csv):
    data = table(csv(houses()), scaling="none", val_size=None, split_seed=None)
    assert data.feature_names == [
        *("area", "rooms", "garden"),
        *("city=Lyon", "city=Nice", "city=Paris"),
    ]
    assert data.input_shape == (6,)
    assert (data.num_outputs, data.class_names, data.target_names) == (1, None, ["price"])
    frame = houses()
    expected = np.column_stack(
        [frame.area, frame.rooms, frame.garden]
        + [frame.city == city for city in ("Lyon", "Nice", "Paris")]
    )
    assert np.allclose(matrix(data), expected.astype(np.float32))
    inputs, targets = next(iter(data.train_dataloader()))
    assert inputs.dtype == targets.dtype == torch.float32
    assert np.allclose(data.examples("train").targets, frame.price)


def test_csv_tsv_semicolons_gzip_and_parquet_give_the_same(csv, tmp_path):
    frame = houses()
    paths = [
        csv(frame),
        csv(frame, "houses.tsv", sep="\t"),
        csv(frame, "semicolons.csv", sep=";"),
        csv(frame, "marked.csv", encoding="utf-8-sig"),
        tmp_path / "houses.csv.gz",
        tmp_path / "houses.parquet",
    ]
    with gzip.open(paths[4], "wb") as file:
        file.write(paths[0].read_bytes())
    frame.to_parquet(paths[5])
    first = matrix(table(paths[0]))
    for path in paths[1:]:
        assert np.array_equal(matrix(table(path)), first), path


@pytest.mark.parametrize(
    ("scaling", "center", "spread"),
    [
        ("standard", lambda values: values.mean(), lambda values: values.std(ddof=0)),
        ("minmax", lambda values: values.min(), lambda values: values.max() - values.min()),
    ],
)
def test_scaling_is_learned_from_the_training_part_alone(csv, scaling, center, spread):
    frame = houses()
    frame.loc[:9, "area"] += 1000  # the validation part, in the order of the file
    data = table(csv(frame), scaling=scaling, val_size=10, split_seed=None)
    train = frame.area[10:]
    for part, rows in (("train", train), ("val", frame.area[:10])):
        assert np.allclose(matrix(data, part)[:, 0], (rows - center(train)) / spread(train))


@pytest.mark.parametrize("scaling", ["standard", "minmax", "none"])
def test_a_constant_column_stays_finite(csv, scaling):
    frame = houses().assign(area=0.1)
    column = matrix(table(csv(frame), scaling=scaling))[:, 0]
    assert np.allclose(column, 0.1 if scaling == "none" else 0, atol=1e-6)


@pytest.mark.parametrize(
    ("missing", "fill"), [("zero", lambda v: 0), ("mean", np.nanmean), ("median", np.nanmedian)]
)
def test_missing_numbers_are_filled_from_the_training_part(csv, missing, fill):
    frame = houses()
    frame.loc[:9, "area"] = 5000.0
    frame.loc[[3, 20, 30], "area"] = np.nan
    data = table(
        csv(frame),
        missing=missing,
        missing_indicator=True,
        scaling="none",
        val_size=10,
        split_seed=None,
    )
    train, val = matrix(data), matrix(data, "val")
    assert data.feature_names[:4] == ["area", "rooms", "garden", "area (missing)"]
    expected = fill(frame.area[10:])
    assert np.allclose([val[3, 0], train[10, 0], train[20, 0]], expected)
    assert np.flatnonzero(train[:, 3]).tolist() == [10, 20]
    assert np.flatnonzero(val[:, 3]).tolist() == [3]


def test_a_column_filled_by_its_mean_is_scaled_after_it_is_filled(csv):
    frame = houses()
    frame.loc[20, "area"] = np.nan
    train = matrix(table(csv(frame), missing="mean", val_size=None))
    assert abs(train[:, 0].mean()) < 1e-5
    assert abs(train[:, 0].std() - 1) < 1e-5


@pytest.mark.parametrize(("scaling", "fill"), [("standard", "mean"), ("minmax", "min")])
def test_the_zero_of_missing_numbers_stands_after_scaling(csv, scaling, fill):
    frame = houses().rename(columns={"area": "year"})
    frame["year"] = 1950.0 + np.arange(ROWS)
    frame.loc[[7, 20], "year"] = np.nan
    data = table(csv(frame), missing="zero", scaling=scaling, val_size=None, split_seed=None)
    column = matrix(data)[:, 0]
    there = frame.year.dropna()
    scale = there.std(ddof=0) if scaling == "standard" else there.max() - there.min()
    expected = (frame.year - getattr(there, fill)()) / scale
    assert np.allclose(column, expected.fillna(0), atol=1e-5)


def test_a_missing_category_is_one_of_its_own(csv):
    frame = houses()
    frame.loc[[1, 5], "city"] = None
    data = table(csv(frame), missing="mean", val_size=None, split_seed=None)
    assert data.feature_names[-1] == "city=(missing)"
    assert np.flatnonzero(matrix(data)[:, -1]).tolist() == [1, 5]


def test_an_unseen_category_is_all_zeros_and_counted_in_one_line(csv, capsys):
    frame = houses()
    frame.loc[:2, "city"] = "Atlantis"
    data = table(csv(frame), val_size=10, split_seed=None)
    encoded = matrix(data, "val")
    assert "city=Atlantis" not in data.feature_names
    assert encoded[:3, 3:].sum() == 0
    assert encoded[3:, 3:].sum() == 7
    assert "3 in 'city' (such as 'Atlantis')" in capsys.readouterr().out


def test_numbers_may_be_categories_whatever_type_they_were_read_as(csv):
    frame = houses()
    new = frame.drop(columns="price").astype({"rooms": float})
    data = table(
        csv(frame),
        categorical_columns=["rooms", "city"],
        predict_path=csv(new, "new.csv"),
        val_size=None,
        split_seed=None,
    )
    assert "rooms=1" in data.feature_names
    assert np.array_equal(matrix(data), matrix(data, "predict"))


def test_both_lists_given_leave_all_other_columns_out(csv):
    data = table(csv(houses()), numeric_columns=["area"], categorical_columns=["city"])
    assert data.feature_names == ["area", "city=Lyon", "city=Nice", "city=Paris"]


def test_own_test_file_and_held_out_rows(csv):
    test = csv(houses(12, seed=1), "test.csv")
    data = table(csv(houses()), test_path=test, val_size=10)
    assert [len(data.examples(part).rows) for part in ("train", "val", "test")] == [30, 10, 12]
    data = table(csv(houses()), test_size=0.25, val_size=0.25)
    assert [len(data.examples(part).rows) for part in ("train", "val", "test")] == [20, 10, 10]


def test_classes_and_several_targets(csv):
    frame = houses()
    city = table(csv(frame), target="city", drop_columns=["id"])
    assert (city.num_outputs, city.class_names) == (3, ["Lyon", "Nice", "Paris"])
    both = table(csv(frame), target=["price", "area"])
    assert (both.num_outputs, both.target_names) == (2, ["price", "area"])
    assert next(iter(both.train_dataloader()))[1].shape == (32, 2)
    garden = table(csv(frame), target="garden")
    assert garden.class_names == ["False", "True"]
    labels = table(csv(frame.assign(sunny=[0, 1] * 20, cheap=[1] * 40)), target=["sunny", "cheap"])
    assert (labels.num_outputs, labels.class_names) == (2, ["sunny", "cheap"])


def test_target_scaling_gives_the_scale_and_leaves_the_targets_in_their_unit(csv):
    frame = houses()
    data = table(csv(frame), target_scaling="standard", val_size=10, split_seed=None)
    assert np.isclose(data.target_mean[0], frame.price[10:].mean(), rtol=1e-6)
    assert np.isclose(data.target_std[0], frame.price[10:].std(ddof=0), rtol=1e-6)
    targets = torch.cat([y for _, y in data.val_dataloader()])
    assert np.allclose(targets, frame.price[:10])
    assert table(csv(frame)).target_mean is None
    with pytest.raises(InputError, match="target holds classes"):
        table(csv(frame), target="city", target_scaling="standard").setup("fit")


def test_a_prediction_needs_the_state_alone_and_no_training_file(csv, tmp_path):
    frame = houses()
    path, new = csv(frame), frame.drop(columns=["price", "id"])[::-1].assign(extra="x")
    trained = table(path, predict_path=csv(new[new.columns[::-1]], "new.csv"))
    expected = matrix(trained, "predict")
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    path.unlink()
    fresh = table(path, predict_path=tmp_path / "new.csv")
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    inputs = torch.cat([x for x, _ in fresh.predict_dataloader()])
    assert np.array_equal(inputs.numpy(), expected)
    assert fresh.input_shape == trained.input_shape
    assert fresh.feature_names == trained.feature_names


def test_duplicates_are_found_across_files_whatever_type_they_were_read_as(csv, capsys):
    frame = houses()
    frame.loc[3, ["area", "rooms"]] = [50, 2]
    test = frame[2:4].copy()
    test["rooms"] = [7.5, 2.0]
    data = table(csv(frame), test_path=csv(test, "test.csv"), drop_duplicates=True, val_size=None)
    assert len(data.examples("train").rows) == ROWS - 1
    assert "1 in both test and training" in capsys.readouterr().out


def test_the_type_of_a_column_may_differ_between_folds_without_harm(csv):
    sizes = [
        len(table(csv(houses()), num_folds=4, fold=fold).examples("val").rows) for fold in range(4)
    ]
    assert sizes == [10] * 4
