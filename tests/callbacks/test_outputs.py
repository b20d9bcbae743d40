import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.callbacks import History, PredictionWriter
from dlp.callbacks.mistakes import MistakesReport, write_mistakes
from dlp.callbacks.predictions import concatenated
from dlp.datamodules import ArrayDataModule, TableDataModule
from dlp.datamodules.base import Examples
from dlp.errors import InputError
from dlp.evaluation.baselines import guess_scores
from dlp.modules import DenseModule, EnsembleModule
from dlp.reader.answer import Answer
from helpers.rounding import assert_rounded_alike
from helpers.training import loader, plain_loaders, quiet_trainer

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(20, 3)).astype(np.float32)
ROWS = np.arange(20)
LABELS = np.stack([ROWS % 2, ROWS // 10, ROWS % 3 == 0], axis=1).astype(int)
VALUES = DRAW.normal(size=(20, 2))
KEYS = [float(2**53 - row) for row in range(20)]
FIGURES = {
    "softmax": {"confusion.png", "reliability.png", "worst.png"},
    "multilabel": {"reliability.png"},
    "regression": {"values.png"},
}


def written(path, module, data):
    """Return the table of a prediction."""
    quiet_trainer(callbacks=[PredictionWriter(path)]).predict(module, datamodule=data)
    return pd.read_csv(path, dtype={"class": str, "target": str})


def predict(path, y, head, model=DenseModule, **arguments):
    """Predict X by an untrained model; return the table and its predictions in such batches."""
    arguments = {"val_size": None, **arguments}
    data = ArrayDataModule(X, y, eval_batch_size=8, **arguments)
    torch.manual_seed(0)
    module = model(data.input_shape, data.num_outputs, head=head)
    table = written(path, module, data)
    with torch.no_grad():
        batches = torch.from_numpy(X).split(8)
        predictions = [module.head.predict(module.eval()(batch)) for batch in batches]
        return table, torch.cat(predictions).numpy()


@pytest.mark.parametrize(
    ("y", "head"), [(np.arange(20) % 3, "softmax"), (LABELS, "multilabel")]
)
def test_classes_have_their_names_and_nine_digits_of_each_probability(
    y, head, tmp_path
):
    table, expected = predict(tmp_path / "a" / "b.csv", y, head, x_predict=X)
    assert list(table) == ["index", "class", "prob_0", "prob_1", "prob_2"]
    assert table["index"].tolist() == list(range(20))
    probabilities = table.filter(like="prob_").to_numpy(np.float32)
    assert_rounded_alike(probabilities, expected)
    is_class = expected > 0.5
    if head == "softmax":
        is_class = expected == expected.max(axis=1, keepdims=True)
    names = []
    for row in is_class:
        numbers = np.flatnonzero(row)
        names.append(";".join(map(str, numbers)))
    assert table["class"].fillna("").tolist() == names


@pytest.mark.parametrize(
    ("y", "head", "targets"),
    [
        (np.arange(20) % 3, "softmax", {"target": [str(n % 3) for n in range(20)]}),
        (VALUES, "regression", {"target_0": VALUES[:, 0], "target_1": VALUES[:, 1]}),
    ],
)
def test_a_shuffled_test_part_is_written_by_rows_with_its_targets(
    y, head, targets, tmp_path
):
    table, expected = predict(tmp_path / "p.csv", y, head, test_size=8)
    rows = table["index"].to_numpy()
    assert len(rows) == 8
    assert (np.diff(rows) > 0).all()
    for name, values in targets.items():
        truth = [float(values[row]) for row in rows]
        assert table[name].astype(float).tolist() == truth
    numbers = table.filter(regex="prob_|value").to_numpy(np.float32)
    np.testing.assert_allclose(numbers, expected[rows], rtol=1e-6)


def test_the_summary_compares_with_the_median_of_the_training_as_the_baseline_does(
    tmp_path,
):
    data = ArrayDataModule(X, DRAW.exponential(size=20), val_size=None, test_size=9)
    module = DenseModule(data.input_shape, 1, head="regression")
    targets = data.examples("test").targets.reshape(-1, 1)
    outputs = {"index": np.arange(9), "targets": targets, "values": np.zeros((9, 1))}
    answer = Answer(None, ["value"])
    [target] = write_mistakes(tmp_path, data, "test", outputs, answer).report["targets"]
    baseline = guess_scores(module, data, "test")["median"]["mae"]
    assert target["mae_of_median"] == pytest.approx(baseline)


@pytest.mark.parametrize("ids", [{"key": KEYS[5:9]}, {}])
def test_rows_of_a_table_carry_the_id_that_they_have(ids, tmp_path):
    frame = pd.DataFrame({"key": KEYS, "x": X[:, 0], "label": ["a", "b"] * 10})
    frame.to_csv("t.csv", index=False)
    frame.loc[5:8, [*ids, "x"]].to_csv("new.csv", index=False)
    data = TableDataModule("t.csv", "label", id_column="key", predict_path="new.csv")
    module = DenseModule(data.input_shape, 2, head="sigmoid")
    table = written(tmp_path / "p.csv", module, data)
    assert list(table) == [*ids, "index", "class", "prob_a", "prob_b"]
    assert table[list(ids)].to_dict("list") == ids
    likelier = np.where(table["prob_b"] > 0.5, "b", "a")
    assert (table["class"] == likelier).all()


def test_inputs_of_a_table_are_written_beside_the_predictions_also_as_parquet(tmp_path):
    frame = pd.DataFrame(
        {"class": list("xy") * 10, "x": X[:, 0], "label": ["a", "b"] * 10}
    )
    data = TableDataModule(frame, "label", predict_path=frame.tail(3))
    module = DenseModule(data.input_shape, 2, head="sigmoid")
    writer = PredictionWriter(tmp_path / "p.parquet", with_inputs=True)
    quiet_trainer(callbacks=[writer]).predict(module, datamodule=data)
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table)[2:] == ["class", "prob_a", "prob_b", "class (input)", "x"]
    assert table["x"].tolist() == frame["x"].tail(3).tolist()


def test_without_a_path_the_rows_are_printed(capsys):
    data = ArrayDataModule(X, np.arange(20) % 2, x_predict=X[:2], val_size=None)
    module = DenseModule((3,), 2, head="sigmoid")
    quiet_trainer(callbacks=[PredictionWriter(None)]).predict(module, datamodule=data)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2


def test_a_module_of_ones_own_must_return_an_index(tmp_path):
    class Own(DenseModule):
        def predict_step(self, batch, batch_idx=0):
            return self(batch[0])

    with pytest.raises(
        InputError, match="predict_step of Own: expected a dictionary with index"
    ):
        predict(tmp_path / "p.csv", np.arange(20) % 2, "sigmoid", Own, x_predict=X)


@plain_loaders
@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("sigmoid", ["class", "prob_0", "prob_1"]),
        ("multilabel", ["class", "prob_0", "prob_1"]),
        ("regression", ["value_0", "value_1"]),
    ],
)
def test_predictions_of_plain_loaders_are_written_by_number(head, columns, tmp_path):
    module = DenseModule((3,), 2, head=head)
    trainer = quiet_trainer(callbacks=[PredictionWriter(tmp_path / "p.csv")])
    trainer.predict(module, loader(torch.from_numpy(X), torch.zeros(20)))
    table = pd.read_csv(tmp_path / "p.csv", dtype={"class": str})
    assert list(table) == ["index", *columns]
    assert table["index"].tolist() == list(range(20))


WRITTEN = "index fold text input target class value set low high std true predicted probability"


@pytest.mark.parametrize("name", WRITTEN.split())
def test_an_id_column_called_as_a_column_of_predictions_is_refused(name):
    with pytest.raises(InputError, match=f"^id_column: .*, got .{name}."):
        Examples(np.zeros((2, 1)), id_columns={name: np.array(["a", "b"])})


@pytest.mark.parametrize("name", ["prob_a", "std_b"])
def test_an_id_column_called_as_a_column_of_a_class_is_refused(name):
    frame = pd.DataFrame({name: KEYS, "x": X[:, 0], "label": ["a", "b"] * 10})
    with pytest.raises(InputError, match=f"^id_column: .*, got .{name}."):
        TableDataModule(frame, "label", id_column=name).fit()


def test_each_written_column_is_among_those_that_cannot_name_rows(tmp_path):
    frame = pd.DataFrame({"key": KEYS, "x": X[:, 0], "y": VALUES[:, 0]})
    data = TableDataModule(frame, "y", id_column="key", test_size=8)
    member = partial(DenseModule, data.input_shape, 1, "regression")
    callbacks = [PredictionWriter("p.csv"), MistakesReport(tmp_path)]
    trainer = quiet_trainer(callbacks=callbacks)
    trainer.test(EnsembleModule(member, 2), data, verbose=False)
    trainer.predict(EnsembleModule(member, 2), data)
    columns = set(pd.read_csv("p.csv")) | set(pd.read_csv("worst.csv"))
    assert columns - set(WRITTEN.split()) == {"key"}


class OwnLoaders(ArrayDataModule):
    """Data that serves other rows than those of its parts, by loaders of its own."""

    def rows(self):
        targets = self.labelled_rows["train"].targets
        return loader(torch.from_numpy(X[10:]), torch.from_numpy(targets[10:]))

    test_dataloader = predict_dataloader = rows


@plain_loaders
@pytest.mark.parametrize(
    ("y", "head"), [(np.arange(20) % 2, "sigmoid"), (VALUES[:, 0], "regression")]
)
def test_rows_of_a_loader_of_ones_own_are_numbered(y, head, tmp_path):
    data = OwnLoaders(X, y, val_size=None, test_size=15)
    module = DenseModule((3,), data.num_outputs, head)
    module.network.requires_grad_(False)
    trainer = quiet_trainer(
        callbacks=[PredictionWriter("p.csv"), MistakesReport(tmp_path)]
    )
    trainer.test(module, data, verbose=False)
    trainer.predict(module, data)
    report = json.loads((tmp_path / "mistakes.json").read_text())
    assert report["rows"] == 10
    worst = pd.read_csv(tmp_path / "worst.csv")
    assert "input" not in worst
    truth = y[10:][worst["index"]].astype(float).tolist()
    assert worst["true"].tolist() == pytest.approx(truth, rel=1e-5)
    table = pd.read_csv("p.csv")
    assert table["index"].tolist() == list(range(10))
    assert "target" not in table


def test_paths_may_be_texts():
    data = ArrayDataModule(X, np.arange(20) % 2, test_size=4)
    model = DenseModule((3,), 2, head="sigmoid", hidden=())
    quiet_trainer(callbacks=[History("history")]).fit(model, data)
    quiet_trainer(callbacks=[MistakesReport("mistakes")]).test(
        model, data, verbose=False
    )
    written("p.csv", model, data)
    for name in ("history/metrics.csv", "mistakes/mistakes.json", "p.csv"):
        assert Path(name).is_file()


class OnDevice:
    """Outputs of a batch that lie on a device until they are moved."""

    def to(self, device):
        assert device == torch.device("cpu")
        return torch.zeros(4, 2)


def test_the_outputs_of_a_batch_are_collected_on_the_cpu():
    writer = PredictionWriter(None)
    writer.collect(None, None, {"values": OnDevice()}, None, 0)
    assert concatenated(writer._batches, "values").shape == (4, 2)


def run_test(folder, model, data):
    quiet_trainer(callbacks=[MistakesReport(folder)]).test(model, data, verbose=False)


def test_the_true_values_of_the_worst_rows_are_those_of_the_data(tmp_path):
    frame = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60) % 2 + 1e6})
    data = TableDataModule(frame, "y", test_size=20, target_scaling="standard")
    scaling = {"target_mean": data.target_mean, "target_std": data.target_std}
    run_test(tmp_path, DenseModule(data.input_shape, 1, "regression", **scaling), data)
    worst = pd.read_csv(tmp_path / "worst.csv")
    assert set(worst["true"]) == {1e6, 1e6 + 1}


@pytest.mark.parametrize(
    "y", [np.arange(20) // 17, np.arange(20) // 9, np.eye(20, 4, dtype=int)]
)
def test_a_rare_class_or_label_that_is_missed_has_a_remedy(y, tmp_path, capsys):
    data = ArrayDataModule(X, y, test_size=10)
    probabilities = np.eye(4)[[0] * 10, : data.num_outputs] * (y.ndim == 1)
    outputs = {
        "index": np.arange(10),
        "probabilities": probabilities,
        "targets": y[::2],
    }
    task = "multilabel" if y.ndim == 2 else "multiclass"
    write_mistakes(tmp_path, data, "test", outputs, Answer(task, data.class_names))
    rare = {1: f"0% of '{y.max()}'", 2: "0% of '0'"}[y.ndim]
    assert f"{rare} are found: try --model.class_weight" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("softmax", ["0", "1", "2"]),
        ("multilabel", ["0", "1"]),
        ("regression", ["value"]),
    ],
)
def test_a_test_writes_numbers_figures_and_the_worst_rows(head, names, tmp_path):
    shape = (1, 3, 3) if head == "softmax" else (2,)  # images, and columns
    x = np.random.default_rng(0).normal(size=(60, *shape))
    y = {
        "softmax": np.arange(60) % 3.0,  # to the data, these are values
        "multilabel": (x > 0).astype(int),
        "regression": x[:, 0],
    }[head]
    task = "multilabel" if head == "multilabel" else "regression"
    data = ArrayDataModule(x, y, test_size=20, task=task, eval_batch_size=7)
    run_test(tmp_path, DenseModule(data.input_shape, len(names), head), data)
    report = json.loads((tmp_path / "mistakes.json").read_text())
    assert report["rows"] == 20
    assert [
        entry["name"] for entry in report.get("classes") or report["targets"]
    ] == names
    assert {path.name for path in tmp_path.glob("*.png")} == FIGURES[head]
    worst = pd.read_csv(tmp_path / "worst.csv")
    assert worst["index"].isin(data.examples("test").index).all()
    if head == "regression":
        assert worst["true"].tolist() == pytest.approx(y[worst["index"]].tolist())


def test_a_diverged_model_is_named(tmp_path, capsys):
    data = ArrayDataModule(np.eye(20), np.arange(20.0), test_size=5, task="regression")
    model = DenseModule(data.input_shape, 1, "regression")
    model.network.layers.output.bias.data.fill_(float("nan"))
    run_test(tmp_path, model, data)
    assert "NaN or infinity" in capsys.readouterr().out
    assert not any(tmp_path.glob("*.json"))
