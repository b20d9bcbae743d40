from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.cli import main
from dlp.inference import Predictor
from dlp.modules import EnsembleModule
from helpers.sets import write_points

RUN = Path("runs/points/version_0")


def fit_ensemble():
    write_points(Path.cwd())
    main(["fit", "--config", "points.yaml", "--ensemble", "2"])


@pytest.mark.slow
def test_it_is_calibrated_predicted_and_measured(copied):
    copied(fit_ensemble)
    module = (
        Predictor.load(RUN).models[0].module
    )  # the deviation is that before calibration
    main(["calibrate", "points"])
    main(["predict", "--config", "points.yaml"])
    frame = pd.read_csv(RUN / "predictions.csv")
    rows = pd.read_csv("points.csv").iloc[frame["index"]]
    predictor = Predictor.load(RUN)
    np.testing.assert_allclose(
        frame["prob_yes"], predictor.predict(rows)["prob_yes"], rtol=1e-5
    )
    inputs = predictor.encoder.transform(rows.to_dict("records"))
    logits = module.network.member_logits(torch.from_numpy(inputs))
    members = torch.stack([module.head.predict(each) for each in logits])
    np.testing.assert_allclose(
        frame["std_yes"], members.std(0)[:, 1].detach(), rtol=1e-4
    )
    main(["visualize", "importance", "points"])
    assert (RUN / "visualize/importance.csv").exists()


def test_its_members_have_the_arguments_of_the_config(copied):
    copied(fit_ensemble)
    module = EnsembleModule.load_from_checkpoint(
        RUN / "checkpoints/best.ckpt", weights_only=True
    )
    first = module.network[0]
    assert (first.hidden, first.dropout) == ([8], 0.2)


@pytest.mark.slow
def test_its_export_is_one_network_and_equals_the_checkpoint(copied):
    copied(fit_ensemble)
    main(["export", "points"])
    rows = pd.read_csv("points.csv")
    expected = Predictor.load(RUN).scores(rows)
    exported = Predictor.load(RUN / "exported").scores(rows)
    np.testing.assert_allclose(exported, expected, rtol=1e-5, atol=1e-7)


def test_folds_are_trained_as_ensembles(points, capsys):
    arguments = (
        "--ensemble",
        "2",
        "--num_folds",
        "2",
        "--trainer.fast_dev_run",
        "true",
    )
    main(["crossval", "--config", "points.yaml", *arguments])
    assert (
        "engine: serial, since EnsembleModule is not a DenseModule"
        in capsys.readouterr().out
    )
