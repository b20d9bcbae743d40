"""What the flags and tuners of a Trainer do to the batches of a DataModule."""

from functools import partial

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, Callback, LearningRateFinder
from lightning.pytorch.tuner import Tuner
from torch.utils.data import DataLoader, Dataset

from dlp.callbacks import History
from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule

draw = torch.Generator().manual_seed(0)
X = torch.randn(40, 2, generator=draw)
Y = (X.sum(1) > 0).long()


class Watch(Callback):
    """Remembers the batches of each epoch."""

    def __init__(self):
        self.train, self.val = [], []

    def on_train_epoch_start(self, *_):
        self.train.append([])
        self.val.append([])

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.train[-1].append(batch[0])

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.val[-1].append(batch[0])


def trainer(*callbacks, **arguments):
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        **{"max_epochs": 3, **arguments},
    )


def build(batch_size=2, **arguments):
    torch.manual_seed(0)
    data = ArrayDataModule(X, Y, val_size=8, batch_size=batch_size)
    return DenseModule((2,), 2, "sigmoid", hidden=(4,), dropout=0.3, **arguments), data


def fit(*callbacks, batch_size=2, flags=(), **arguments):
    """Fit; return the recorded metrics, the model and the data."""
    model, data = build(batch_size, **arguments)
    history = History()
    torch.manual_seed(1)
    trainer(*callbacks, history, **dict(flags)).fit(model, data)
    return history.metrics, model, data


def same(ours, theirs):
    return all(a.equal(b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("given", "count", "val_count"), [(2, 2, 2), (0.25, 4, 1)])
def test_overfit_batches_trains_on_the_same_rows_in_every_epoch(given, count, val_count):
    watch = Watch()
    _, _, data = fit(watch, flags={"overfit_batches": given})
    first, *others = watch.train
    assert len(first) == count
    assert all(same(epoch, first) for epoch in others)
    assert same(first, torch.split(data.inputs("train"), 2)[:count])
    wanted = torch.split(data.inputs("val"), 2)[:val_count]
    assert all(same(epoch, wanted) for epoch in watch.val)


def test_a_net_learns_a_few_batches_by_heart():
    torch.manual_seed(0)
    noise = ArrayDataModule(torch.randn(400, 8), torch.randint(0, 2, (400,)), batch_size=8)
    model = DenseModule((8,), 2, "sigmoid", optimizer=partial(torch.optim.Adam, lr=0.05))
    run = trainer(overfit_batches=2, max_epochs=40)
    run.fit(model, noise)
    assert run.callback_metrics["train_acc"] == 1


@pytest.mark.filterwarnings("ignore:You requested to overfit")
@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_a_loader_by_itself_is_not_shuffled_on_in_silence():
    model, data = build()
    with pytest.raises(ValueError, match="overfit_batches needs the DataModule itself"):
        trainer(overfit_batches=2).fit(model, data.train_dataloader())


@pytest.mark.filterwarnings("ignore:You requested to overfit")
@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_why_the_loader_is_no_dataloader_of_torch():
    class Rows(Dataset):
        def __len__(self):
            return len(X)

        def __getitem__(self, index):
            return X[index], Y[index]

    model, data = build()
    order = data.train_dataloader().batch_sampler
    watch = Watch()
    with pytest.raises(InputError, match=r"got a batch of shape \(2,\)"):
        trainer(watch, overfit_batches=2).fit(
            model, DataLoader(Rows(), sampler=order, batch_size=None)
        )
    assert watch.train[0][0].shape == (2,)  # one row: Lightning took its own sampler of rows


def test_limited_batches_are_others_in_every_epoch():
    watch = Watch()
    fit(watch, flags={"limit_train_batches": 2})
    assert [len(epoch) for epoch in watch.train] == [2, 2, 2]
    assert not same(watch.train[0], watch.train[1])


def test_loaders_made_anew_give_the_same_batches():
    assert fit(flags={"reload_dataloaders_every_n_epochs": 1})[0] == fit()[0]


@pytest.fixture
def uncollected(monkeypatch):
    """Leave out what each trial of a batch size begins with: 0.2 s among all that tests import."""
    monkeypatch.setattr("gc.collect", lambda: 0)


@pytest.mark.usefixtures("uncollected")
def test_a_search_for_the_batch_size_leaves_no_trace():
    found, _, data = fit(BatchSizeFinder(max_trials=2, init_val=4))
    assert data.batch_size == 8
    assert found == fit(batch_size=8)[0]


@pytest.mark.usefixtures("uncollected")
def test_a_search_for_the_batch_size_ends_at_the_number_of_rows():
    model, data = build()
    assert Tuner(trainer()).scale_batch_size(model, datamodule=data) == data.batch_size == 32


def test_a_search_for_the_learning_rate_leaves_no_trace_but_the_rate():
    search = LearningRateFinder(num_training_steps=30, early_stop_threshold=None)
    found, model, _ = fit(search)
    assert model.lr == search.optimal_lr.suggestion() > 0
    rms = partial(torch.optim.RMSprop, lr=model.lr, alpha=0.9, eps=1e-8)
    assert found == fit(optimizer=rms)[0] != fit()[0]


def test_a_fit_after_the_search_has_its_rate():
    model, data = build()
    Tuner(trainer()).lr_find(model, datamodule=data, num_training=30, early_stop_threshold=None)
    run = trainer(max_epochs=1)
    run.fit(model, data)
    assert run.optimizers[0].param_groups[0]["lr"] == model.lr
