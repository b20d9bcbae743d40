from types import SimpleNamespace

import pytest
from torchmetrics.classification import BinaryHingeLoss

from dlp.errors import InputError
from dlp.modules import DenseModule
from dlp.modules.monitor import monitor_mode


def brier(predictions, targets):
    return (predictions - targets) ** 2


def test_the_direction_is_that_of_the_metric():
    metrics = ["acc", "auroc", BinaryHingeLoss(), brier]
    module = DenseModule((3,), 2, "sigmoid", metrics=metrics, l2=0.1)
    assert monitor_mode("val_acc", module) == monitor_mode("train_auroc", module) == "max"
    assert monitor_mode("val_binaryhingeloss", module) == "min"
    assert monitor_mode("val_data_loss", module) == monitor_mode("test_loss", module) == "min"
    module = DenseModule((3,), 2, "regression", metrics=["rmse", "r2"])
    assert (monitor_mode("val_rmse", module), monitor_mode("val_r2", module)) == ("min", "max")


def test_a_loss_of_another_module_falls_and_its_metrics_are_told():
    assert monitor_mode("val_hinge_loss") == "min"
    assert monitor_mode("val_acc", SimpleNamespace(metric_modes={"val_acc": "max"})) == "max"
    with pytest.raises(InputError, match=r"metric_modes = {'val_acc': 'max'}"):
        monitor_mode("val_acc")
    module = DenseModule((3,), 2, "sigmoid", metrics=[brier])
    with pytest.raises(InputError, match=r"'val_brier' has no known direction. Accepted: train_lo"):
        monitor_mode("val_brier", module)
