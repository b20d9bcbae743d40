"""What is said of validation curves of every kind."""

import json
import math

import numpy as np
import pytest
from scipy.special import stdtrit

from dlp.callbacks import History
from dlp.folds.results import CrossValidation, FoldResult
from dlp.runs.verdict import _STUDENT, verdict

NAN = math.nan
#: Lowest validation loss at epoch 4 of 20, as the reviews of chapter 3 give it.
OVERFITTING = [
    *(0.3797, 0.3003, 0.2783, 0.2760, 0.2840, 0.2920, 0.3100, 0.3380, 0.3600, 0.3860),
    *(0.4120, 0.4450, 0.4700, 0.5020, 0.5300, 0.5600, 0.5950, 0.6300, 0.6600, 0.6950),
]


def decay(epochs, to, by, over):
    return to + by * np.exp(-np.arange(epochs) / over)


@pytest.mark.parametrize(
    ("values", "mode", "kind", "best_epoch"),
    [
        (OVERFITTING, "min", "worse", 4),
        ([1 - value for value in OVERFITTING], "max", "worse", 4),
        ([0.7, 0.4, 0.3, 0.5, 0.8, 1.2], "min", "worse", 3),
        ([0.9, 0.7, 0.5, 0.4, 0.3, 0.40, 0.41, 0.40, 0.41, 0.40, 0.405, 0.41], "min", "worse", 5),
        ([0.6, 0.8, 0.9, 0.95, 0.951, 0.94, 0.93, 0.925, 0.92, 0.91], "max", "worse", 5),
        ([600, 30, 10, 11, 12.5, 14, 15, 17, 18, 20], "min", "worse", 3),
        ([NAN, 0.5, NAN, 0.4, NAN, 0.45, NAN, 0.55, NAN, 0.6, NAN, 0.7], "min", "worse", 4),
        ([0.693, 0.65, 0.63, 0.6145, 0.6161, 0.6178, 0.6195, 0.6211], "min", "flat", 4),
        ([0.693, 0.66, 0.64, 0.6145, 0.618, 0.615, 0.623, 0.6211], "min", "flat", 4),
        ([0.65, 0.6145, 0.618, 0.6211], "min", "short", 2),
        ([0.5] * 20, "min", "flat", 1),
        (decay(100, 0.2, 1.0, 8), "min", "flat", 100),
        (decay(100, 0.2, 1.0, 60), "min", "improving", 100),
        (-decay(100, 0.2, 1.0, 60), "max", "improving", 100),
        ([3.0, 2.0, 1.0], "min", "improving", 3),
        ([2.0, 1.0], "min", "improving", 2),
        ([1.0, 2.0], "min", "short", 1),
        ([3.0, 1.0, 2.0], "min", "short", 2),
        ([1.0], "min", "short", 1),
        ([NAN, 1.0, math.inf], "min", "short", 2),
    ],
)
def test_a_drawn_curve(values, mode, kind, best_epoch):
    found = verdict(values, mode)
    assert found is not None
    assert (found.kind, found.best_epoch) == (kind, best_epoch)
    assert found.best == values[best_epoch - 1]


@pytest.mark.parametrize("values", [[], [NAN, NAN]])
def test_no_number_says_nothing(values):
    assert verdict(values, "min") is None


def share(kind, draw, curves=200):
    found = [verdict(draw(np.random.default_rng(seed)), "min") for seed in range(curves)]
    return np.mean([one is not None and one.kind == kind for one in found])


@pytest.mark.parametrize("epochs", [5, 10, 20, 100])
@pytest.mark.parametrize("fell", [0.0, 0.3])
def test_noise_is_seldom_called_overfitting(epochs, fell):
    level = decay(epochs, 0.62, fell, epochs / 12)
    assert share("worse", lambda rng: level + 0.004 * rng.normal(size=epochs)) <= 0.08


def test_the_best_at_epoch_99_of_100_is_no_overfitting():
    def draw(rng):
        curve = decay(100, 0.3, 0.5, 25) + 0.003 * rng.normal(size=100)
        curve[98] = curve.min() - 0.001
        return curve

    assert share("improving", draw) > 0.95


@pytest.mark.parametrize("epochs", [10, 20, 50])
def test_a_real_rise_is_found_in_noise(epochs):
    x = np.arange(epochs) / epochs
    curve = decay(epochs, 0.6, 0.3, epochs / 8) + 0.2 * np.maximum(0, x - 0.3)
    assert share("worse", lambda rng: curve + 0.005 * rng.normal(size=epochs)) > 0.95


def test_the_quantiles_are_students():
    for share, quantiles in _STUDENT.items():
        assert quantiles == pytest.approx(stdtrit(np.arange(1, 11), share), abs=5e-5)


def test_the_words_say_by_how_much():
    history = History()
    history.metrics = {"val_loss": OVERFITTING}
    said = history.advice()
    assert said.startswith("val_loss was best at epoch 4 (0.2760) and rose by 0.419 after it")
    assert "overfitting; retrain on everything for 4 epochs" in said
    history.metrics = {"val_acc": list(-decay(20, -0.9, 0.3, 20))}
    assert "still rises: by" in history.advice("val_acc")
    assert "train longer, for 40 epochs" in history.advice("val_acc")
    history.metrics = {"val_loss": [0.693, 0.66, 0.64, 0.6145, 0.618, 0.615, 0.623, 0.6211]}
    assert "is flat since: at the end 0.0066 above it" in history.advice()
    assert "overfitting" not in history.advice()


def test_a_cross_validation_says_the_same_of_its_mean_curve():
    folds = [FoldResult(0, n, 9, 3, {"val_loss": [v + n for v in OVERFITTING]}) for n in range(2)]
    said = CrossValidation(folds, 2).advice()
    assert said.startswith("the mean val_loss was best at epoch 4 (0.7760) and rose by 0.419")
    smoothed = CrossValidation(folds, 2, smoothing=0.5)
    assert smoothed.verdict().best_epoch == smoothed.best_epoch
    assert "the smoothed mean val_loss" in smoothed.advice()
    long = [FoldResult(0, 0, 9, 3, {"val_loss": list(decay(60, 0.2, 1.0, 40))})]
    smoothed = CrossValidation(long, 1, smoothing=0.9)
    assert smoothed.verdict().best_epoch == smoothed.best_epoch == 60
    assert json.dumps(smoothed.to_dict())
