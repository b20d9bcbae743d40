from datetime import date

import numpy as np
import pandas as pd
import pytest
from helpers.models import predictor_of

from dlp.datamodules import TableDataModule, TextDataModule
from dlp.errors import InputError
from dlp.modules.heads import RegressionHead, SigmoidHead


@pytest.fixture
def sales(tmp_path):
    """Return a predictor of a table with German dates and a column of ISO dates."""
    lines = [f"{n % 28 + 1:02}.02.2019;2020-03-{n % 28 + 1:02};{n},5;{n}" for n in range(40)]
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(["sold;built;size;price", *lines]), "utf-8")
    form = {"sold": "%d.%m.%Y", "built": "%Y-%m-%d"}
    options = {"sep": ";", "decimal": ",", "parse_dates": ["sold", "built"], "date_format": form}
    return predictor_of(TableDataModule(path, "price", read_csv=options), RegressionHead(1))


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "reviews.csv"
    frame = pd.DataFrame({"review": ["good film", "bad film"] * 9, "label": [1, 0] * 9})
    frame.to_csv(path, index=False)
    return predictor_of(TextDataModule(path, "review"), SigmoidHead())


def test_the_typical_row_of_the_card_is_predicted_in_the_formats_of_the_file(sales):
    row = {field["name"]: field["typical"] for field in sales.reader.fields()}
    assert (row["sold"][2:], row["built"][:8]) == (".02.2019", "2020-03-")
    assert len(sales.predict([row])) == 1
    assert sales.explain(row)["difference"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"takes dates %d.%m.%Y, not '2019-02-19'"):
        sales.predict([row | {"sold": "2019-02-19"}])


def test_a_row_of_a_frame_is_explained_as_its_dictionary(sales):
    row = {"sold": pd.Timestamp("2019-02-03"), "built": pd.Timestamp("2020-03-04"), "size": 5.5}
    frame = pd.DataFrame([row, row])
    expected = sales.explain(row)
    for same in (frame.iloc[0], frame.iloc[[0]]):
        pd.testing.assert_frame_equal(sales.explain(same), expected, check_dtype=False)
    with pytest.raises(InputError, match="one row, not 2"):
        sales.explain(frame)


def test_dates_of_a_database_are_dates(sales):
    row = {"sold": date(2019, 2, 3), "built": np.datetime64("2020-03-04"), "size": 5.5}
    typed = {"sold": "03.02.2019", "built": "2020-03-04", "size": "5,5"}
    pd.testing.assert_frame_equal(sales.predict([row]), sales.predict([typed]))


def test_columns_of_a_frame_may_be_numbers():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)))
    predictor = predictor_of(TableDataModule(frame, "2"), RegressionHead(1))
    predictions = predictor.predict(frame.rename(columns=str))
    pd.testing.assert_frame_equal(predictor.predict(frame), predictions)


def test_texts_are_a_list_a_series_or_a_column_of_a_frame(reviews):
    texts = ["a good film", "bad"]
    expected = reviews.predict(texts)
    pd.testing.assert_frame_equal(reviews.predict(pd.Series(texts)), expected)
    pd.testing.assert_frame_equal(reviews.predict(pd.DataFrame({"review": texts})), expected)


@pytest.mark.parametrize("rows", [None, "a text", {"review": "a text"}])
def test_what_is_not_a_list_of_rows_is_refused(reviews, rows):
    with pytest.raises(InputError, match="takes a list of rows"):
        reviews.predict(rows)


def test_a_row_of_another_kind_is_refused(reviews, sales):
    with pytest.raises(ValueError, match="a row is a text"):
        reviews.predict(pd.DataFrame({"text": ["a good film"]}))
    with pytest.raises(ValueError, match="a row is a dictionary by column"):
        sales.predict(pd.Series([1, 2, 3]))
