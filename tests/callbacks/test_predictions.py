import csv

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from picture_files import write_classes

from dlp.callbacks import PredictionWriter
from dlp.datamodules import ArrayDataModule, ImageFolderDataModule
from dlp.errors import InputError
from dlp.modules import ConvNetModule, DenseModule

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
        chosen = [n for n, value in zip(["red", "big", "old"], values, strict=True) if value >= 0.5]
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
        assert header == ["index", "path", "class", "prob_ants", "prob_bees"]
        assert [row[0] for row in rows] == [str(number) for number in range(len(rows))]
        assert [row[1] for row in rows] == [str(path) for path in expected]
        assert {row[2] for row in rows} <= {"ants", "bees"}


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
