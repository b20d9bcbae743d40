import numpy as np
import pytest
import torch
from lightning import Callback, Trainer

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule


@pytest.fixture
def numbers():
    """Return 40 rows of 3 inputs and their values."""
    random = np.random.default_rng(0)
    return random.normal(3, 2, (40, 3)), random.normal(size=40)


def rows_of(loader):
    return torch.cat([x for x, _ in loader])


def same_batches(first, second):
    return all(torch.equal(x, z) for (x, _), (z, _) in zip(first, second, strict=True))


def test_sizes_can_be_read_before_setup_and_batches_are_float32_and_int64(numbers):
    x, _ = numbers
    data = ArrayDataModule(x, np.arange(40) % 4, test_size=4, batch_size=8)
    assert (data.input_shape, data.num_outputs, data.class_names) == ((3,), 4, list("0123"))
    inputs, targets = next(iter(data.train_dataloader()))
    assert (inputs.shape, inputs.dtype, targets.dtype) == ((8, 3), torch.float32, torch.int64)
    assert [len(data.examples(part).rows) for part in ("train", "val", "test")] == [28, 8, 4]


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda array: array.tolist()])
def test_arrays_tensors_and_lists_are_alike(numbers, kind):
    x, y = numbers
    data = ArrayDataModule(kind(x), kind(y), split_seed=None, val_size=None)
    assert data.class_names is None
    assert data.targets.task == "regression"
    assert np.allclose(data.examples("train").rows, x)
    assert len(data.examples("val").rows) == 0


def test_without_validation_there_is_no_loader_for_it(numbers):
    data = ArrayDataModule(*numbers, val_size=None)
    with pytest.raises(InputError, match="there is no validation part"):
        data.val_dataloader()

    class Validates(Callback):
        def on_train_start(self, trainer, pl_module):
            seen.append(trainer.enable_validation)

    seen: list[bool] = []
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Validates()],
    )  # fmt: skip
    trainer.fit(DenseModule((3,), 1, "regression"), data)
    assert seen == [False]
    assert trainer.limit_val_batches == 1.0  # as it was: other data may have a validation part


def test_images_of_bytes_are_divided_by_255():
    images = np.full((6, 3, 4, 4), 255, np.uint8)
    data = ArrayDataModule(images, [0, 1, 0, 1, 0, 1], val_size=None)
    assert data.input_shape == (3, 4, 4)
    assert rows_of(data.train_dataloader()).unique().tolist() == [1.0]


def test_scaling_learns_from_the_training_part_alone(numbers):
    x, y = numbers
    x[:10] += 100  # the validation part, in the order given
    data = ArrayDataModule(x, y, scaling="standard", val_size=10, split_seed=None)
    train = rows_of(data.train_dataloader())
    assert train.mean(dim=0).abs().max() < 1e-5
    assert (train.std(dim=0, correction=0) - 1).abs().max() < 1e-5
    expected = (x[:10] - x[10:].mean(axis=0)) / x[10:].std(axis=0)
    assert np.allclose(rows_of(data.val_dataloader()), expected, rtol=1e-4)


def test_a_constant_feature_is_only_shifted(numbers):
    x, y = numbers
    x[:, 1] = 0.1
    data = ArrayDataModule(x, y, scaling="standard", val_size=None)
    assert rows_of(data.train_dataloader())[:, 1].abs().max() < 1e-6


def test_setup_is_idempotent(numbers):
    data = ArrayDataModule(*numbers, scaling="standard")
    data.setup("fit")
    state, before = data.state_dict(), list(data.val_dataloader())
    data.setup("fit")
    assert data.state_dict() == state
    assert same_batches(before, data.val_dataloader())


def test_the_state_is_plain_and_treats_new_inputs_as_the_training_run_did(numbers, tmp_path):
    x, y = numbers
    first = ArrayDataModule(x, y, scaling="standard", x_predict=x[:5])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = ArrayDataModule(x * 10, y, scaling="standard", x_predict=x[:5])
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert same_batches(first.predict_dataloader(), second.predict_dataloader())
    assert second.input_shape == (3,)


def test_each_epoch_shuffles_anew_and_evaluation_does_not(numbers):
    data = ArrayDataModule(*numbers, batch_size=40, val_size=10)
    loader = data.train_dataloader()
    first = rows_of(loader)
    loader.batch_sampler.set_epoch(1)
    assert not torch.equal(first, rows_of(loader))
    assert torch.equal(first.sort(dim=0).values, rows_of(loader).sort(dim=0).values)
    assert torch.equal(
        rows_of(data.val_dataloader()), torch.from_numpy(data.examples("val").rows).float()
    )


def with_copies(x):
    """Put copies of training rows in validation, and of both in the test part."""
    x[0], x[2] = x[20], x[21]
    return np.concatenate([x[20:21], x[1:2], np.full((1, 3), 9.0)])


def test_duplicates_across_parts_are_counted_in_one_line(numbers, capsys):
    x, y = numbers
    x_test = with_copies(x)
    data = ArrayDataModule(x, y, x_test, y[:3], val_size=10, split_seed=None)
    data.setup("fit")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "2 in both validation and training" in lines[0]
    assert "1 in both test and training" in lines[0]
    assert "2 in both test and validation" in lines[0]
    assert len(data.examples("train").rows) == 30


def test_duplicates_are_dropped_from_the_earlier_part(numbers, capsys):
    x, y = numbers
    x_test = with_copies(x).astype(np.float32)
    x = x.astype(np.float32).astype(np.float64)  # equal numbers of another type are equal inputs
    data = ArrayDataModule(x, y, x_test, y[:3], val_size=10, split_seed=None, drop_duplicates=True)
    data.setup("fit")
    assert "dropped" in capsys.readouterr().out
    train, val, test = (data.examples(part).rows for part in ("train", "val", "test"))
    assert [len(train), len(val), len(test)] == [28, 8, 3]
    parts = [{row.astype(np.float32).tobytes() for row in rows} for rows in (train, val, test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_a_class_lacking_in_training_is_an_error_and_elsewhere_a_line(numbers, capsys):
    x, _ = numbers
    y = np.array(["a"] * 20 + ["b"] * 20)
    with pytest.raises(
        InputError, match=r"no row of 1 of 2 classes; of all rows they have: a \(20\)"
    ):
        ArrayDataModule(x, y, val_size=20, split_seed=None).setup("fit")
    ArrayDataModule(x, y, val_size=10, split_seed=None).setup("fit")
    assert "validation part has no row of 1 of 2 classes, so that" in capsys.readouterr().out


def test_stratified_parts_hold_every_class(numbers):
    x, _ = numbers
    y = np.array([0] * 36 + [1] * 4)
    data = ArrayDataModule(x, y, val_size=0.25, test_size=0.25, stratify=True)
    for part in ("train", "val", "test"):
        assert (data.examples(part).targets == 1).sum() in (1, 2)


def test_without_a_test_part_the_error_says_how_to_get_one(numbers):
    data = ArrayDataModule(*numbers)
    with pytest.raises(InputError, match=r"no test part\. Give x_test and y_test, or test_size"):
        data.test_dataloader()


def test_prediction_takes_unlabelled_rows_else_the_test_part(numbers):
    x, y = numbers
    data = ArrayDataModule(x, y, x_predict=x[:7])
    assert [(len(inputs), targets) for inputs, targets in data.predict_dataloader()] == [(7, None)]
    data = ArrayDataModule(x, y, test_size=6)
    assert len(rows_of(data.predict_dataloader())) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [0, 1]}, "x has 40 rows and y has 2"),
        ({"x": np.empty((0, 3)), "y": []}, "x has no row"),
        ({"x": 5.0}, "x is 5.0; it must hold rows"),
        ({"x": [[1, 2], [3]], "y": [0, 1]}, "x is ragged"),
        ({"x": [["a"], ["b"]], "y": [0, 1]}, "accepted: numbers. For columns of text"),
        ({"x_test": np.zeros((2, 3))}, "x_test and y_test go together"),
        ({"x_test": np.zeros((2, 4)), "y_test": [1.0, 2.0]}, r"row of x_test has shape \(4,\)"),
        ({"x_predict": np.zeros((2, 4))}, "row of x_predict has shape"),
        ({"x_predict": np.zeros((2, 3), np.uint8)}, "x is float64 and x_predict uint8"),
        ({"x_test": np.zeros((2, 3)), "y_test": [0, 1], "test_size": 2}, "not both"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"eval_batch_size": -1}, "eval_batch_size must be at least 1, got -1"),
        ({"val_size": -3}, "val_size must be"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(numbers, arguments, message):
    x, y = numbers
    with pytest.raises(InputError, match=message):
        ArrayDataModule(**{"x": x, "y": y, **arguments})


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_the_row_of_a_bad_number_is_that_of_the_array_given(numbers, value):
    x, y = numbers
    x[33, 1] = value
    with pytest.raises(InputError, match=r"row 33 of x \(counted from 0\)"):
        ArrayDataModule(x, y)


def test_one_class_only_is_refused(numbers):
    with pytest.raises(InputError, match="one class only"):
        ArrayDataModule(numbers[0], np.zeros(40, int)).setup("fit")
