import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from image_files import write_classes
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from dlp.callbacks import MistakesReport
from dlp.cli import main
from dlp.datamodules import ArrayDataModule, ImageFolderDataModule, TextDataModule
from dlp.errors import InputError
from dlp.evaluation.mistake_files import read_mistakes
from dlp.evaluation.mistakes import ClassificationMistakes, MultilabelMistakes, RegressionMistakes
from dlp.modules import ConvNetModule, DenseModule

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
pytestmark = pytest.mark.usefixtures("undrawn_figures")
CURVES = {"confusion.png", "reliability.png"}


def trainer_of(folder, *callbacks, **arguments):
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
        **arguments,
    )


def run(folder, y, head, report, **arguments):
    """Test an untrained model on X; return the model, and its metrics without and with a report."""
    data = ArrayDataModule(X, y, X, y, eval_batch_size=8, val_size=None, **arguments)
    torch.manual_seed(0)
    model = DenseModule(data.input_shape, data.num_outputs, head=head)
    plain = trainer_of(folder).test(model, data, verbose=False)
    return model.eval(), plain, trainer_of(folder, report).test(model, data, verbose=False)


def predictions(model):
    with torch.no_grad():  # in the same batches: rounding depends on their size
        batches = torch.from_numpy(X).split(8)
        return torch.cat([model.head.predict(model(batch)) for batch in batches]).numpy()


def placed(mistakes, threshold=None):
    """Return mistakes about rows whose place in the file is their place in the part."""
    worst = [replace(wrong, index=wrong.row) for wrong in mistakes.worst]
    if threshold is None:
        return replace(mistakes, worst=worst)
    return replace(mistakes, worst=worst, threshold=threshold)


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_classes(tmp_path, capsys):
    y, report, names = np.arange(30) % 3, MistakesReport(num_worst=5), ["ant", "bee", "cat"]
    model, plain, metrics = run(tmp_path, y, "softmax", report, class_names=names)
    assert metrics == plain
    expected = placed(ClassificationMistakes.of(predictions(model), y, names, num_worst=5))
    assert report.mistakes == expected
    assert read_mistakes(tmp_path / "mistakes.json") == expected
    assert expected.num_wrong == pytest.approx(30 * (1 - metrics[0]["test_acc"]))
    assert files(tmp_path) == {*CURVES, "mistakes.json", "worst.csv"}
    rows = list(csv.reader((tmp_path / "worst.csv").read_text().splitlines()))
    assert rows[0] == [
        *("index", "true", "predicted", "true_probability", "predicted_probability", "0", "1", "2")
    ]
    assert [int(row[0]) for row in rows[1:]] == [wrong.row for wrong in expected.worst]
    assert np.allclose(np.array(rows[1:])[:, 5:].astype(float), X[[w.row for w in expected.worst]])
    assert f"mistakes: {expected.num_wrong} of 30 rows are wrong" in capsys.readouterr().out


def test_two_classes_by_a_sigmoid(tmp_path):
    y, report = np.arange(30) % 2, MistakesReport(tmp_path / "own")
    model, _, metrics = run(tmp_path, y, "sigmoid", report)
    assert report.mistakes == placed(ClassificationMistakes.of(predictions(model), y), 0.5)
    assert report.mistakes.num_wrong == pytest.approx(30 * (1 - metrics[0]["test_acc"]))
    assert files(tmp_path) == {"own"}
    assert files(tmp_path / "own") == {*CURVES, "mistakes.json", "worst.csv"}


def test_labels(tmp_path):
    y = np.stack([np.arange(30) % 2, np.arange(30) // 15, np.arange(30) % 3 == 0], 1).astype(int)
    report = MistakesReport()
    model, plain, metrics = run(tmp_path, y, "multilabel", report)
    assert metrics == plain
    assert report.mistakes == placed(MultilabelMistakes.of(predictions(model), y), 0.5)
    assert report.mistakes.means[0].f1 == pytest.approx(metrics[0]["test_f1"])
    assert files(tmp_path) == {*CURVES, "mistakes.json", "worst.csv"}


@pytest.mark.parametrize("head", ["regression", "bounded_regression"])
def test_values(tmp_path, head):
    y = np.random.default_rng(1).uniform(size=(30, 2)).astype(np.float32)
    report = MistakesReport()
    model, plain, metrics = run(tmp_path, y, head, report, task="regression")
    assert metrics == plain
    assert report.mistakes == placed(RegressionMistakes.of(predictions(model), y))
    mae = np.mean([scores.mae for scores in report.mistakes.scores])
    assert mae == pytest.approx(metrics[0]["test_mae"])
    assert files(tmp_path) == {"residuals.png", "mistakes.json", "worst.csv"}


def test_images_are_drawn_and_named(tmp_path):
    folder = write_classes(tmp_path / "pets", {"ants": 6, "bees": 6})
    data = ImageFolderDataModule(folder, test_size=6, image_size=(8, 10), val_size=None)
    model = ConvNetModule((3, 8, 10), 2, "softmax", channels=(2,), dense=(2,))
    report = MistakesReport(tmp_path / "out")
    trainer_of(tmp_path, report).test(model, data, verbose=False)
    assert files(tmp_path / "out") == {*CURVES, "mistakes.json", "worst.png"}
    names = data.examples("test").names
    assert report.mistakes.worst
    assert all(wrong.name == names[wrong.row] for wrong in report.mistakes.worst)
    assert all(f"/{wrong.true}/" in wrong.name for wrong in report.mistakes.worst)


def test_texts_can_be_read(tmp_path):
    path = tmp_path / "texts.csv"
    texts = {"text": ["a good film", "a bad one"] * 6, "label": ["pos", "neg"] * 6}
    pd.DataFrame(texts).to_csv(path, index=False)
    data = TextDataModule(str(path), test_path=str(path), val_size=None)
    model = DenseModule(data.input_shape, 2, "sigmoid")
    report = MistakesReport(tmp_path / "out", num_worst=1)
    trainer_of(tmp_path, report).test(model, data, verbose=False)
    (wrong,) = report.mistakes.worst
    text = (tmp_path / "out/worst.txt").read_text()
    assert text.startswith(f"1. {wrong.caption}, row {wrong.row}\n")
    assert ("a good film" if wrong.true == "pos" else "a bad one") in text


def test_rows_of_another_loader_are_counted_but_not_described(tmp_path):
    """A DataModule that was tested before says nothing of them."""
    y, report = np.arange(30) % 2, MistakesReport()
    data = ArrayDataModule(X, y, X, y, val_size=None)
    model = DenseModule((3,), 2, "sigmoid")
    trainer = trainer_of(tmp_path, report)
    trainer.test(model, data, verbose=False)
    (tmp_path / "worst.csv").unlink()
    other = DataLoader(TensorDataset(torch.from_numpy(-X[:9]), torch.from_numpy(y[:9])), 4)
    trainer.test(model, other, verbose=False)
    assert report.mistakes.rows == 9
    assert files(tmp_path) == {*CURVES, "mistakes.json"}


@pytest.mark.parametrize("damage", ["diverged", "own", "trial"])
def test_nothing_is_written_where_there_is_nothing_to_say(tmp_path, capsys, damage):
    class Own(LightningModule):
        def test_step(self, batch, batch_idx):
            return {"loss": batch[0].sum()}

    y, report = np.arange(30) % 2, MistakesReport()
    data = ArrayDataModule(X, y, X, y, val_size=None)
    model = Own() if damage == "own" else DenseModule((3,), 2, "sigmoid", metrics=[])
    if damage == "diverged":
        torch.nn.init.constant_(next(model.parameters()), torch.nan)
    trainer_of(tmp_path, report, fast_dev_run=damage == "trial").test(model, data, verbose=False)
    assert report.mistakes is None
    assert not files(tmp_path)
    assert ("are no numbers" in capsys.readouterr().out) == (damage == "diverged")


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/own"):
        run(tmp_path, np.arange(30) % 2, "sigmoid", MistakesReport(tmp_path / "file/own"))
    with pytest.raises(InputError, match="num_worst"):
        MistakesReport(num_worst=-1)


# The command line ---------------------------------------------------------------------------------

RECIPE = """
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: side, test_size: 0.2}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: []}}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false}
"""


@pytest.fixture
def points(tmp_path, monkeypatch):
    table = pd.DataFrame(X, columns=["east", "north", "up"])
    table["side"] = np.where(table.east > 0, "right", "left")
    table.to_csv(tmp_path / "points.csv", index=False)
    (tmp_path / "points.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_test_writes_into_its_runs_folder(points):
    main(["fit", "--config", "points.yaml"])
    folder = points / "runs/points/version_0"
    before = files(folder)
    main(["test", "--config", "points.yaml", "--trainer.fast_dev_run", "true"])
    assert files(folder) == before
    main(["test", "--config", "points.yaml"])
    assert (
        CURVES | {"mistakes.json"}
        <= files(folder) - before
        <= CURVES | {"mistakes.json", "worst.csv"}
    )
    assert read_mistakes(folder / "mistakes.json").rows == 6
    assert files(points) == {"points.csv", "points.yaml", "runs"}


def test_a_fit_that_tests_writes_them_too_by_the_recipes_own_callback(points):
    recipe = RECIPE.replace(
        "trainer: {",
        "trainer: {callbacks: [{class_path: MistakesReport, init_args: {num_worst: 0}}], ",
    )
    (points / "points.yaml").write_text(recipe)
    main(["fit", "--config", "points.yaml", "--test_after_fit", "last"])
    content = json.loads((points / "runs/points/version_0/mistakes.json").read_text())
    assert content["worst"] == []


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("head", ["sigmoid", "multilabel"])
def test_half_precision_has_one_set_of_numbers(tmp_path, precision, head):
    """Metrics, mistakes and predictions come from the same float32 probabilities."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3)).astype(np.float32)
    y = random.integers(0, 2, (400, 2) if head == "multilabel" else 400)
    data = ArrayDataModule(x, y, x_test=x, y_test=y, val_size=None, eval_batch_size=64)
    torch.manual_seed(0)
    model = DenseModule((3,), 2, head, hidden=(), metrics=["acc", "f1"])
    torch.nn.init.normal_(model.network.layers[-1].weight, std=0.01)  # many are near 0.5
    report = MistakesReport(tmp_path)
    trainer = trainer_of(tmp_path, report, precision=precision)
    numbers = trainer.test(model, data, verbose=False)[0]
    outputs = trainer.predict(model, data)
    chances = torch.cat([batch["probabilities"] for batch in outputs])
    assert chances.dtype == torch.float32
    given = model.head.decide(chances).numpy()
    assert numbers["test_acc"] == pytest.approx((given == y).mean())
    if head == "sigmoid":
        assert numbers["test_acc"] == pytest.approx(1 - report.mistakes.num_wrong / 400)
        assert numbers["test_f1"] == pytest.approx(report.mistakes.scores[1].f1)
    else:
        assert numbers["test_f1"] == pytest.approx(report.mistakes.means[0].f1)
