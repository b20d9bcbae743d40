"""Scoring from Python in three lines: model and data of a checkpoint, then a Trainer."""

import tempfile

import numpy as np
import pandas as pd
import pytest
import torch
from image_files import write_classes
from lightning import Trainer
from torch import nn

from dlp.callbacks import PredictionWriter
from dlp.datamodules import (
    ArrayDataModule,
    ImageFolderDataModule,
    TableDataModule,
    TextDataModule,
)
from dlp.errors import InputError
from dlp.modules import (
    ConvNetModule,
    DenseModule,
    PretrainedModule,
    SigmoidHead,
    SupervisedModule,
    XceptionModule,
)

random = np.random.default_rng(0)
X = random.normal(size=(24, 4)).astype(np.float32)
IMAGES = random.integers(0, 255, (12, 3, 32, 32), dtype=np.uint8)


def trainer(tmp_path, *callbacks):
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
    )


def fitted(tmp_path, model, data):
    """Fit, and return the checkpoint."""
    trains = trainer(tempfile.mkdtemp(dir=tmp_path))
    trains.fit(model, data)
    return trains.checkpoint_callback.best_model_path


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1))


MODULES = {
    DenseModule: ({}, {}),
    ConvNetModule: ({"channels": (2,), "dense": (2,)}, {}),
    XceptionModule: ({}, {}),
    PretrainedModule: ({"backbone": "squeezenet1_1", "weights": None}, {}),
    SupervisedModule: ({"network": network}, {"network": network}),
}


@pytest.mark.parametrize("kind", MODULES)
def test_every_module_is_made_again(tmp_path, kind):
    arguments, needed = (
        {name: value() if callable(value) else value for name, value in each.items()}
        for each in MODULES[kind]
    )
    data = ArrayDataModule(IMAGES, np.arange(12) % 2, split_seed=None, batch_size=6)
    head = "sigmoid" if kind is SupervisedModule else "softmax"
    model = kind(input_shape=(3, 32, 32), num_outputs=2, head=head, **arguments)
    path = fitted(tmp_path, model, data)
    again = kind.load_from_checkpoint(path, **needed)
    x = torch.from_numpy(IMAGES).float() / 255
    with torch.no_grad():
        assert torch.equal(again.eval()(x), model.eval()(x))
    assert type(again.head) is type(model.head)


def test_what_a_checkpoint_cannot_hold_is_asked_for(tmp_path, capsys):
    data = ArrayDataModule(X, np.arange(24) % 2, batch_size=12)
    path = fitted(tmp_path, SupervisedModule(nn.Linear(4, 1), "sigmoid"), data)
    with pytest.raises(InputError, match=r"load_from_checkpoint needs network: .*network=\.\.\."):
        SupervisedModule.load_from_checkpoint(path)
    path = fitted(tmp_path, DenseModule((4,), 2, SigmoidHead(2)), data)
    with pytest.raises(InputError, match="needs head"):
        DenseModule.load_from_checkpoint(path)
    assert DenseModule.load_from_checkpoint(path, head=SigmoidHead(2)).head.num_logits == 1
    with pytest.raises(InputError, match="there is no checkpoint nowhere"):
        DenseModule.load_from_checkpoint("nowhere.ckpt")
    with pytest.raises(InputError, match="belongs to another model"):
        DenseModule.load_from_checkpoint(path, head=SigmoidHead(2), hidden=(3,))
    capsys.readouterr()
    DenseModule.load_from_checkpoint(fitted(tmp_path, DenseModule((4,), 2, metrics=["f1"]), data))
    assert "does not hold" not in capsys.readouterr().out
    model = DenseModule((4,), 2, loss=nn.CrossEntropyLoss(label_smoothing=0.1))
    DenseModule.load_from_checkpoint(fitted(tmp_path, model, data))
    assert "does not hold the loss of its fit (CrossEntropyLoss)" in capsys.readouterr().out


def scored(tmp_path, path, kind, model_kind, **arguments):
    """Score as the documentation says, and return the table."""
    model = model_kind.load_from_checkpoint(path)
    data = kind.load_from_checkpoint(path, **arguments)
    trainer(tmp_path, PredictionWriter(tmp_path / "out.csv")).predict(model, data)
    return pd.read_csv(tmp_path / "out.csv")


def test_arrays(tmp_path):
    data = ArrayDataModule(X, np.arange(24) % 2, scaling="standard", class_names=["no", "yes"])
    model = DenseModule((4,), 2)
    path = fitted(tmp_path, model, data)
    found = scored(tmp_path, path, ArrayDataModule, DenseModule, x_predict=X[:5])
    with torch.no_grad():
        expected = model.eval().head.predict(model(data.encode(X[:5])))
    assert np.allclose(found[["prob_no", "prob_yes"]], expected)
    with pytest.raises(InputError, match=r"give x and y; to predict .* x_predict"):
        ArrayDataModule.load_from_checkpoint(path)
    with pytest.raises(InputError, match=r"shape \(3,\); the run was trained on numbers of \(4,\)"):
        scored(tmp_path, path, ArrayDataModule, DenseModule, x_predict=X[:5, :3])
    assert "x" not in data.arguments


def test_tables_and_texts_without_the_training_data(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.arange(24) % 2)
    frame["kind"] = frame["kind"].map({0: "no", 1: "yes"})
    frame.to_csv(tmp_path / "all.csv", index=False)
    data = TableDataModule(tmp_path / "all.csv", "kind")
    path = fitted(tmp_path, DenseModule(data.input_shape, 2), data)
    words = ["good film", "bad plot", "good plot", "bad film"] * 6
    pd.DataFrame({"text": words, "label": frame["kind"]}).to_csv(tmp_path / "t.csv", index=False)
    texts = TextDataModule(str(tmp_path / "t.csv"), num_words=None)
    text_path = fitted(tmp_path, DenseModule(texts.input_shape, 2), texts)
    for name in ("all.csv", "t.csv"):
        (tmp_path / name).unlink()
    frame.drop(columns="kind").head(3).to_csv(tmp_path / "new.csv", index=False)
    new = tmp_path / "new.csv"
    assert len(scored(tmp_path, path, TableDataModule, DenseModule, predict_path=new)) == 3
    (tmp_path / "new.txt").write_text("Good film\nbad\n")
    new_texts = str(tmp_path / "new.txt")
    found = scored(tmp_path, text_path, TextDataModule, DenseModule, predict_path=new_texts)
    assert list(found) == ["index", "text", "class", "prob_no", "prob_yes"]
    with pytest.raises(InputError, match="no checkpoint of TextDataModule: use TableDataModule"):
        TextDataModule.load_from_checkpoint(path)


def test_images(tmp_path):
    folder = write_classes(tmp_path / "pets", {"ants": 6, "bees": 6})
    data = ImageFolderDataModule(folder, image_size=(8, 10))
    model = ConvNetModule((3, 8, 10), 2, channels=(2,), dense=(2,))
    path = fitted(tmp_path, model, data)
    one = write_classes(tmp_path / "new", {"x": 1}, start=50) / "x/050.png"
    found = scored(tmp_path, path, ImageFolderDataModule, ConvNetModule, predict_path=one)
    assert found["path"].tolist() == [str(one)]


def test_a_subclass_of_ones_own_need_not_save_its_arguments(tmp_path):
    class Mine(ArrayDataModule):
        def __init__(self, factor, **arguments):
            super().__init__(**arguments)
            self.factor = factor

    data = Mine(3, x=X, y=np.arange(24) % 2)
    path = fitted(tmp_path, DenseModule((4,), 2), data)
    with pytest.raises(InputError, match="no checkpoint of ArrayDataModule"):
        ArrayDataModule.load_from_checkpoint(path, x_predict=X)


def test_the_checkpoint_of_an_older_run_names_what_it_lacks(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=["no", "yes"] * 12)
    frame.to_csv(tmp_path / "all.csv", index=False)
    data = TableDataModule(tmp_path / "all.csv", "kind")
    path = fitted(tmp_path, DenseModule((4,), 2), data)
    content = torch.load(path, weights_only=True)
    del content["TableDataModule"]["arguments"], content["head"], content["left_out"]
    del content["class_names"]
    torch.save(content, path)
    with pytest.raises(InputError, match=r"needs path, target: .* load_from_checkpoint\("):
        TableDataModule.load_from_checkpoint(path)
    given = {"path": tmp_path / "all.csv", "target": "kind"}
    assert TableDataModule.load_from_checkpoint(path, **given).class_names == ["no", "yes"]
    assert DenseModule.load_from_checkpoint(path).class_names is None
