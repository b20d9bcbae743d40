from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import IntegratedGradients
from PIL import Image

from dlp.datamodules import TableDataModule
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.modules.heads import RegressionHead, SigmoidHead, SoftmaxHead
from dlp.modules.networks import ConvNet, DenseNet
from dlp.reader.model import Model
from dlp.reader.rows import ReaderError
from dlp.visualization import word_weights
from helpers.models import predictor_of
from helpers.sets import image_data, points_table, text_data


@pytest.fixture
def sales(tmp_path):
    """Return a predictor of a table with German dates and a column of ISO dates."""
    lines = ["sold;built;size;price"]
    for number in range(40):
        day = number % 28 + 1
        lines.append(f"{day:02}.02.2019;2020-03-{day:02};{number},5;{number}")
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(lines), "utf-8")
    options = {
        "sep": ";",
        "decimal": ",",
        "parse_dates": ["sold", "built"],
        "date_format": {"sold": "%d.%m.%Y", "built": "%Y-%m-%d"},
    }
    data = TableDataModule(path, "price", read_csv=options)
    return predictor_of(data, RegressionHead(1))


@pytest.fixture
def reviews(tmp_path):
    """Return a predictor of 30 words."""
    data = text_data(tmp_path, encoding="multi_hot")
    return predictor_of(data, SigmoidHead(), DenseNet((30,), 1, dropout=0.5))


def test_the_typical_row_of_the_card_is_predicted_in_the_formats_of_the_file(sales):
    fields = sales.encoder.fields()
    row = {field["name"]: field["typical"] for field in fields}
    formats = [field["date_format"] for field in fields]
    assert formats == ["%d.%m.%Y", "%Y-%m-%d", None]
    assert row["sold"].endswith(".02.2019")
    assert row["built"].startswith("2020-03-")
    assert len(sales.predict([row])) == 1
    assert sales.explain(row)["difference"].tolist() == pytest.approx(
        [0, 0, 0], abs=1e-5
    )
    with pytest.raises(ValueError, match=r"takes dates %d.%m.%Y, not '2019-02-19'"):
        sales.predict([row | {"sold": "2019-02-19"}])


def test_the_typical_date_of_a_column_with_hours_has_an_hour(tmp_path):
    hours = pd.date_range("2024-01-01", periods=48, freq="h")
    frame = pd.DataFrame({"time": hours, "load": range(48)})
    predictor = predictor_of(TableDataModule(frame, "load"), RegressionHead(1))
    [field] = predictor.encoder.fields()
    assert field["date_format"] == "%Y-%m-%dT%H:%M:%S"
    assert pd.Timestamp(field["typical"]) in set(hours)
    assert len(predictor.predict([{"time": field["typical"]}])) == 1


@pytest.mark.parametrize("as_columns", [True, False])
def test_a_wrong_row_is_named_by_its_number_among_all(as_columns, sales):
    fields = sales.encoder.fields()
    typical = {field["name"]: field["typical"] for field in fields}
    rows = [typical] * 4999 + [typical | {"size": "large"}]
    given = pd.DataFrame(rows) if as_columns else rows
    with pytest.raises(ValueError, match="'size' of row 4999 "):
        sales.predict(given)


def test_a_column_has_its_range_in_training(sales):
    size = sales.encoder.fields()[2]
    low, high = size["range"]
    assert low < size["typical"] < high


def test_a_row_of_a_frame_is_explained_as_its_dictionary(sales):
    row = {
        "sold": pd.Timestamp("2019-02-03"),
        "built": pd.Timestamp("2020-03-04"),
        "size": 5.5,
    }
    row_of_frame = pd.DataFrame([row, row]).iloc[0]
    explained = sales.explain(row_of_frame)
    pd.testing.assert_frame_equal(explained, sales.explain(row), check_dtype=False)


def test_dates_of_a_database_are_dates(sales):
    row = {"sold": date(2019, 2, 3), "built": np.datetime64("2020-03-04"), "size": 5.5}
    typed = {"sold": "03.02.2019", "built": "2020-03-04", "size": "5,5"}
    pd.testing.assert_frame_equal(sales.predict([row]), sales.predict([typed]))


def hour(frame):
    """Return the hour of a date, the size, and the first letter of a code."""
    code = frame["code"].str[:1] + frame["count"].astype(str)
    return pd.DataFrame(
        {"hour": frame["t"].dt.hour, "size": frame["size"], "code": code}
    )


def test_features_get_dictionaries_with_the_types_of_the_training(tmp_path):
    times = pd.date_range("2024-01-01", periods=48, freq="h", tz="+01:00")
    table = pd.DataFrame({"t": times.strftime("%Y-%m-%dT%H:%M:%S%z")})
    table["size"] = np.arange(48) / 2
    table["count"] = np.arange(48) % 3
    table["code"] = ["a1", "b2"] * 24
    table["load"] = np.arange(48) % 24 + 0.5
    table.to_csv(tmp_path / "load.csv", sep=";", decimal=",", index=False)
    options = {"sep": ";", "decimal": ",", "parse_dates": ["t"]}
    data = TableDataModule(
        tmp_path / "load.csv", "load", features=hour, read_csv=options
    )
    predictor = predictor_of(data, RegressionHead(1))
    frame = data.examples("train").inputs.frame.reset_index(drop=True)
    expected = predictor.predict(frame)
    numbers = table.drop(columns="load").iloc[data.examples("train").index]
    rows_of_json = numbers.to_dict("records")
    rows_of_csv = numbers.assign(
        size=numbers["size"].map(str).str.replace(".", ","),
        count=numbers["count"].map(str),
    ).to_dict("records")
    pd.testing.assert_frame_equal(predictor.predict(rows_of_json), expected)
    pd.testing.assert_frame_equal(predictor.predict(rows_of_csv), expected)
    [typical] = [field for field in predictor.encoder.fields() if field["name"] == "t"]
    assert typical["kind"] == "date"
    with pytest.raises(
        ValueError, match=r"'t' of row 0 takes dates by ISO 8601 with .*, not 'noon'"
    ):
        predictor.predict([rows_of_json[0] | {"t": "noon"}])
    with pytest.raises(ValueError, match="column 'size' of row 1 is absent"):
        predictor.predict(
            [rows_of_json[0], {"t": "2024-01-01", "count": 1, "code": "a1"}]
        )


def test_columns_of_a_frame_may_be_numbers():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)))
    predictor = predictor_of(TableDataModule(frame, "2"), RegressionHead(1))
    predictions = predictor.predict(frame.rename(columns=str))
    pd.testing.assert_frame_equal(predictor.predict(frame), predictions)
    rows = frame.to_dict("records")
    pd.testing.assert_frame_equal(predictor.predict(rows), predictions)
    columns = {name: frame[int(name)].tolist() for name in "01"}
    pd.testing.assert_frame_equal(predictor.predict(columns), predictions)
    with pytest.raises(InputError, match=r"the columns: .* same length"):
        predictor.predict(columns | {"0": [1.0]})


@pytest.mark.parametrize("kind", ["datetime64[ns]", "timedelta64[ns]"])
def test_times_are_no_numbers(kind):
    frame = pd.DataFrame(
        np.random.default_rng(0).normal(size=(20, 3)), columns=list("xyz")
    )
    predictor = predictor_of(TableDataModule(frame, "z"), RegressionHead(1))
    with pytest.raises(ValueError, match="'x' of row 0 takes finite numbers"):
        predictor.predict(frame.assign(x=np.zeros(20, kind)))


def test_texts_are_a_list_a_series_or_a_column_of_a_frame(reviews):
    texts = ["word6 word3", "word7"]
    expected = reviews.predict(texts)
    pd.testing.assert_frame_equal(reviews.predict(pd.Series(texts)), expected)
    pd.testing.assert_frame_equal(
        reviews.predict(pd.DataFrame({"text": texts})), expected
    )


@pytest.mark.filterwarnings("ignore:no word of the training texts")
def test_a_text_of_unknown_words_in_a_frame_is_predicted(reviews):
    texts = ["zzz", "word7"]
    frame = pd.DataFrame({"text": texts})
    pd.testing.assert_frame_equal(reviews.predict(frame), reviews.predict(texts))


def test_models_with_different_answers_are_refused(sales):
    [model] = sales.models
    answer = replace(model.spec.answer, temperature=2.0)
    other = Model(replace(model.spec, answer=answer), model.encoder, model.run)
    with pytest.raises(InputError, match="Run dlp calibrate again"):
        Predictor([model, other])


def test_no_rows_have_no_predictions(sales):
    assert len(sales.predict([])) == 0


@pytest.mark.parametrize("rows", [None, 3, "a text", {"review": "a text"}])
def test_what_is_not_a_list_of_rows_is_refused(reviews, rows):
    with pytest.raises(InputError, match=r"expected a list of rows, .* \[row\]"):
        reviews.predict(rows)


def test_a_row_of_another_kind_is_refused(reviews, sales):
    with pytest.raises(ValueError, match="a row is a text"):
        reviews.predict(pd.DataFrame({"review": ["a good film"]}))
    with pytest.raises(ValueError, match="a row is a dictionary by column, not 1"):
        sales.predict(pd.Series([1, 2, 3]))


def test_a_refused_row_is_named_by_its_type(reviews, sales):
    rows = pd.DataFrame({"review": ["a good film"], "size": [5.5]})
    as_lists = [["a good film"], [5.5]]
    with pytest.raises(ValueError, match=r"in column 'text', not a Series\."):
        reviews.predict([rows.iloc[0]])
    with pytest.raises(ValueError, match=r"by column, not a list\."):
        sales.predict(as_lists)


@pytest.mark.parametrize(
    ("outputs", "hidden", "activation"),
    [(1, [], "relu"), (1, [8, 8], "relu"), (3, [8], "tanh")],
)
def test_word_weights_are_the_integrated_gradients_of_captum(
    outputs, hidden, activation
):
    torch.manual_seed(0)
    network = DenseNet([30], outputs, hidden, activation, dropout=0.5).eval()
    bags = torch.rand(20, 30) * (torch.rand(20, 30) > 0.7)
    gradients = IntegratedGradients(lambda x: network(x)[:, -1])
    attribution = gradients.attribute(bags, n_steps=128, method="riemann_middle")
    weights = word_weights(network, bags, 1 if outputs == 1 else 2)
    torch.testing.assert_close(weights, attribution.float(), atol=1e-6, rtol=0)
    if outputs == 1:
        torch.testing.assert_close(word_weights(network, bags, 0), -weights)


def test_a_text_without_its_strongest_words_is_less_sure(reviews):
    words = reviews.encoder.words_[:12]
    text = " ".join(words)
    name = reviews.predict([text])["class"][0]
    reasons = reviews.explain(text)
    strongest = reasons.nlargest(3, "weight")["word"].tolist()
    rest = " ".join(word for word in words if word not in strongest)
    before, after = reviews.predict([text, rest])[f"prob_{name}"]
    assert after < before


def test_reasons_are_words_not_their_n_grams_of_characters(tmp_path):
    data = text_data(tmp_path, num_words=None, char_ngrams=4)
    predictor = predictor_of(data, SigmoidHead(), DenseNet(data.input_shape, 1))
    assert set(predictor.explain("word6 word3")["word"]) == {"word6", "word3"}


def test_a_text_without_a_word_has_only_its_start_as_a_reason(reviews):
    with pytest.warns(UserWarning, match="no word of the training texts"):
        reasons = reviews.explain("...")
    assert reasons["word"].tolist() == ["(start)"]


def test_an_exported_model_of_texts_refuses_to_explain(reviews):
    model = reviews.models[0]
    exported = Predictor([Model(model.spec, model.encoder, model.run)])
    with pytest.raises(InputError, match="checkpoint"):
        exported.explain("word6")


def test_a_column_tells_the_difference_from_its_typical_cell(tmp_path):
    data = TableDataModule(points_table(tmp_path / "points.csv"), "label")
    model = predictor_of(data, SigmoidHead())
    row = pd.Series({"x": 1.5, "y": -0.2, "kind": "red"})
    reasons = model.explain(row).set_index("column")
    with_typical_x = {**row, "x": reasons.loc["x", "typical"]}
    own, other = model.scores([row.to_dict(), with_typical_x])
    difference = (own - other)[own.argmax()]
    assert reasons.loc["x", "difference"] == pytest.approx(difference)


def test_each_word_of_a_column_is_told_once(tmp_path):
    notes = ["angry call", "calm call"] * 10
    frame = pd.DataFrame({"note": notes, "left": ["yes", "no"] * 10})
    data = TableDataModule(frame, "left", text_columns=["note"])
    model = predictor_of(data, SigmoidHead())
    reasons = model.explain({"note": "angry call"})
    assert set(reasons["column"]) == {"note"}
    assert sorted(reasons["value"]) == ["angry", "angry call", "call"]


def test_an_image_has_a_heat_map_up_to_one(tmp_path):
    network = ConvNet((3, 8, 8), 2, channels=[4], dense=[])
    with torch.no_grad():  # every pixel is a reason for the first class
        for weight in network.parameters():
            weight.abs_()
        network.classifier.output.weight[1].neg_()
    image = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    predictor = predictor_of(image_data(tmp_path), SoftmaxHead(2), network)
    heat = predictor.explain(Image.fromarray(image))
    assert heat.shape == (3, 3)
    assert heat.min() >= 0
    assert heat.max() == 1


def test_columns_belong_together_by_place(sales):
    frame = pd.DataFrame(
        {
            "sold": ["01.02.2019"] * 3,
            "built": ["2020-03-01"] * 3,
            "size": ["1", "2", "3"],
        }
    )
    expected = sales.scores(frame)
    columns = {name: frame[name] for name in frame}
    columns["size"] = columns["size"].set_axis([7, 8, 9])
    np.testing.assert_array_equal(sales.scores(columns), expected)
    with pytest.raises(ReaderError, match="two columns called 'size'"):
        sales.scores(pd.concat([frame, frame[["size"]]], axis=1))


def test_a_missing_text_is_an_empty_text(reviews):
    with pytest.warns(UserWarning, match="no word"):
        scores = reviews.scores([None, float("nan"), pd.NA, ""])
    assert (scores == scores[0]).all()


def test_no_rows_of_a_calibrated_model_give_no_predictions(sales):
    quantiles = [[[0.0, 1.0], [0.1, 0.2]]]
    sales.spec = replace(
        sales.spec, answer=replace(sales.spec.answer, coverage=0.9, quantiles=quantiles)
    )
    assert len(sales.predict([])) == 0
