import copy
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_summary import ModelSummary
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

from dlp.bag_of_words import BagOfWords
from dlp.datamodules import ArrayDataModule, TableDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule, SupervisedModule
from dlp.modules.serialization import make_spec
from helpers.training import (
    X_VAL,
    Y_VAL,
    Curves,
    X,
    Y,
    loader,
    plain_loaders,
    quiet_trainer,
    sgd,
)

pytestmark = plain_loaders
BATCHES = list(loader(X, Y))


def small_net():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 4)
    )


def trained_by_hand(network, batches=BATCHES, name="train", l1=0.0, l2=0.0):
    """Return the values to log of a plain loop, which trains the network if `name` is train."""
    optimizer = sgd(network.parameters())
    rows = []
    for x, y in batches:
        logits = network(x)
        loss = F.cross_entropy(logits, y)
        kernels = [network[0].weight, network[2].weight]
        penalty = sum(l1 * w.abs().sum() + l2 * w.square().sum() for w in kernels)
        accuracy = (logits.argmax(1) == y).float().mean()
        rows += [[(loss + penalty).item(), loss.item(), accuracy.item()]] * len(y)
        if name == "train":
            optimizer.zero_grad()
            (loss + penalty).backward()
            optimizer.step()
    means = torch.tensor(rows).mean(dim=0).tolist()
    values = dict(
        zip((f"{name}_loss", f"{name}_data_loss", f"{name}_acc"), means, strict=True)
    )
    if not (l1 or l2):
        del values[f"{name}_data_loss"]
    return {name: pytest.approx(value, rel=1e-5) for name, value in values.items()}


def measured_by_hand(network, name="val", **penalty):
    return trained_by_hand(network, [(X_VAL, Y_VAL)], name, **penalty)


def module_and_copy(**arguments):
    module = SupervisedModule(small_net(), "softmax", 4, optimizer=sgd, **arguments)
    return module, copy.deepcopy(module.network)


def as_numbers(metrics):
    return {name: value.item() for name, value in metrics.items()}


@pytest.mark.parametrize("penalty", [{}, {"l1": 0.01, "l2": 0.02}])
def test_epochs_log_the_exact_means_over_samples(penalty):
    module, network = module_and_copy(**penalty)
    curves = Curves()
    quiet_trainer(3, [curves]).fit(module, loader(X, Y), loader(X_VAL, Y_VAL))
    for logged in curves.epochs:
        expected = trained_by_hand(network, **penalty)
        assert logged == expected | measured_by_hand(network, **penalty)
    assert len(curves.epochs) == 3
    torch.testing.assert_close([*module.network.parameters()], [*network.parameters()])


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_a_stage_that_broke_off_leaves_nothing_behind(stage):
    class Break(Callback):
        def stop(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
            if batch_idx == 1:
                raise MemoryError

        on_train_batch_end = on_validation_batch_end = on_test_batch_end = stop

    module, network = module_and_copy()
    method = {"train": "fit", "val": "validate", "test": "test"}[stage]
    with pytest.raises(MemoryError):
        getattr(quiet_trainer(callbacks=[Break()]), method)(module, loader(X, Y))
    module.network.load_state_dict(network.state_dict())
    trainer = quiet_trainer()
    getattr(trainer, method)(module, loader(X_VAL, Y_VAL, batch_size=7))
    assert as_numbers(trainer.callback_metrics) == measured_by_hand(network, stage)


def test_one_metric_object_serves_every_stage_without_mixing_them():
    module, network = module_and_copy(metrics=[MulticlassAccuracy(4, average="micro")])
    curves = Curves()
    trainer = quiet_trainer(1, [curves], val_check_interval=1)
    trainer.fit(module, loader(X, Y), loader(X_VAL, Y_VAL))
    expected = trained_by_hand(network) | measured_by_hand(network)
    (logged,) = curves.epochs
    for stage in ("train", "val"):
        assert logged[f"{stage}_multiclassaccuracy"] == expected[f"{stage}_acc"]


def right(predictions, targets):
    return predictions.argmax(1) == targets


def test_a_loader_may_reuse_its_memory():
    class Reusing:
        def __len__(self):
            return 2

        def __iter__(self):
            x, y = torch.empty(4, 3), torch.empty(4, dtype=torch.int64)
            for new_x, new_y in BATCHES[:2]:
                yield x.copy_(new_x), y.copy_(new_y)

    module, network = module_and_copy(
        metrics=["acc", right]
    )  # a function sees all rows
    trainer = quiet_trainer()
    trainer.fit(module, Reusing())
    expected = trained_by_hand(network, BATCHES[:2])
    expected["train_right"] = expected["train_acc"]
    assert as_numbers(trainer.callback_metrics) == expected


def test_a_penalty_leaves_out_the_last_layer_unless_kernels_are_overridden():
    class Whole(SupervisedModule):
        def kernels(self):
            return [self.network.weight]

    assert SupervisedModule(nn.Linear(3, 1), "sigmoid", l2=1.0).penalty() == 0
    module = Whole(nn.Linear(3, 1), "sigmoid", l2=2.0)
    torch.testing.assert_close(
        module.penalty(), 2 * module.network.weight.square().sum()
    )


@pytest.mark.parametrize("kind", ["rows", "pair", "inputs"])
def test_predictions_take_the_rows_of_a_batch_or_count_them(kind):
    module = SupervisedModule(small_net(), "softmax", 4).eval()
    batches = {
        "rows": [
            (X[:4], Y[:4], torch.tensor([3, 1, 2, 0])),
            (X[4:6], None, torch.tensor([9, 8])),
        ],
        "pair": [[X[:4], Y[:4]], [X[4:6], Y[4:6]]],
        "inputs": [X[:4], X[4:6]],
    }[kind]
    outputs = [
        module.predict_step(batch, number) for number, batch in enumerate(batches)
    ]
    expected = [3, 1, 2, 0, 9, 8] if kind == "rows" else [0, 1, 2, 3, 4, 5]
    assert torch.cat([output["index"] for output in outputs]).tolist() == expected
    torch.testing.assert_close(outputs[1]["probabilities"], module(X[4:6]).softmax(1))


def test_a_sparse_batch_is_one_input_though_it_is_a_tuple():
    module = DenseModule((5,), 2, "sigmoid", hidden=(3,)).eval()
    bag = BagOfWords(torch.tensor([0, 2, 1]), torch.tensor([0, 2]), torch.ones(3))
    expected = module.predict_step(bag.to_dense(5))["probabilities"]
    torch.testing.assert_close(module.predict_step(bag)["probabilities"], expected)


def collected(module, batches):
    """Return the outputs of the first batch of a test."""

    class Collector(Callback):
        def on_test_batch_end(self, trainer, module, outputs, batch, batch_idx):
            results.append(outputs)

    results = []
    quiet_trainer(callbacks=[Collector()]).test(module, batches, verbose=False)
    return results[0]


def test_a_test_step_returns_predictions_and_targets_in_their_unit():
    network = nn.Linear(3, 1)
    module = SupervisedModule(
        network, "regression", target_mean=[5.0], target_std=[2.0]
    )
    targets = X[:, 0] + 1e6
    outputs = collected(module, loader(X, targets, batch_size=len(X)))
    assert outputs["targets"][:, 0].tolist() == targets.tolist()
    torch.testing.assert_close(outputs["values"], network(X) * 2 + 5)


@pytest.mark.parametrize(("given", "expected"), [(None, 0.1), (0.7, 0.7)])
def test_a_checkpoint_brings_its_threshold_unless_another_one_was_given(
    given, expected
):
    trained = DenseModule((3,), 2, head="sigmoid")
    calibrated = replace(trained.answer, output_names=["a", "b"], threshold=0.1)
    trained.answer = calibrated
    spec = make_spec(trained, None, 1)
    module = DenseModule((3,), 2, head="sigmoid", threshold=given)
    module.on_load_checkpoint({"spec": asdict(spec)})
    assert module.answer == replace(calibrated, threshold=expected)


class Cautious(SupervisedModule):
    """Module with a threshold of its own."""

    def __init__(self):
        super().__init__(nn.Linear(3, 1), "sigmoid", threshold=0.3)


def test_a_checkpoint_brings_its_threshold_to_a_class_with_one_of_its_own():
    trained = Cautious()
    trained.answer = replace(trained.answer, threshold=0.1)
    spec = make_spec(trained, None, 1)
    module = Cautious()
    module.on_load_checkpoint({"spec": asdict(spec)})
    assert module.answer.threshold == 0.1


def test_training_forgets_a_calibration():
    module = DenseModule((3,), 2, head="sigmoid", threshold=0.4)
    fresh = replace(module.answer, output_names=["0", "1"])
    module.answer = replace(
        module.answer, temperature=2.0, threshold=0.1, output_names=["a", "b"]
    )
    quiet_trainer().fit(module, loader(X, Y % 2))
    assert module.answer == fresh


def test_the_summary_has_one_line_for_all_metrics():
    module = DenseModule((3,), 4)
    names = ModelSummary(module).layer_names
    assert sorted(names) == ["epoch_metrics", "head", "network"]


def test_an_answer_has_the_names_of_the_data():
    frame = pd.DataFrame({"x": np.arange(40.0), "y": ["a", "b"] * 20})
    data = TableDataModule(frame, "y")
    module = DenseModule(data.input_shape, 2, head="sigmoid")
    assert module.answer.output_names == ()
    quiet_trainer().validate(module, data, verbose=False)
    assert module.answer.output_names == ["a", "b"]


def test_predictions_are_those_of_logits_over_the_temperature():
    module = DenseModule((3,), 4, hidden=()).eval()
    module.answer = replace(module.answer, temperature=80.0)
    inputs = 5000 * torch.randn(20, 3)  # plain probabilities of most classes are 0
    expected = (module(inputs) / 80).softmax(1)
    torch.testing.assert_close(module.predict_step(inputs)["probabilities"], expected)


@pytest.mark.parametrize(
    "arguments", [{"target_scaling": "standard"}, {"target_transform": "log"}]
)
def test_a_model_that_does_not_scale_targets_as_the_data_ask_is_refused(arguments):
    frame = pd.DataFrame({"x": np.arange(40) % 7, "y": np.arange(1.0, 41)})
    data = TableDataModule(frame, "y", **arguments)
    model = DenseModule(data.input_shape, 1, "regression", hidden=[])
    with pytest.raises(InputError, match=r"target_mean=data\.target_mean"):
        quiet_trainer().fit(model, data)
    model = DenseModule(
        data.input_shape,
        1,
        "regression",
        hidden=[],
        target_mean=data.target_mean,
        target_std=data.target_std,
        target_transform=data.target_transform,
    )
    quiet_trainer().fit(model, data)


def per_row(logits, targets):
    return (logits - targets) ** 2


def test_a_loss_per_row_is_refused():
    module = SupervisedModule(nn.Linear(4, 1), "regression", loss=per_row)
    data = ArrayDataModule(np.ones((8, 4)), np.arange(8.0))
    with pytest.raises(InputError, match=r"^loss: .*\(2, 1\)"):
        quiet_trainer().fit(module, data)
