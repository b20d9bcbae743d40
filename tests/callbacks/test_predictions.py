import csv

import numpy as np
import pandas as pd
import pytest
import torch
from image_files import write_classes
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from dlp.callbacks import MistakesReport, PredictionWriter
from dlp.datamodules import ArrayDataModule, ImageFolderDataModule, TableDataModule
from dlp.errors import InputError
from dlp.modules import ConvNetModule, DenseModule
from dlp.runs.prediction_files import file_of, remember

TASKS = {"sigmoid": "classification", "multilabel": "multilabel"}
X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


def writer(path):
    """Return a Trainer that writes predictions to `path`."""
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[PredictionWriter(path)],
    )


def predict(tmp_path, y, head, **arguments):
    """Predict X with an untrained model; give the rows and what the model says of X."""
    data = ArrayDataModule(X, y, x_predict=X, eval_batch_size=8, val_size=None, **arguments)
    model = DenseModule(data.input_shape, data.num_outputs, head=head)
    path = tmp_path / "out" / "predictions.csv"
    writer(path).predict(model, datamodule=data)
    with torch.no_grad():
        expected = model.head.predict(model.eval()(torch.from_numpy(X))).numpy()
    return list(csv.reader(path.read_text().splitlines())), expected


def test_classes(tmp_path):
    rows, expected = predict(
        tmp_path, np.arange(20) % 3, "softmax", class_names=["ant", "bee", "cat"]
    )
    assert rows[0] == ["index", "class", "prob_ant", "prob_bee", "prob_cat"]
    assert [row[0] for row in rows[1:]] == [str(number) for number in range(20)]
    assert np.allclose(np.array(rows[1:])[:, 2:].astype(float), expected, atol=1e-5)
    names = np.array(["ant", "bee", "cat"])[expected.argmax(1)]
    assert [row[1] for row in rows[1:]] == names.tolist()


def test_labels_are_joined(tmp_path):
    y = np.stack([np.arange(20) % 2, np.arange(20) // 10, np.ones(20)], 1).astype(int)
    rows, expected = predict(
        tmp_path, y, "multilabel", class_names=["red", "big", "old"], task="multilabel"
    )
    assert rows[0] == ["index", "class", "prob_red", "prob_big", "prob_old"]
    for row, values in zip(rows[1:], expected, strict=True):
        chosen = [n for n, value in zip(["red", "big", "old"], values, strict=True) if value > 0.5]
        assert row[1] == ";".join(chosen)


@pytest.mark.parametrize(("targets", "header"), [(1, ["value"]), (2, ["value_0", "value_1"])])
def test_values(tmp_path, targets, header):
    y = np.random.default_rng(1).normal(size=(20, targets))
    rows, expected = predict(tmp_path, y, "regression")
    assert rows[0] == ["index", *header]
    assert np.allclose(np.array(rows[1:])[:, 1:].astype(float), expected, rtol=1e-4)


def test_files_are_named(tmp_path):
    """Classes and values, of a folder to predict and of the test part."""
    write_classes(tmp_path / "pets", {"ants": 5, "bees": 4})
    new = write_classes(tmp_path / "new", {"a b": 3, "x": 2}, start=20)
    (new / "a b/021.png").write_bytes(b"cut short")
    arguments = {"image_size": (8, 10), "val_size": None, "on_corrupt": "skip"}
    model = ConvNetModule((3, 8, 10), 2, channels=(2,), dense=(2,))
    for given, expected in (
        (
            {"predict_path": new},
            [new / f"{n}.png" for n in ("a b/020", "a b/022", "x/023", "x/024")],
        ),
        ({"predict_path": new / "x/024.png"}, [new / "x/024.png"]),
        ({"test_path": tmp_path / "pets"}, sorted((tmp_path / "pets").rglob("*.png"))),
    ):
        data = ImageFolderDataModule(tmp_path / "pets", **arguments, **given)
        writer(tmp_path / "out.csv").predict(model, datamodule=data)
        header, *rows = csv.reader((tmp_path / "out.csv").read_text().splitlines())
        truth = ["true"] if "test_path" in given else []
        assert header == ["index", "path", *truth, "class", "prob_ants", "prob_bees"]
        skipped = {1} if given == {"predict_path": new} else set()
        kept = sorted(set(range(len(rows) + len(skipped))) - skipped)
        assert [row[0] for row in rows] == [str(number) for number in kept]
        assert [row[1] for row in rows] == [str(path) for path in expected]
        assert {row[2] for row in rows} <= {"ants", "bees"}
        if truth:
            assert [row[2] for row in rows] == [path.parent.name for path in expected]


def test_files_are_named_beside_values(tmp_path):
    write_classes(tmp_path / "pets", {"ants": 3})
    lines = ["image,age,weight", *(f"ants/{n:03}.png,{n / 2},{n / 3}" for n in range(3))]
    (tmp_path / "pets/ages.csv").write_text("\n".join(lines))
    data = ImageFolderDataModule(
        tmp_path / "pets/ages.csv",
        target=["age", "weight"],
        image_size=(8, 10),
        val_size=None,
        predict_path=tmp_path / "pets",
    )
    model = ConvNetModule((3, 8, 10), 2, "regression", channels=(2,), dense=(2,))
    writer(tmp_path / "out.csv").predict(model, datamodule=data)
    header, *rows = csv.reader((tmp_path / "out.csv").read_text().splitlines())
    assert header == ["index", "path", "value_age", "value_weight"]
    assert [row[1][-7:] for row in rows] == ["000.png", "001.png", "002.png"]


def test_labels_through_a_plain_loader_are_labels_named_by_the_model(tmp_path):
    """The head knows that they do not exclude each other; a DataModule of another fit does not."""
    torch.manual_seed(0)
    model = DenseModule((3,), 3, head="multilabel")
    torch.nn.init.uniform_(model.network.layers[-1].bias)
    model.class_names = ["red", "big", "old"]
    trainer = writer(tmp_path / "out.csv")
    other = ArrayDataModule(X, np.arange(20) % 3, class_names=["x", "y", "z"], x_predict=X)
    other.setup("predict")
    trainer.datamodule = other  # as after a fit on other data
    trainer.predict(model, DataLoader(torch.from_numpy(X), batch_size=8))
    header, *rows = csv.reader((tmp_path / "out.csv").read_text().splitlines())
    assert header == ["index", "class", "prob_red", "prob_big", "prob_old"]
    with torch.no_grad():
        given = model.eval()(torch.from_numpy(X)).sigmoid() > 0.5
    names = np.array(["red", "big", "old"])
    assert [row[1] for row in rows] == [";".join(names[row]) for row in given.numpy()]
    assert any(";" in row[1] for row in rows)


def test_half_a_chance_is_no_in_files_metrics_and_mistakes_alike(tmp_path):
    """torchmetrics's rule: above 0.5, not equal to it."""
    for head, y in (("sigmoid", np.ones(20)), ("multilabel", np.ones((20, 2)))):
        y = y.astype(int)
        y[0] = 0
        data = ArrayDataModule(X, y, x_test=X, y_test=y, val_size=None, task=TASKS[head])
        model = DenseModule((3,), 2, head=head, hidden=())
        for weight in model.parameters():
            torch.nn.init.zeros_(weight)  # every probability is 0.5
        report = MistakesReport(tmp_path / head)
        trainer = writer(tmp_path / f"{head}.csv")
        trainer.callbacks.append(report)
        accuracy = trainer.test(model, datamodule=data, verbose=False)[0]["test_acc"]
        assert accuracy == pytest.approx(1 / 20)
        trainer.predict(model, datamodule=data)
        rows = list(csv.DictReader((tmp_path / f"{head}.csv").read_text().splitlines()))
        assert {row["class"] for row in rows} == {"0" if head == "sigmoid" else ""}
        found = report.mistakes
        if head == "sigmoid":
            assert found.num_wrong == 19
        else:
            assert found.counts == [(0, 0, 19, 1)] * 2


def test_a_table_keeps_index_id_and_truth(tmp_path, capsys):
    """`index` joins with the person's own file, whatever was shuffled, tested or skipped."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "customer": [f"c{number}" for number in range(40)],
            "age": random.normal(size=40),
            "left": np.where(np.arange(40) % 3, "no", "yes"),
        }
    )
    frame.to_csv(tmp_path / "all.csv", index=False)
    data = TableDataModule(tmp_path / "all.csv", "left", id_column="customer", test_size=10)
    assert data.feature_names == ["age"]
    model = DenseModule(data.input_shape, 2)
    writer(tmp_path / "out.csv").predict(model, datamodule=data)
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found)[:4] == ["index", "customer", "true", "class"]
    assert found["index"].tolist() != sorted(found["index"])
    assert (frame["customer"].iloc[found["index"]].to_numpy() == found["customer"]).all()
    assert (frame["left"].iloc[found["index"]].to_numpy() == found["true"]).all()
    shown = capsys.readouterr().out
    assert shown.count("\n  ") == 5  # below the header
    assert "customer" in shown

    frame.drop(columns="left").iloc[::-1].to_csv(tmp_path / "new.csv", index=False)
    data = TableDataModule(
        *(tmp_path / "all.csv", "left"), id_column="customer", predict_path=tmp_path / "new.csv"
    )
    writer(tmp_path / "out.parquet").predict(model, datamodule=data)
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert list(found) == ["index", "customer", "class", "prob_no", "prob_yes"]
    assert found["index"].tolist() == list(range(40))
    assert found["customer"].tolist() == frame["customer"].tolist()[::-1]
    with torch.no_grad():
        expected = model.head.predict(model.eval()(data.inputs("predict")))
    assert np.array_equal(found[["prob_no", "prob_yes"]].to_numpy(), expected.double().numpy())

    frame.assign(left="").to_csv(tmp_path / "blank.csv", index=False)
    data = TableDataModule(
        *(tmp_path / "all.csv", "left"), id_column="customer", predict_path=tmp_path / "blank.csv"
    )
    writer(tmp_path / "out.csv").predict(model, datamodule=data)
    assert pd.read_csv(tmp_path / "out.csv")["true"].isna().all()


def test_large_values_keep_nine_digits(tmp_path):
    """Six are too few for times in seconds since 1970."""
    data = ArrayDataModule(X, np.arange(20) / 2, x_predict=X, val_size=None)
    model = DenseModule((3,), 1, "regression", target_mean=[1.7e9], target_std=[1e5])
    writer(tmp_path / "out.csv").predict(model, datamodule=data)
    found = pd.read_csv(tmp_path / "out.csv")["value"]
    assert found.nunique() > 10


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out.xlsx", r"written as .csv or .parquet, by the ending of the name; got 'out.xlsx'"),
        ("file/out.csv", r"cannot write .*file/out.csv: Not a directory"),
        ("folder.csv", "is a folder"),
    ],
)
def test_what_cannot_be_written_is_said_at_once(tmp_path, name, said):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=said):
        PredictionWriter(tmp_path / name)


def test_each_input_has_a_file_of_its_own(tmp_path):
    for name in ("a/new.csv", "b/new.csv.gz", "c d/new"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    sources = [str(tmp_path / name) for name in ("a/new.csv", "b/new.csv.gz", "c d/new")]
    names = []
    for source in [None, *sources, sources[1], None]:
        path = file_of(tmp_path, source)
        path.write_text("x")
        remember(path, source, None)
        names.append(path.name)
    assert names == [
        *("predictions.csv", "predictions_new.csv", "predictions_new_2.csv"),
        *("predictions_new_3.csv", "predictions_new_2.csv", "predictions.csv"),
    ]


def test_another_models_predict_step_is_refused_in_words(tmp_path):
    class Other(LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def predict_step(self, batch, batch_idx):
            return self.layer(batch[0])

    data = ArrayDataModule(X, np.arange(20) % 2, x_predict=X)
    with pytest.raises(InputError, match="predict_step of Other gives Tensor"):
        writer(tmp_path / "predictions.csv").predict(Other(), datamodule=data)
    assert not list(tmp_path.iterdir())
