from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import EarlyStopping
from scipy.special import softmax
from torch import nn

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.folds.cross_validation import cross_validate
from dlp.folds.training import silent_trainer
from dlp.modules import DenseModule, DenseNet, SupervisedModule
from helpers.fold_problems import TRAINER, VALUES, X, classes, dense, maker, numbers
from helpers.training import loader, plain_loaders


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_the_data_and_the_random_state_stay_as_they_are(engine):
    data = numbers(val_size=0.25)
    before = data.state_dict()
    rows = data.examples("val")
    inputs = data.inputs("val")
    state = torch.get_rng_state()
    cross_validate(data, dense, 1, num_folds=2, engine=engine, trainer=TRAINER)
    assert data.examples("val") is rows
    assert data.inputs("val") is inputs
    assert data.state_dict() == before
    assert data.trainer is None
    assert torch.equal(torch.get_rng_state(), state)


def test_all_folds_share_the_rows_that_are_loaded_once():
    loads = []

    class Counted(ArrayDataModule):
        def load(self):
            loads.append(1)
            return super().load()

    data = Counted(X, VALUES, val_size=None)
    cross_validate(data, dense, 1, num_folds=3)
    assert data.examples("train").inputs.array is not None
    assert loads == [1]


def test_lines_about_the_rows_are_printed_for_the_first_fold_only(capsys):
    rows = np.concatenate([X, X[:1]])
    data = ArrayDataModule(rows, np.append(VALUES, 0), val_size=None, split_seed=None)
    cross_validate(data, dense, 1, num_folds=3)
    assert capsys.readouterr().out.count("exact duplicates") == 1


def test_finished_folds_are_not_trained_again_and_a_killed_one_starts_anew(tmp_path):
    class Kill(Callback):
        def on_train_epoch_start(self, trainer, module):
            if module.is_second and trainer.current_epoch == 1:
                raise MemoryError

    def make(data):
        model = dense(data)
        model.is_second = data.split.fold == 1
        return model

    path = tmp_path / "folds.jsonl"
    trained = []
    run = partial(cross_validate, max_epochs=2, num_folds=3, engine="serial")
    with pytest.raises(MemoryError):
        run(numbers(), make, path=path, trainer={**TRAINER, "callbacks": [Kill()]})
    path.write_bytes(path.read_bytes() + b'{"repeat": 0, "fol')
    for _ in range(2):
        result = run(
            numbers(), dense, path=path, trainer=TRAINER, on_fold=trained.append
        )
        assert [fold.fold for fold in trained] == [1, 2]
    whole = run(numbers(), dense, trainer=TRAINER)
    assert [fold.history for fold in result.folds] == [
        fold.history for fold in whole.folds
    ]
    pd.testing.assert_frame_equal(result.out_of_fold, whole.out_of_fold)


def test_each_row_but_the_test_part_has_the_prediction_of_its_fold():
    data = numbers(test_size=20, split_seed=3)
    frame = cross_validate(data, dense, 1, num_folds=3).out_of_fold
    assert list(frame) == ["index", "fold", "target", "value"]
    expected = np.setdiff1d(np.arange(60), data.examples("test").index)
    assert frame["index"].tolist() == expected.tolist()
    assert frame["target"].tolist() == VALUES[frame["index"]].tolist()
    assert sorted(frame["fold"].value_counts()) == [13, 13, 14]


def test_baselines_are_of_the_training_part():
    folds = cross_validate(numbers(), dense, 1, num_folds=2).folds
    first = VALUES[:30]
    second = VALUES[30:]
    expected = [abs(first - second.mean()).mean(), abs(second - first.mean()).mean()]
    errors = [fold.baseline["mean"]["mae"] for fold in folds]
    assert errors == pytest.approx(expected, rel=1e-5)


def test_predictions_are_averaged_over_the_repetitions():
    make = maker(head="softmax")
    once = cross_validate(classes(split_seed=0), make, 1, 2, repeats=1)
    twice = cross_validate(classes(split_seed=0), make, 1, 2, repeats=2)
    second = [fold.predictions for fold in twice.folds[2:]]
    logits = np.concatenate([fold["logits"] for fold in second])
    values = softmax(logits, axis=1)
    order = np.argsort(np.concatenate([fold["index"] for fold in second]))
    mean = (once.out_of_fold.filter(like="prob_") + values[order]) / 2
    columns = list(mean)
    likeliest = mean.to_numpy().argmax(axis=1)
    assert list(twice.out_of_fold) == ["index", "target", "class", *columns]
    pd.testing.assert_frame_equal(twice.out_of_fold[columns], mean)
    assert twice.out_of_fold["class"].astype(int).tolist() == likeliest.tolist()


def test_a_module_without_predictions_and_a_diverged_fold_have_no_rows():
    class Own(DenseModule):
        def validation_step(self, batch, batch_idx):
            super().validation_step(batch, batch_idx)

    def diverge(data):
        return dense(
            data, optimizer=partial(torch.optim.SGD, lr=1e30 * data.split.fold)
        )

    def without_predictions(data):
        return Own((3,), 1, "regression")

    result = cross_validate(numbers(), without_predictions, 1, 2, trainer=TRAINER)
    assert result.out_of_fold.empty
    result = cross_validate(numbers(), diverge, 2, 2, trainer=TRAINER)
    assert result.out_of_fold["index"].tolist() == list(range(30))


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_a_kept_checkpoint_restores_model_and_data_of_its_fold(engine, tmp_path):
    options = {"engine": engine, "trainer": TRAINER, "keep": tmp_path}
    frame = cross_validate(numbers(scaling=True), dense, 2, 2, **options).out_of_fold
    for fold, rows in frame.groupby("fold"):
        path = tmp_path / f"fold_0_{fold}.ckpt"
        content = torch.load(path, weights_only=True)
        assert content["epoch"] + 1 == 2
        assert content["spec"]["card"]["epoch"] == 2
        data = numbers(scaling=True)
        data.load_state_dict(content["ArrayDataModule"])
        inputs = torch.from_numpy(data.encoder.transform(X[rows["index"]]))
        model = DenseModule.load_from_checkpoint(path).eval()
        values = model(inputs).detach()[:, 0]
        assert np.allclose(values, rows["value"], rtol=1e-6, atol=1e-6)


def test_paths_may_be_text():
    cross_validate(numbers(), dense, 1, 2, path="folds.jsonl", keep="kept")
    assert len(Path("folds.jsonl").read_text().splitlines()) == 2
    assert Path("kept/fold_0_1.ckpt").is_file()


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_an_unknown_argument_of_the_trainer_is_refused_by_its_name(engine):
    with pytest.raises(
        InputError, match=r"argument of trainer 'max_epoch'. Did you mean 'max_ep"
    ):
        cross_validate(numbers(), dense, 1, 2, engine=engine, trainer={"max_epoch": 1})


class OwnLoader(ArrayDataModule):
    """Data that validates on other rows than those of its fold."""

    def val_dataloader(self):
        return loader(torch.from_numpy(X), torch.from_numpy(VALUES))


@plain_loaders
def test_folds_of_data_with_a_loader_of_its_own_use_it(capsys):
    data = OwnLoader(X, VALUES, val_size=None)
    result = cross_validate(data, dense, 1, 2, trainer=TRAINER)
    assert (
        "engine: serial, since OwnLoader overrides val_dataloader"
        in capsys.readouterr().out
    )
    assert result.out_of_fold.empty


def test_finished_folds_without_a_checkpoint_are_trained_again(tmp_path):
    options = {"path": tmp_path / "folds.jsonl", "keep": tmp_path / "checkpoints"}
    cross_validate(numbers(), dense, 1, 2, path=options["path"])
    trained = []
    for _ in range(2):
        cross_validate(numbers(), dense, 1, 2, on_fold=trained.append, **options)
    assert len(trained) == 2


def test_folds_of_another_model_are_refused(tmp_path):
    path = tmp_path / "folds.jsonl"
    cross_validate(numbers(), maker(hidden=[4]), 1, 2, path=path)
    with pytest.raises(InputError, match=r"another model.*run_dir"):
        cross_validate(numbers(), maker(hidden=[5]), 1, 2, path=path)


def test_each_fold_is_fitted_once(tmp_path):
    folds = []

    def make(data):
        folds.append(data.split.fold)
        return dense(data)

    run = partial(cross_validate, numbers(), make, 1, 3, path=tmp_path / "folds.jsonl")
    run(folds=[0, 2])
    assert folds == [0, 2]
    run()
    assert folds == [0, 2, 0, 1]  # the model of a finished fold is compared


def losses(result):
    return [fold.history["val_loss"] for fold in result.folds]


def test_callbacks_are_copied_for_each_fold():
    quick = maker(optimizer=partial(torch.optim.SGD, lr=0.3))
    stopper = EarlyStopping("val_loss", patience=1)
    trainer = {**TRAINER, "callbacks": [stopper]}
    result = cross_validate(numbers(), quick, 8, 3, trainer=trainer)
    assert len({len(curve) for curve in losses(result)}) > 1
    assert stopper.wait_count == 0
    assert len(result.mean_curves["val_loss"]) == max(map(len, losses(result)))


def test_folds_share_a_frozen_body_alone():
    body = DenseNet((3,), 4).requires_grad_(False)
    head = nn.Linear(4, 1)

    def make(data, last=None):
        network = nn.Sequential(body, last or nn.Linear(4, 1))
        return SupervisedModule(network, "regression")

    cross_validate(numbers(), make, 1, num_folds=2, trainer=TRAINER)
    with pytest.raises(InputError, match="another fold"):
        cross_validate(
            numbers(), partial(make, last=head), 1, num_folds=2, trainer=TRAINER
        )


def test_a_fold_that_cannot_be_stacked_is_trained_alone(capsys):
    def make(data):
        return dense(data, loss="huber" if data.split.fold == 1 else "mse")

    result = cross_validate(numbers(), make, 1, num_folds=3, trainer=TRAINER)
    assert [fold.engine for fold in result.folds] == ["stacked", "serial", "stacked"]
    assert capsys.readouterr().out.count("engine: serial, since RegressionHead") == 1


def test_long_stacks_are_shared_by_processes(monkeypatch):
    alone = cross_validate(numbers(), dense, 2, num_folds=5)
    monkeypatch.setattr("dlp.folds.training._UPDATES_PER_PROCESS", 1)
    monkeypatch.setattr("dlp.speed.forks.num_cores", lambda: 2)
    shared = cross_validate(numbers(), dense, 2, num_folds=5)
    for ours, theirs in zip(losses(shared), losses(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_several_devices_are_refused():
    with pytest.raises(InputError, match=r"trainer\.devices.*--trainer\.devices 1"):
        silent_trainer({"accelerator": "cpu", "devices": 2, "strategy": "ddp"}, [])
