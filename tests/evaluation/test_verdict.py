"""The reading of curves whose course and noise are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.evaluation.verdict import divergence, verdict


def curve(course, noise=0.0, seed=0):
    values = np.asarray(course, float)
    return (values + noise * np.random.default_rng(seed).normal(size=len(values))).tolist()


FALLING = np.exp(-np.arange(20) / 8)
FLAT = 0.3 + np.exp(-np.arange(40))
U_SHAPED = 0.3 + 0.02 * (np.arange(20) - 4.0) ** 2 / 4


COURSES = {
    "still falling": ("improving", FALLING),
    "level": ("flat", FLAT),
    "falling, then rising": ("overfitting", U_SHAPED),
    "three epochs up and down": ("too_short", [0.5, 0.4, 0.45]),
    "one epoch": ("too_short", [0.5]),
    "three falling epochs": ("improving", [0.5, 0.4, 0.3]),
}


@pytest.mark.parametrize(("kind", "course"), COURSES.values(), ids=COURSES)
def test_kind_of_a_loss(kind, course):
    assert verdict(curve(course), "min").kind == kind


@pytest.mark.parametrize(("kind", "course"), COURSES.values(), ids=COURSES)
def test_kind_of_an_accuracy(kind, course):
    assert verdict((-np.asarray(course)).tolist(), "max").kind == kind


@pytest.mark.parametrize(("kind", "course"), COURSES.values(), ids=COURSES)
def test_best_epoch_counts_from_1(kind, course):
    assert verdict(curve(course), "min").best_epoch == int(np.argmin(course)) + 1


def share(kind, course, noise, mode="min"):
    """Return the share of 100 noisy curves that are read as a kind."""
    kinds = [verdict(curve(course, noise, seed), mode).kind for seed in range(100)]
    return kinds.count(kind) / len(kinds)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_noise_around_a_level_is_flat(mode):
    assert share("flat", np.full(40, 0.5), 0.02, mode) >= 0.85


@pytest.mark.parametrize("mode", ["min", "max"])
def test_noise_around_a_level_is_rarely_overfitting(mode):
    assert share("overfitting", np.full(40, 0.5), 0.02, mode) <= 0.05


def test_overfitting_is_seen_through_noise():
    assert share("overfitting", U_SHAPED, 0.01) >= 0.95


def test_the_noise_is_measured():
    noises = [verdict(curve(np.full(60, 0.5), 0.02, seed), "min").noise for seed in range(50)]
    assert np.median(noises) == pytest.approx(0.02, rel=0.2)


def test_epochs_without_a_value_are_left_out():
    assert verdict([np.nan, 0.5, np.nan, 0.3, np.inf, 0.4], "min").best_epoch == 4


def test_a_flat_curve_that_was_best_at_the_end_has_nothing_after_its_best():
    values = [0.5, *np.full(20, 0.30), 0.2999]
    sentence = verdict(values, "min").sentence("val_loss", len(values))
    assert sentence.startswith("val_loss was best at epoch 22 (0.2999) and is flat; more epochs")


@pytest.mark.parametrize("values", [[], [np.nan, np.inf]])
def test_a_curve_without_finite_values_has_no_reading(values):
    assert verdict(values, "min") is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, 0.4, np.nan, np.nan], "val_loss became NaN at epoch 3: training diverged"),
        ([0.5, np.inf], "val_loss became infinite at epoch 2: training diverged"),
        ([np.nan], "val_loss became NaN at epoch 1: training diverged"),
    ],
)
def test_a_curve_that_diverged_says_so(values, words):
    sentence = divergence("val_loss", values)
    assert sentence.startswith(words)
    assert "smaller learning rate" in sentence


@pytest.mark.parametrize("values", [[], [0.5, 0.4], [0.5, np.nan, 0.4]])
def test_a_curve_that_ends_with_a_value_did_not_diverge(values):
    assert divergence("val_loss", values) is None


@given(
    st.lists(st.floats(-1e3, 1e3) | st.just(np.nan), max_size=40), st.sampled_from(["min", "max"])
)
def test_every_curve_has_a_sentence(values, mode):
    reading = verdict(values, mode)
    finite = [value for value in values if np.isfinite(value)]
    assert (reading is None) == (not finite)
    if reading is not None:
        assert reading.best == (min if mode == "min" else max)(finite)
        assert reading.change >= 0
        assert reading.sentence("val_loss", len(values)).count("\n") == 0


def sentence(course, mode="min"):
    return verdict(curve(course), mode).sentence("val_loss", 20)


def test_overfitting_is_told_with_the_best_epoch_and_a_cure():
    assert sentence(U_SHAPED).startswith("val_loss was best at epoch 5 (0.3) and rose by 1.1")
    assert "overfitting; retrain on everything up to epoch 5, or use dropout" in sentence(U_SHAPED)


def test_a_curve_that_falls_needs_more_epochs():
    assert "still falls" in sentence(FALLING)
    assert "train longer, for 40 epochs" in sentence(FALLING)


def test_an_accuracy_rises():
    assert "still rises" in sentence(-FALLING, "max")
