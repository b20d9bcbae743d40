import csv
import math

from helpers.training import small_fit

from dlp.callbacks import History
from dlp.modules import DenseModule


def test_memory_and_file_have_each_metric_by_epoch(tmp_path):
    history = History(tmp_path)
    trainer = small_fit(history)
    names = ["train_acc", "train_loss", "val_acc", "val_loss"]
    assert list(history.metrics) == names
    last = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert {name: values[-1] for name, values in history.metrics.items()} == last
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name in names:
        assert [float(row[name]) for row in rows] == history.metrics[name]


def test_a_metric_that_an_epoch_does_not_log_is_a_gap(tmp_path):
    class Own(DenseModule):
        def on_train_epoch_start(self):
            if self.current_epoch != 1:
                self.log("margin", float(self.current_epoch))

    history = History(tmp_path)
    small_fit(history, model=Own, check_val_every_n_epoch=2)
    assert [math.isnan(value) for value in history.metrics["val_loss"]] == [True, False, True]
    assert [math.isnan(value) for value in history.metrics["margin"]] == [False, True, False]
    assert (tmp_path / "metrics.csv").read_text().splitlines()[2].startswith("2,,")


def test_a_second_fit_begins_anew_and_the_same_trainer_goes_on():
    history = History()
    small_fit(history)
    trainer = small_fit(history, max_epochs=2)
    assert [len(values) for values in history.metrics.values()] == [2, 2, 2, 2]
    first = dict(history.metrics)
    trainer.fit_loop.max_epochs = 3
    trainer.fit(trainer.lightning_module, trainer.datamodule)
    assert {name: values[:2] for name, values in history.metrics.items()} == first
    assert [len(values) for values in history.metrics.values()] == [3, 3, 3, 3]
