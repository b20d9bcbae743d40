"""The reading of curves whose course and noise are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.evaluation.verdict import verdict


def curve(course, noise=0.0, seed=0):
    values = np.asarray(course, float)
    return (values + noise * np.random.default_rng(seed).normal(size=len(values))).tolist()


FALLING = np.exp(-np.arange(20) / 8)
FLAT = 0.3 + np.exp(-np.arange(40))
U_SHAPED = 0.3 + 0.02 * (np.arange(20) - 4.0) ** 2 / 4


@pytest.mark.parametrize(
    ("kind", "course"),
    [
        ("improving", FALLING),
        ("flat", FLAT),
        ("worse", U_SHAPED),
        ("short", [0.5, 0.4, 0.45]),
        ("short", [0.5]),
        ("improving", [0.5, 0.4, 0.3]),
    ],
)
def test_the_course_of_a_curve_is_read_in_both_directions(kind, course):
    assert verdict(curve(course), "min").kind == kind
    rising = verdict((-np.asarray(course)).tolist(), "max")
    assert rising.kind == kind
    assert rising.best_epoch == int(np.argmin(course)) + 1


@pytest.mark.parametrize("mode", ["min", "max"])
def test_noise_around_a_level_is_rarely_called_a_trend(mode):
    kinds = [verdict(curve(np.full(40, 0.5), 0.02, seed), mode).kind for seed in range(100)]
    assert kinds.count("worse") <= 5
    assert kinds.count("flat") >= 85


def test_overfitting_is_seen_through_noise():
    kinds = [verdict(curve(U_SHAPED, 0.01, seed), "min").kind for seed in range(50)]
    assert kinds.count("worse") >= 48


def test_the_noise_is_measured():
    noises = [verdict(curve(np.full(60, 0.5), 0.02, seed), "min").noise for seed in range(50)]
    assert np.median(noises) == pytest.approx(0.02, rel=0.2)


def test_epochs_without_a_value_are_left_out():
    values = [np.nan, 0.5, np.nan, 0.3, np.inf, 0.4]
    assert verdict(values, "min").best_epoch == 4
    assert verdict([np.nan, np.inf], "min") is None
    assert verdict([], "min") is None


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


def test_a_sentence_tells_the_reading_and_what_to_do():
    sentence = verdict(curve(U_SHAPED), "min").sentence("val_loss", 20)
    assert sentence.startswith("val_loss was best at epoch 5 (0.3) and rose by 1.1")
    assert "overfitting; retrain on everything for 5 epochs, or use dropout, L2" in sentence
    assert "train longer, for 40 epochs" in verdict(curve(FALLING), "min").sentence("val_loss", 20)
    assert "still rises" in verdict((-FALLING).tolist(), "max").sentence("val_acc", 20)
