"""Simple models on the same split, against scikit-learn used directly."""

import json
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, roc_auc_score
from table_examples import houses
from text_files import reviews, write_csv

from dlp.cli import main
from dlp.crossval import cross_validate
from dlp.datamodules import ArrayDataModule, TableDataModule, TextDataModule
from dlp.datamodules.tables.encoding import ColumnEncoder
from dlp.datamodules.text.tokens import split_words
from dlp.evaluation import baseline_inputs as module
from dlp.evaluation.fitted_baselines import fitted_baselines, fitted_lines, fitted_verdict
from dlp.modules import DenseModule, SupervisedModule

pytestmark = pytest.mark.usefixtures("undrawn_figures")
random = np.random.default_rng(0)
X = random.normal(size=(200, 4)).astype(np.float32)
LABELS = (X @ random.normal(size=(4, 3)) > 0).astype(int)
CLASSES = X[:, 0].round().clip(-1, 1).astype(int) + 1
VALUES = np.abs(X[:, :2] * 3 + random.normal(size=(200, 2)))


def dense(data, head, **arguments):
    return DenseModule(data.input_shape, data.num_outputs, head=head, hidden=[], **arguments)


@pytest.fixture
def table(tmp_path):
    frame = houses(120).drop(columns="id")
    frame.loc[::7, "area"] = np.nan
    frame.loc[::11, "city"] = np.nan
    frame.to_csv(tmp_path / "houses.csv", index=False)
    return tmp_path / "houses.csv"


def make_table(path, **arguments):
    return TableDataModule(path, "price", missing="median", test_size=0.2, **arguments)


def test_trees_get_holes_and_categories_as_they_are(table):
    data = make_table(table)
    found = fitted_baselines(dense(data, "regression"), data)
    parts = {part: data.examples(part) for part in ("train", "val", "test")}
    codes = sorted(parts["train"].rows.city.dropna().unique())

    def columns(part):
        rows = parts[part].rows
        city = rows.city.map({name: code for code, name in enumerate(codes)}).fillna(len(codes))
        return rows.assign(garden=rows.garden.astype(float), city=city)[
            ["area", "rooms", "garden", "city"]
        ].to_numpy(float)

    reference = HistGradientBoostingRegressor(
        categorical_features=[False, False, False, True], random_state=0
    ).fit(columns("train"), parts["train"].targets)
    for part in ("val", "test"):
        expected = mean_absolute_error(parts[part].targets, reference.predict(columns(part)))
        assert found["boosting"].scores[part]["mae"] == pytest.approx(expected, rel=1e-5)
    assert found["boosting"].rows == len(parts["train"].rows)
    assert found["linear"].model == "ridge regression"


def test_a_linear_model_gets_filled_and_one_hot_columns_whatever_the_network_gets(table):
    data = make_table(table, scaling="quantile", bins=8)
    found = fitted_baselines(dense(data, "regression"), data, ["val"])
    train, val = data.examples("train"), data.examples("val")
    kinds = {"missing": "median", "scaling": "standard"}
    encoder = ColumnEncoder(**kinds)
    encoder.fit(train.rows)
    ridge = Ridge().fit(encoder.transform(train.rows).numpy(), train.targets)
    expected = mean_absolute_error(val.targets, ridge.predict(encoder.transform(val.rows).numpy()))
    assert found["linear"].scores["val"]["mae"] == pytest.approx(expected, rel=1e-3)


def test_of_more_categories_than_trees_take_the_codes_are_numbers(tmp_path):
    names = [f"name {number}" for number in range(300)]
    frame = pd.DataFrame({"who": names * 2, "a": np.arange(600), "price": np.arange(600) / 7})
    frame.to_csv(tmp_path / "names.csv", index=False)
    data = TableDataModule(tmp_path / "names.csv", "price", categorical_columns=["who"])
    found = fitted_baselines(dense(data, "regression"), data, ["val"])
    assert found["boosting"].scores["val"]["mae"] < 5


def test_nothing_is_learned_from_the_test_part(table):
    data = make_table(table)
    before = fitted_baselines(dense(data, "regression"), data)
    frame = pd.read_csv(table)
    rows = frame.price.isin(data.examples("test").targets)
    frame.loc[rows, "price"] = 1e9
    frame.loc[rows, "rooms"] = 1e6
    frame.to_csv(table, index=False)
    data = make_table(table)
    after = fitted_baselines(dense(data, "regression"), data)
    for name in ("linear", "boosting"):
        assert after[name].scores["val"] == before[name].scores["val"]
        assert after[name].scores["test"]["mae"] > 1e6


def test_texts_as_scikit_learn_has_them(tmp_path):
    path = write_csv(tmp_path / "reviews.csv", reviews(90))
    data = TextDataModule(path, num_words=30, test_size=20, val_size=20)
    found = fitted_baselines(dense(data, "sigmoid", metrics=["acc", "auroc"]), data, ["test"])
    texts = pd.read_csv(path).text.to_numpy()
    rows = {part: data.examples(part).rows.rows for part in ("train", "test")}
    vectorizer = TfidfVectorizer(
        tokenizer=split_words,
        token_pattern=None,
        ngram_range=(1, 2),
        min_df=2,
        sublinear_tf=True,
    )
    inputs = vectorizer.fit_transform(texts[rows["train"]])
    targets = {part: data.targets.encode(data.examples(part).targets) for part in rows}
    reference = LogisticRegression(C=10).fit(inputs, targets["train"])
    chances = reference.predict_proba(vectorizer.transform(texts[rows["test"]]))
    scores = found["linear"].scores["test"]
    assert scores["acc"] == accuracy_score(targets["test"], chances.argmax(1))
    assert scores["loss"] == pytest.approx(log_loss(targets["test"], chances), rel=1e-2)
    expected = roc_auc_score(targets["test"], chances[:, 1])
    assert scores["auroc"] == pytest.approx(expected, abs=1e-6)
    assert found["linear"].model == "logistic regression on TF-IDF"
    assert set(found) == {"linear"}


@pytest.mark.parametrize("one_hot", [False, True])
def test_classes(one_hot):
    y = np.eye(3)[CLASSES] if one_hot else CLASSES
    data = ArrayDataModule(X, y, test_size=50, val_size=None)
    found = fitted_baselines(dense(data, "softmax"), data)
    train, test = data.examples("train"), data.examples("test")
    expected, targets = (
        part.targets.argmax(1) if one_hot else part.targets for part in (train, test)
    )
    reference = HistGradientBoostingClassifier(random_state=0).fit(train.rows, expected)
    assert set(found["boosting"].scores) == {"test"}  # there is no validation part
    scores = found["boosting"].scores["test"]
    assert scores["acc"] == pytest.approx(reference.score(test.rows, targets))
    chances = reference.predict_proba(test.rows)
    assert scores["loss"] == pytest.approx(log_loss(targets, chances), rel=1e-3)
    assert found["linear"].scores["test"]["acc"] > 0.8


def test_labels_and_several_values():
    data = ArrayDataModule(X, LABELS, task="multilabel", test_size=50)
    found = fitted_baselines(dense(data, "multilabel"), data)
    assert found["linear"].scores["test"]["acc"] > 0.9
    assert found["boosting"].scores["val"]["f1"] > 0.8
    data = ArrayDataModule(X, VALUES, test_size=50)
    found = fitted_baselines(dense(data, "regression", metrics=["r2"]), data)
    assert found["boosting"].scores["test"]["r2"] > found["linear"].scores["test"]["r2"]
    shares = VALUES[:, 0] / VALUES[:, 0].max()
    data = ArrayDataModule(X, shares, task="regression", test_size=50)
    found = fitted_baselines(dense(data, "bounded_regression"), data)
    assert all(each.scores["test"]["mae"] < 0.2 for each in found.values())


def test_class_weights_and_the_rule_of_a_threshold_hold_for_them_too():
    rare = (X[:, 0] + random.normal(size=200) > 1.8).astype(int)
    data = ArrayDataModule(X, rare, test_size=80, stratify=True)
    metrics = ["recall", "f1"]
    plain = fitted_baselines(dense(data, "sigmoid", metrics=metrics), data)
    model = dense(data, "sigmoid", metrics=metrics)
    model.head.weigh("balanced", data.class_names, data.target_summary["frequencies"])
    weighted = fitted_baselines(model, data)
    model = dense(data, "sigmoid", metrics=metrics, threshold={"false_negative": 1000})
    anxious = fitted_baselines(model, data)
    recalls = [each["linear"].scores["val"]["recall"] for each in (plain, weighted, anxious)]
    assert recalls[0] < recalls[1] <= recalls[2] == 1


def test_models_with_a_threshold_for_f1_are_compared_by_f1():
    rare = (X[:, 0] + random.normal(size=200) > 1.8).astype(int)
    data = ArrayDataModule(X, rare, test_size=80, stratify=True)
    found = fitted_baselines(dense(data, "sigmoid", threshold="f1"), data)
    assert [*found["linear"].scores["val"]] == ["f1", "acc", "loss"]
    *_, verdict = fitted_lines(found, {"val_acc": 0.1, "val_f1": 1.0, "val_loss": 9.0}, "val")
    assert verdict.startswith("better than the baselines: val_f1 1.0000 against ")


def test_images_have_a_linear_model_of_few_pixels():
    images = random.random((60, 1, 50, 40)).astype(np.float32) / 5
    kinds = np.arange(60) % 2
    images[kinds == 1, :, :10] += 0.8
    data = ArrayDataModule(images, kinds, test_size=20)
    found = fitted_baselines(dense(data, "sigmoid"), data)
    assert set(found) == {"linear"}
    assert found["linear"].scores["test"]["acc"] == 1
    assert module._flat(torch.zeros(2, 1, 50, 40)).shape == (2, 32 * 32)


def test_of_many_rows_a_sample_is_fitted_on(monkeypatch):
    monkeypatch.setattr(module, "_MAX_ROWS", 60)
    data = ArrayDataModule(X, CLASSES, test_size=50)
    found = fitted_baselines(dense(data, "softmax"), data)
    assert {each.rows for each in found.values()} == {60}
    assert "fitted on 60 rows in" in fitted_lines(found, {}, "test")[0]


def test_a_class_that_the_sample_lacks_has_no_chance(monkeypatch):
    monkeypatch.setattr(module, "_MAX_ROWS", 5)
    data = ArrayDataModule(X, np.arange(200) % 40, test_size=80, stratify=True)
    found = fitted_baselines(dense(data, "softmax"), data)
    assert 0 <= found["linear"].scores["test"]["acc"] < 0.2


def test_another_module_has_no_baselines():
    data = ArrayDataModule(X, CLASSES)
    assert fitted_baselines(lightning.LightningModule(), data) == {}


def test_any_network_under_a_head_has_them():
    data = ArrayDataModule(X, CLASSES)
    network = torch.nn.Linear(4, 3)
    assert fitted_baselines(SupervisedModule(network, "softmax", 3), data)["linear"].rows == 160


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (2.0, "the baseline is the better model: trees has val_mae 1.5000, this one 2.0000"),
        (1.5, "the baseline is as good as this model: val_mae 1.5000 (trees)"),
        (1.0, "better than the baselines: val_mae 1.0000 against 1.5000 (trees)"),
    ],
)
def test_the_verdict_is_plain(own, text):
    baselines = {"line": {"mae": 3.0, "loss": 0.1}, "trees": {"mae": 1.5, "loss": 9.0}}
    assert fitted_verdict(baselines, {"val_mae": own, "val_loss": 1.0}, "val") == text


def test_the_verdict_takes_a_metric_whose_direction_is_known():
    baselines = {"line": {"strangeness": 3.0, "loss": 0.1}}
    own = {"val_strangeness": 5.0, "val_loss": 0.2}
    assert "better model: line has val_loss 0.1000" in fitted_verdict(baselines, own, "val")
    known = {"val_strangeness": "max"}
    assert fitted_verdict(baselines, own, "val", known).startswith("better than the baselines")
    assert fitted_verdict({}, own, "val") == ""


def test_of_very_many_classes_none_are_fitted_which_is_said(capsys):
    x = np.repeat(X, 5, axis=0)
    data = ArrayDataModule(x, np.arange(len(x)) % 201, val_size=201, stratify=True)
    assert fitted_baselines(dense(data, "softmax"), data) == {}
    assert "201 classes: scikit-learn's baselines are fitted for 200" in capsys.readouterr().out


def test_folds_have_them_too():
    data = ArrayDataModule(X, CLASSES)
    result = cross_validate(
        data, lambda data: dense(data, "softmax"), 1, num_folds=2, baselines=True
    )
    assert {"majority_class", "logistic regression", "gradient boosting"} <= set(result.baseline)
    assert result.baseline["gradient boosting"]["acc"] > 0.8
    assert "baseline: gradient boosting" in result.table()


RECIPE = {
    "data": {
        "class_path": "TableDataModule",
        "init_args": {"path": "houses.csv", "target": "price", "test_size": 0.2},
    },
    "model": {"class_path": "DenseModule", "init_args": {"head": "regression"}},
    "trainer": {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False},
    "test_after_fit": "best",
    "baselines": True,
}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    houses(100).drop(columns="id").to_csv("houses.csv", index=False)
    Path("houses.yaml").write_text(yaml.safe_dump(RECIPE))
    return "houses.yaml"


def results(name="houses"):
    return json.loads(Path(f"runs/{name}/version_0/results.json").read_text())


def test_a_fit_says_plainly_that_the_baseline_is_better(recipe, capsys):
    main(["fit", "--config", recipe])
    said = capsys.readouterr().out
    assert "baseline: gradient boosting (fitted on 60 rows in" in said
    for part in ("val", "test"):
        assert f"the baseline is the better model: ridge regression has {part}_mae" in said
    kept = results()
    assert set(kept["baselines"]) == {"linear", "boosting"}
    linear = kept["baselines"]["linear"]
    assert linear["model"] == "ridge regression"
    assert linear["rows"] == 60
    assert kept["test"]["baseline"]["ridge regression"] == linear["test"]
    assert linear["val"]["mae"] < kept["best"]["val_mae"]


def test_a_test_adds_its_part(recipe, capsys):
    main(["fit", "--config", recipe, "--test_after_fit", "null"])
    assert "test" not in results()["baselines"]["linear"]
    assert "test_mae" not in capsys.readouterr().out
    main(["test", "--config", recipe])
    assert {"val", "test"} <= set(results()["baselines"]["linear"])
    assert "has test_mae" in capsys.readouterr().out


def test_they_are_fitted_on_request_alone_and_never_in_a_trial(recipe, capsys):
    main(["fit", "--config", recipe, "--baselines", "false"])
    main(["fit", "--config", recipe, "--trainer.fast_dev_run", "true"])
    assert "better model" not in capsys.readouterr().out
    assert "baselines" not in results()


def test_a_cross_validation_on_request(recipe, capsys):
    main(["crossval", "--config", recipe, "--num_folds", "2"])
    said = capsys.readouterr().out
    assert "baseline: ridge regression" in said
    assert "the baseline is the better model: ridge regression has val_mae" in said
