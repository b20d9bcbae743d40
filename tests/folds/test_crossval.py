"""Cross-validation in Python: folds, engines, statistics, what is resumed and what is refused."""

import json
import statistics

import lightning
import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.profilers import SimpleProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from sklearn.model_selection import ShuffleSplit
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from dlp.crossval import cross_validate, plain_trainer
from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.folds.results import CrossValidation, FoldResult
from dlp.modules import DenseModule, DenseNet
from dlp.modules.base import SupervisedModule
from dlp.smoothing import without_first_points
from dlp.visualization.curves import fold_curves


@pytest.fixture(autouse=True)
def no_bars(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


def table(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)).astype(np.float32) * [1, 10, 100]
    return x, (x[:, 0] + 0.1 * x[:, 1] + rng.normal(size=rows)).astype(np.float32)


def numbers(**arguments):
    arguments = {"split_seed": None, "batch_size": 8, "val_size": None, **arguments}
    return ArrayDataModule(*table(), task="regression", **arguments)


def dense(data):
    return DenseModule(data.input_shape, data.num_outputs, head="regression", hidden=(8,))


def quick(data):
    """Return a model that overfits within some epochs."""
    return DenseModule(
        data.input_shape,
        data.num_outputs,
        head="regression",
        hidden=(32,),
        optimizer=lambda parameters: torch.optim.Adam(parameters, 0.05),
    )


def classes(rows=60):
    x, y = table(rows)
    return ArrayDataModule(x, (y > 0).astype(int), batch_size=16)


def softmax(data):
    return DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=(8,))


def values(result, name="val_loss"):
    return [fold.history[name] for fold in result.folds]


def test_each_row_validates_once_a_repeat_and_statistics_are_of_the_folds():
    result = cross_validate(numbers(), dense, 2, num_folds=4, repeats=3)
    assert result.is_complete
    assert [(fold.repeat, fold.fold) for fold in result.folds] == [
        (repeat, fold) for repeat in range(3) for fold in range(4)
    ]
    for repeat in range(3):
        mine = [fold for fold in result.folds if fold.repeat == repeat]
        assert sum(fold.num_val for fold in mine) == 60
    last = [fold.history["val_mae"][-1] for fold in result.folds]
    assert result.mean["val_mae"] == pytest.approx(statistics.fmean(last))
    assert result.std["val_mae"] == pytest.approx(statistics.stdev(last))
    assert result.standard_error["val_mae"] == pytest.approx(statistics.stdev(last) / 12**0.5)
    assert result.curves["val_mae"][0] == pytest.approx(
        statistics.fmean(fold.history["val_mae"][0] for fold in result.folds)
    )
    assert len({fold.history["val_loss"][0] for fold in result.folds}) == 12


@pytest.mark.parametrize(
    ("make_data", "make_model", "options"),
    [
        (numbers, dense, {"num_folds": 7}),  # folds of 8 and 9 rows: two stacks
        (lambda: numbers(scaling="standard"), dense, {"leaky_scaling": True}),
        (classes, softmax, {"repeats": 2}),
        (classes, softmax, {"splitter": ShuffleSplit(3, test_size=0.3, random_state=0)}),
    ],
    ids=["unequal", "leaky", "repeats", "splitter"],
)
def test_both_engines_train_the_same_folds(make_data, make_model, options, capsys):
    stacked = cross_validate(make_data(), make_model, 3, **options)
    assert "engine: stacked" in capsys.readouterr().out
    serial = cross_validate(make_data(), make_model, 3, engine="serial", **options)
    assert (stacked.engine, serial.engine) == ("stacked", "serial")
    assert len(serial.folds) == len(stacked.folds) > 2
    for one, other in zip(serial.folds, stacked.folds, strict=True):
        assert one.history.keys() == other.history.keys()
        for name, curve in one.history.items():
            assert other.history[name] == pytest.approx(curve, rel=1e-4)
        assert (one.num_train, one.num_val) == (other.num_train, other.num_val)
        assert one.baseline == other.baseline


def test_a_fold_does_not_depend_on_the_others():
    whole = cross_validate(numbers(), dense, 2, engine="serial")
    alone = cross_validate(numbers(), dense, 2, engine="serial", only=[2])
    assert not alone.is_complete
    assert values(alone) == [values(whole)[2]]


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_each_fold_is_built_once_and_fitted_once(engine, monkeypatch):
    built, fitted, learn = [], [], ArrayDataModule.learn_inputs

    def counted(data):
        built.append(data.split.fold)
        return dense(data)

    def learn_inputs(data, *given):
        fitted.append(data.split.fold)
        return learn(data, *given)

    monkeypatch.setattr(ArrayDataModule, "learn_inputs", learn_inputs)
    cross_validate(numbers(scaling="standard"), counted, 1, num_folds=3, engine=engine)
    assert built == fitted == [0, 1, 2]


def test_statistics_come_from_the_training_part_of_each_fold(capsys):
    seen = []

    def look(data):
        data.fit()
        seen.append(data.fit().inputs["mean"])
        return dense(data)

    data = numbers(scaling="standard")
    x = table()[0]
    cross_validate(data, look, 1, num_folds=3, engine="serial")
    parts = np.array_split(np.arange(60), 3)
    for fold, mean in enumerate(seen[-3:]):
        kept = np.delete(np.arange(60), parts[fold])
        assert np.allclose(mean, x[kept].mean(axis=0), rtol=1e-4)
    assert "leaky" not in capsys.readouterr().out
    cross_validate(data, look, 1, num_folds=3, engine="serial", leaky_scaling=True)
    assert np.allclose(seen[-1], x.mean(axis=0), rtol=1e-4)
    assert "leaky_scaling" in capsys.readouterr().out
    assert not data.learn_from_all


def test_the_test_part_is_no_part_of_any_fold():
    data = numbers(test_size=20, split_seed=3)
    result = cross_validate(data, dense, 1, num_folds=4, refit=True)
    assert [fold.num_train + fold.num_val for fold in result.folds] == [40] * 4
    assert set(result.refit) == {"test_loss", "test_mae"}
    assert data.split.num_folds is None


def test_refit_trains_on_everything_for_the_best_number_of_epochs(tmp_path):
    data = numbers(test_size=20, split_seed=3)
    result = cross_validate(data, dense, 4, num_folds=2, refit=True, folder=tmp_path)
    history = json.loads((tmp_path / "history.json").read_text())
    assert len(history["train_loss"]) == result.best_epoch
    assert "val_loss" not in history
    assert (tmp_path / "checkpoints/last.ckpt").is_file()
    assert (tmp_path / "mistakes.json").is_file()


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_folds_that_stop_early_and_a_refit(tmp_path, engine):
    def trainer(max_epochs, callbacks):
        return plain_trainer(max_epochs, [*callbacks, EarlyStopping("val_loss", patience=2)])

    data = numbers(test_size=20, split_seed=3, scaling="standard")
    lengths = {"num_folds": 4, "refit": True, "folder": tmp_path, "engine": engine}
    result = cross_validate(data, quick, 40, make_trainer=trainer, **lengths)
    epochs = [len(fold.history["val_loss"]) for fold in result.folds]
    assert len(set(epochs)) > 1
    assert len(result.curves["val_loss"]) == max(epochs) < 40
    assert "train longer" not in result.advice()
    history = json.loads((tmp_path / "history.json").read_text())
    assert len(history["train_loss"]) == result.best_epoch


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_what_the_trainers_share_is_copied_for_each_fold(engine, tmp_path):
    stopper = EarlyStopping("val_loss", patience=2)

    def shared(max_epochs, callbacks):
        return plain_trainer(max_epochs, [*callbacks, stopper])

    def own(max_epochs, callbacks):
        return plain_trainer(max_epochs, [*callbacks, EarlyStopping("val_loss", patience=2)])

    run = {"num_folds": 4, "engine": engine}
    result = cross_validate(numbers(scaling="standard"), quick, 30, make_trainer=shared, **run)
    expected = cross_validate(numbers(scaling="standard"), quick, 30, make_trainer=own, **run)
    assert values(result) == values(expected)
    assert len({len(curve) for curve in values(result)}) > 1
    assert stopper.wait_count == 0


def test_loggers_and_profilers_are_copied_too(tmp_path):
    logger, profiler = CSVLogger(tmp_path, "folds"), SimpleProfiler()
    made = []

    def shared(max_epochs, callbacks):
        trainer = plain_trainer(max_epochs, callbacks)
        trainer.loggers, trainer.profiler, trainer.log_every_n_steps = [logger], profiler, 2
        made.append(trainer)
        return trainer

    cross_validate(numbers(), dense, 2, num_folds=2, engine="serial", make_trainer=shared)
    logs = sorted((tmp_path / "folds").rglob("metrics.csv"))
    assert len(logs) == 2
    assert logs[0].read_text() != logs[1].read_text()
    assert not profiler.recorded_durations
    assert all(trainer.profiler.recorded_durations for trainer in made[1:])


class Recorder(lightning.Callback):
    def __init__(self):
        self.losses = []

    def on_train_epoch_end(self, trainer, module):
        self.losses.append(float(trainer.callback_metrics["val_loss"]))


def test_what_is_made_anew_each_time_is_not_copied():
    recorders = []

    def recording(max_epochs, callbacks):
        recorders.append(Recorder())
        return plain_trainer(max_epochs, [*callbacks, recorders[-1]])

    run = {"num_folds": 2, "make_trainer": recording}
    result = cross_validate(numbers(), dense, 2, **run)
    assert result.engine == "serial"
    assert [each.losses for each in recorders[1:]] == values(result)


class Uncopyable(lightning.Callback):
    def __init__(self):
        self.numbers = (number for number in range(3))


def one_trainer_for_all():
    trainer = plain_trainer(2, [])
    return lambda max_epochs, callbacks: trainer


def one_strategy_for_all():
    strategy = SingleDeviceStrategy("cpu")
    return lambda max_epochs, callbacks: Trainer(
        max_epochs=max_epochs, callbacks=callbacks, strategy=strategy, logger=False
    )


def one_uncopyable():
    callback = Uncopyable()
    return lambda max_epochs, callbacks: plain_trainer(max_epochs, [*callbacks, callback])


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_a_trainer_without_a_bar_has_none_in_the_folds(engine):
    def silent(epochs, callbacks):
        switched_off = {
            "logger": False,
            "enable_progress_bar": False,
            "enable_checkpointing": False,
        }
        return Trainer(max_epochs=epochs, callbacks=callbacks, accelerator="cpu", **switched_off)

    run = {"num_folds": 2, "engine": engine}
    expected = cross_validate(numbers(), dense, 2, **run)
    result = cross_validate(numbers(), dense, 2, make_trainer=silent, **run)
    assert values(result) == values(expected)


def on_two_devices(epochs, callbacks):
    how = {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}
    return Trainer(max_epochs=epochs, callbacks=callbacks, logger=False, **how)


@pytest.mark.parametrize(
    ("make_trainer", "message"),
    [
        (one_trainer_for_all(), "gave the same Trainer twice"),
        (one_strategy_for_all(), "gave the same SingleDeviceStrategy twice"),
        (one_uncopyable(), "a Uncopyable of its own, and this one cannot be copied"),
        (lambda epochs, callbacks: plain_trainer(9, callbacks), "asked for 2 epochs and made .* 9"),
        (lambda epochs, callbacks: plain_trainer(epochs, []), "make_trainer left out History"),
        (on_two_devices, "trained on one device, or by strategy ddp_spawn"),
    ],
)
def test_trainers_that_would_not_train_the_folds_are_refused(make_trainer, message):
    with pytest.raises(InputError, match=message):
        cross_validate(numbers(), dense, 2, make_trainer=make_trainer, engine="serial")


@pytest.mark.parametrize("engine", ["serial", "stacked"])
def test_a_network_that_folds_share_is_refused(engine):
    """Its weights would have been trained on the rows that later folds validate on."""
    network = DenseNet((3,), 1, [4])

    def shared(data):
        return SupervisedModule(network, "regression")

    with pytest.raises(InputError, match="weights are another fold's too"):
        cross_validate(numbers(), shared, 1, engine=engine)

    def frozen_body(data):
        body = network.layers[0].requires_grad_(False)
        return SupervisedModule(nn.Sequential(body, nn.Linear(4, 1)), "regression")

    assert cross_validate(numbers(), frozen_body, 1, num_folds=2).is_complete


def test_folds_whose_models_differ_are_not_trained_as_one():
    """A learning rate, a width or a penalty of each fold's own is kept."""

    def varied(data):
        fold = data.split.fold
        return DenseModule(
            data.input_shape,
            1,
            head="regression",
            hidden=(8, 4) if fold == 1 else (4, 8),
            l2=0.1 if fold == 2 else 0.0,
            optimizer=lambda parameters: torch.optim.SGD(parameters, 1e-4 * (1 + (fold == 3))),
            scheduler=lambda optimizer: LambdaLR(optimizer, lambda epoch: 0.5 ** (epoch * fold)),
        )

    data, lengths = {"scaling": "standard"}, {"num_folds": 5}
    stacked = cross_validate(numbers(**data), varied, 3, engine="stacked", **lengths)
    serial = cross_validate(numbers(**data), varied, 3, engine="serial", **lengths)
    assert np.allclose(values(stacked), values(serial), rtol=1e-4)


def one_own(data):
    make = softmax if data.split.fold != 2 else own_loss
    return make(data)


def own_loss(data):
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    return DenseModule(data.input_shape, data.num_outputs, head="softmax", hidden=(8,), loss=loss)


def test_a_fold_whose_model_cannot_be_stacked_is_trained_by_itself(capsys):
    result = cross_validate(classes(), one_own, 2)
    assert [fold.engine for fold in result.folds] == ["stacked", "stacked", "serial", "stacked"]
    assert "repeat 0 fold 2: serial, since CrossEntropyLoss is" in capsys.readouterr().out
    expected = cross_validate(classes(), one_own, 2, engine="serial")
    assert np.allclose(values(result), values(expected), rtol=1e-4)
    with pytest.raises(InputError, match="stacked does not go with repeat 0 fold 2: Cross"):
        cross_validate(classes(), one_own, 2, engine="stacked")


def test_finished_folds_are_not_run_again_and_a_killed_one_goes_on(tmp_path):
    fitted = []

    def trainer(max_epochs, callbacks):
        made = plain_trainer(max_epochs, callbacks)
        fitted.append(made)
        return made

    class KilledError(RuntimeError):
        pass

    class Kill(lightning.Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 2:
                raise KilledError

    def killing(max_epochs, callbacks):
        third = len(fitted) == 3  # after the one that shows what the folds share
        return trainer(max_epochs, [*callbacks, Kill()] if third else callbacks)

    run = {"num_folds": 4, "engine": "serial", "folder": tmp_path}
    with pytest.raises(KilledError):
        cross_validate(numbers(), dense, 4, make_trainer=killing, **run)
    assert [FoldResult.read(tmp_path / f"repeat_0/fold_{k}") is None for k in range(4)] == [
        *(False, False, True, True)
    ]
    fitted.clear()
    result = cross_validate(numbers(), dense, 4, make_trainer=trainer, **run)
    assert len(fitted) == 1 + 2
    whole = cross_validate(numbers(), dense, 4, num_folds=4, engine="serial")
    assert values(result) == values(whole)
    assert not list(tmp_path.rglob(".lock"))


def test_a_killed_stack_goes_on_where_it_was(tmp_path):
    class KilledError(RuntimeError):
        pass

    class Kill(lightning.Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 3:
                raise KilledError

    made = []

    def trainer(max_epochs, callbacks):
        made.append(plain_trainer(max_epochs, callbacks))
        return made[-1]

    def killing(max_epochs, callbacks):
        made = plain_trainer(max_epochs, callbacks)
        made.callbacks.append(Kill()) if callbacks else None  # none while the engine is chosen
        return made

    run = {"num_folds": 4, "folder": tmp_path}
    with pytest.raises(KilledError):
        cross_validate(numbers(), dense, 5, make_trainer=killing, **run)
    with pytest.raises(KilledError):  # a stack of as many folds, but not the same ones
        cross_validate(numbers(), dense, 5, make_trainer=killing, only=[0, 2], **run)
    others = cross_validate(numbers(), dense, 5, only=[0, 1], **run)
    whole = values(cross_validate(numbers(), dense, 5, num_folds=4))
    assert np.allclose(values(others), whole[:2], rtol=1e-5)
    result = cross_validate(numbers(), dense, 5, make_trainer=trainer, **run)
    assert np.allclose(values(result), whole, rtol=1e-5)
    assert not list(tmp_path.glob("stack_*"))


def test_folds_of_another_cross_validation_are_not_mixed_in(tmp_path):
    cross_validate(numbers(), dense, 2, num_folds=4, folder=tmp_path)
    for epochs, options in ((3, {}), (2, {"num_folds": 5}), (2, {"seed": 7})):
        with pytest.raises(InputError, match="holds a fold of another cross-validation"):
            cross_validate(numbers(), dense, epochs, **{"num_folds": 4, **options}, folder=tmp_path)


def test_folds_of_other_data_or_another_model_are_not_mixed_in(tmp_path):
    run = {"num_folds": 4, "folder": tmp_path, "only": [0, 1]}
    cross_validate(numbers(), dense, 2, **run)
    wider = lambda data: DenseModule(data.input_shape, 1, head="regression", hidden=(9,))  # noqa: E731 # short
    faster = lambda data: DenseModule(  # noqa: E731 # short
        data.input_shape,
        1,
        head="regression",
        hidden=(8,),
        optimizer=lambda parameters: torch.optim.RMSprop(parameters, 0.1),
    )
    for model in (wider, faster):
        with pytest.raises(InputError, match="fold_0 is a fold of another model"):
            cross_validate(numbers(), model, 2, num_folds=4, folder=tmp_path)
    x, y = table()
    others = ArrayDataModule(x, -y, task="regression", split_seed=None, batch_size=8, val_size=None)
    with pytest.raises(InputError, match="fold_0 is a fold of other data"):
        cross_validate(others, dense, 2, num_folds=4, folder=tmp_path)
    assert cross_validate(numbers(), dense, 2, num_folds=4, folder=tmp_path).is_complete


def test_folds_of_an_earlier_release_go_on(tmp_path):
    """They say in words what they are of, and know their model by the text of its layers."""
    run = {"num_folds": 4, "folder": tmp_path}
    whole = cross_validate(numbers(), dense, 2, **run)
    for path in tmp_path.rglob("results.json"):
        results = json.loads(path.read_text())
        facts, seed = results["crossval"], results["seed"]
        facts["protocol"] = f"2 epochs, seed {seed}, Split(val_size=None, num_folds=4)"
        facts["made_of"] = {"data": facts["made_of"]["data"], "model": "0123456789abcdef"}
        path.write_text(json.dumps(results))
    (tmp_path / "repeat_0/fold_3/results.json").unlink()
    assert values(cross_validate(numbers(), dense, 2, **run))[:3] == values(whole)[:3]
    with pytest.raises(InputError, match="max_epochs 2; here: max_epochs 3"):
        cross_validate(numbers(), dense, 3, **run)


def test_a_single_fold_has_no_spread():
    result = cross_validate(classes(), softmax, 1, splitter=ShuffleSplit(1, random_state=0))
    assert np.isnan(result.std["val_loss"])
    assert result.to_dict()["std"]["val_loss"] is None
    (line,) = [row for row in result.table().splitlines() if row.startswith("standard dev")]
    assert line.split()[2:] == ["-", "-"]
    drawn(result)


def test_what_was_written_can_be_read(tmp_path):
    result = cross_validate(classes(), softmax, 2, folder=tmp_path)
    result.write(tmp_path)
    read = json.loads((tmp_path / "crossval.json").read_text())
    assert read["mean"] == pytest.approx(result.mean)
    assert [fold["metrics"]["val_acc"] for fold in read["folds"]] == pytest.approx(
        [fold.metrics["val_acc"] for fold in result.folds]
    )
    assert read["baseline"]["majority_class"]["acc"] > 0
    assert read["engine"] == "stacked"
    for fold in result.folds:
        assert FoldResult.read(tmp_path / f"repeat_{fold.repeat}/fold_{fold.fold}") == fold
    lines = (tmp_path / "folds.csv").read_text().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("repeat,fold,num_train,num_val,num_epochs,train_loss,train_acc")


def test_nothing_is_written_without_a_folder_and_no_random_state_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state()
    cross_validate(classes(), softmax, 1)
    cross_validate(classes(), softmax, 1, engine="serial")
    assert torch.equal(before, torch.get_rng_state())
    assert not list(tmp_path.iterdir())


class OwnModule(LightningModule):
    """A module that knows nothing of the project."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.mse_loss(self.layer(x / 100)[:, 0], y)
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(y))
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx), batch_size=len(batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


def test_a_module_of_ones_own(capsys, monkeypatch):
    monkeypatch.setattr(
        OwnModule,
        "validation_step",
        lambda self, batch, index: self.log("val_loss", batch[1].sum()),
    )
    result = cross_validate(numbers(), lambda data: OwnModule(*data.input_shape), 2)
    assert "engine: serial, since OwnModule is a module of your own" in capsys.readouterr().out
    assert result.is_complete
    assert result.baseline == {}
    assert "val_loss" in result.table()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_folds": 1}, "num_folds must be at least 2, got 1"),
        ({"num_folds": 61}, "more than the 60 rows"),
        ({"repeats": 0}, "repeats must be 1 or more, got 0"),
        ({"only": [4]}, "fold must be 0 to 3, got 4"),
        ({"monitor": "val_los"}, "unknown monitor 'val_los'. Did you mean 'val_loss'"),
        ({"splitter": ShuffleSplit(3, random_state=0), "repeats": 2}, "leave out repeats"),
    ],
)
def test_refused(options, message):
    with pytest.raises(InputError, match=message):
        cross_validate(numbers(), dense, 1, **options)


def test_the_stacked_engine_says_why_it_cannot():
    def relu6(data):
        own = nn.functional.mse_loss
        return DenseModule(
            data.input_shape, 1, head="regression", loss=lambda a, b: own(a, b), hidden=(4,)
        )

    with pytest.raises(InputError, match="engine: stacked does not go with this: "):
        cross_validate(numbers(), relu6, 1, engine="stacked")


def curve_of(values, **settings):
    return CrossValidation([FoldResult(0, 0, 9, 3, {"val_loss": values})], 1, **settings)


def drawn(result):
    best = (result.monitor, result.best_epoch)
    return fold_curves(result.curves, result.spreads, best)


def test_the_best_epoch_of_a_noisy_curve_is_that_of_its_moving_average():
    values = (
        [10.0] + [5 - 0.1 * epoch for epoch in range(1, 40)] + [1 + 0.05 * k for k in range(60)]
    )
    values[3] = 0.5  # a spike, left out with the first 10 points
    assert curve_of(values).best() == (4, 0.5)
    epoch, _ = curve_of(values, smoothing=0.9).best()
    assert 40 < epoch < 60
    assert without_first_points(values[:20], 0.9)[0] == 0
    assert without_first_points(values, 0.9)[0] == 10


def test_a_fold_that_stopped_stays_where_it_was_and_missing_numbers_do_no_harm():
    folds = [
        FoldResult(0, 0, 9, 3, {"val_loss": [3.0, 2.0, 1.0, float("nan")]}),
        FoldResult(0, 1, 9, 3, {"val_loss": [1.0, 2.0]}),
    ]
    result = CrossValidation(folds, 2)
    assert result.curves["val_loss"][:3] == [2.0, 2.0, 1.5]
    assert result.best() == (3, 1.5)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["mean"] == {"val_loss": None}


def test_folds_that_diverged_are_not_praised():
    assert "learning rate" in curve_of([float("nan")] * 3).advice()
    with pytest.raises(InputError, match="no fold is done"):
        CrossValidation([], 4).best()


def test_the_figure_has_the_raw_curve_and_the_smoothed_one():
    long = curve_of([1 / (epoch + 1) for epoch in range(40)], smoothing=0.9)
    raw, smoothed = drawn(long).axes
    assert len(raw.lines[0].get_xdata()) == 40
    assert list(smoothed.lines[0].get_xdata()) == list(range(11, 41))
    assert len(drawn(curve_of([3.0, 2.0])).axes) == 1
    raw, smoothed = drawn(curve_of([1.0 + epoch for epoch in range(40)])).axes
    labels = [[line.get_label() for line in axes.lines] for axes in (raw, smoothed)]
    assert ["best: epoch 1" in each for each in labels] == [True, False]  # it is left out below


# Epochs without validation ----------------------------------------------------------------------


def every_second(max_epochs, callbacks):
    trainer = plain_trainer(max_epochs, callbacks)
    trainer.check_val_every_n_epoch = 2
    return trainer


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_folds_that_validate_every_second_epoch(tmp_path, smoothing):
    def validated(folder=None):
        return cross_validate(
            numbers(),
            quick,
            5,
            num_folds=2,
            make_trainer=every_second,
            smoothing=smoothing,
            folder=folder,
        )

    result = validated(tmp_path)
    assert [value == value for value in result.curves["val_mae"]] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert [value == value for value in result.curves["train_mae"]] == [True] * 5
    last = [fold.history["val_mae"][3] for fold in result.folds]
    assert result.mean["val_mae"] == pytest.approx(statistics.fmean(last))
    assert result.best_epoch in (2, 4)
    assert "learning rate" not in result.advice()
    written = json.loads((tmp_path / "crossval.json").read_text())
    assert written["mean"]["val_mae"] == pytest.approx(result.mean["val_mae"])
    assert written["curves"]["val_mae"][::2] == [None] * 3
    again = validated(tmp_path)  # read from its files
    assert again.mean == pytest.approx(result.mean)
    assert again.best() == result.best()
    lines = drawn(result).axes[0].lines
    assert [list(line.get_xdata()) for line in lines[:2]] == [[1, 2, 3, 4, 5], [2, 4]]


def test_a_fold_that_stopped_between_validations_stays_at_its_last_number():
    nan = float("nan")
    folds = [
        FoldResult(0, 0, 9, 3, {"val_loss": [nan, 2.0, nan]}, last={"val_loss": 2.0}),
        FoldResult(0, 1, 9, 3, {"val_loss": [nan, 4.0, nan, 1.0]}, last={"val_loss": 1.0}),
    ]
    curve = CrossValidation(folds, 2).curves["val_loss"]
    assert [curve[1], curve[3]] == [3.0, 1.5]
    assert "train longer" in curve_of([nan, 3.0, nan, 2.0, nan]).advice()
    diverged = FoldResult(0, 0, 9, 3, {"val_loss": [1.0, nan]}, last={"val_loss": nan})
    assert diverged.metrics["val_loss"] != diverged.metrics["val_loss"]
