import pandas as pd
import pytest

from dlp.datamodules import TableDataModule
from dlp.datamodules.tables.dates import date_formats, look_like_dates
from dlp.errors import InputError

STAMPS = pd.Series(pd.date_range("2013-01-01 07:05", periods=60, freq="41h"))
SEVERAL_WAYS = ["03/04/2021", "05/06/2021", "07/07/2021"]


@pytest.mark.parametrize(
    "form",
    [
        "%m/%d/%Y", "%m/%d/%y", "%d/%m/%Y", "%d/%m/%y", "%m-%d-%Y", "%d-%m-%y", "%d.%m.%Y",
        "%m/%d/%Y %H:%M", "%m/%d/%y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M",
    ],
)  # fmt: skip
def test_a_day_above_12_decides_the_format(form):
    assert date_formats(STAMPS.dt.strftime(form), {}) == [form]


def test_days_and_months_may_have_one_digit():
    texts = pd.Series(["1/1/13 22:33", "12/31/13 0:05"])
    assert date_formats(texts, {}) == ["%m/%d/%y %H:%M"]


@pytest.mark.parametrize(
    "texts",
    [
        ["1/2", "3/4"],
        ["13/13/2020"],
        ["1/2/2020", "1.3.2020"],
        ["2020-01-02"],
        ["x"],
        [],
    ],
)
def test_other_texts_have_no_format(texts):
    assert date_formats(pd.Series(texts, dtype="str"), {}) == []


def test_where_the_cells_do_not_decide_the_formats_of_other_columns_do():
    cells = pd.Series(SEVERAL_WAYS)
    month, day = "%m/%d/%Y", "%d/%m/%Y"
    assert date_formats(cells, {}) == [month, day]
    assert date_formats(cells, {"date_format": {"other": "%d.%m.%Y"}}) == [day]
    assert date_formats(cells, {"date_format": "%m/%d/%y"}) == [month]
    both = {"date_format": {"a": day, "b": month}}
    assert date_formats(cells, both) == [month, day]


def test_dates_in_words_look_like_dates():
    assert look_like_dates(pd.Series(["07 Nov 2013", "Nov 7, 2013", "7-NOV-13"]))
    assert not look_like_dates(pd.Series(["12 kg", "1.250,00"]))


def test_undecided_dates_are_refused_with_both_arguments(tmp_path):
    frame = pd.DataFrame({"d": SEVERAL_WAYS * 20, "x": range(60), "y": range(60)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError) as refusal:
        TableDataModule(tmp_path / "a.csv", "y", drop_columns=["x"]).fit()
    message = str(refusal.value)
    assert "{d: '%m/%d/%Y'}" in message
    assert "{d: '%d/%m/%Y'}" in message
    assert "dates are lost" in message
    assert refusal.value.fixes == ()
