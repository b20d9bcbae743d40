import json

import numpy as np
from lightning import Trainer

from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule


def points(classes=2, rows=40, **arguments):
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 3)).astype(np.float32)
    x[5] = x[4]
    y = np.array(["no", "yes", "maybe"][:classes], dtype=object)[np.arange(rows) % classes]
    return ArrayDataModule(x, y, test_size=8, val_size=8, **arguments)


def test_a_reading_says_parts_classes_positive_class_and_repeated_rows():
    reading = points().reading()
    assert reading.parts == (("training", 24), ("validation", 8), ("test", 8))
    assert reading.target.classes == (("no", 20), ("yes", 20))
    assert reading.target.positive == "yes"
    assert reading.repeated == 1
    assert reading.input_shape == (3,)
    text = str(reading)
    assert "24 training, 8 validation, 8 test" in text
    assert "no 20 (50.0%), yes 20 (50.0%); positive class: yes" in text
    assert json.loads(json.dumps(reading.to_dict()))["target"]["positive"] == "yes"


def test_values_have_a_range_and_classes_in_disguise_are_asked_about():
    x = np.zeros((40, 2))
    stars = ArrayDataModule(x, np.arange(40) % 5 + 1.0, val_size=8).reading()
    assert "1 to 5, 5 different ones (if they are classes: task: classification)" in str(stars)
    assert "different ones" not in str(ArrayDataModule(x, np.arange(40) / 7, val_size=8).reading())


def test_a_fit_on_own_data_begins_with_at_most_five_lines(capsys):
    def fit(data, **options):
        model = DenseModule(data.input_shape, data.num_outputs, hidden=(2,), head="softmax")
        trainer = Trainer(
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
            **options,
        )
        trainer.fit(model, datamodule=data)
        return [line for line in capsys.readouterr().out.splitlines() if "classes:" in line]

    data = points(3)
    assert len(data.reading().summary()) <= 5
    (line,) = fit(data)
    assert line.startswith("target: 3 classes: no 14 (35.0%), maybe 13")
    assert not fit(data)  # said once
    assert not fit(points(), fast_dev_run=True)
