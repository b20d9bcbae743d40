"""The reading of curves whose course and noise are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.evaluation.verdict import divergence, verdict

FALLING = np.exp(-np.arange(20) / 8)
FLAT = 0.3 + np.exp(-np.arange(40))
U_SHAPED = 0.3 + 0.02 * (np.arange(20) - 4.0) ** 2 / 4
LATE_DROP = np.array([*np.full(20, 1.0), 0.5])
BEST_AT_ITS_END = np.array([0.5, *np.full(20, 0.30), 0.2999])


@pytest.mark.parametrize(
    ("kind", "course"),
    [
        ("improving", FALLING),
        ("flat", FLAT),
        ("overfitting", U_SHAPED),
        ("flat", LATE_DROP),
        ("too_short", [0.5, 0.4, 0.45]),
    ],
)
def test_a_loss_and_an_accuracy_of_one_course_have_one_reading(kind, course):
    for values, mode in ((np.array(course), "min"), (-np.array(course), "max")):
        reading = verdict(values, mode)
        assert reading.kind == kind
        assert reading.best_epoch == np.argmin(course) + 1


def readings(course, deviation, mode="min"):
    """Return the readings of 100 noisy curves."""
    noise = np.random.default_rng(0).normal(0, deviation, (100, len(course)))
    return [verdict(curve, mode) for curve in course + noise]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_overfitting_is_seen_through_noise_and_rarely_around_a_level(mode):
    level = readings(np.full(40, 0.5), 0.02, mode)
    kinds = [reading.kind for reading in level]
    assert kinds.count("flat") >= 85
    assert kinds.count("overfitting") <= 5
    assert np.median([reading.noise for reading in level]) == pytest.approx(
        0.02, rel=0.2
    )
    kinds = [reading.kind for reading in readings(U_SHAPED, 0.01)]
    assert kinds.count("overfitting") >= 95


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            [0.5, 0.4, np.nan, np.nan],
            "val_loss is NaN or infinite from epoch 3 on: training diver",
        ),
        ([0.5, np.inf], "val_loss is NaN or infinite from epoch 2 on"),
        ([], ""),
        ([0.5, np.nan, 0.4], ""),  # it ends with a value
    ],
)
def test_a_curve_that_diverged_says_so(values, words):
    sentence = divergence("val_loss", values) or ""
    assert sentence.startswith(words)
    assert bool(sentence) == bool(words)


@given(
    st.lists(st.floats(-1e3, 1e3) | st.sampled_from([np.nan, np.inf]), max_size=40),
    st.sampled_from(["min", "max"]),
)
def test_every_curve_has_a_sentence(values, mode):
    reading = verdict(values, mode)
    finite = [value for value in values if np.isfinite(value)]
    assert (reading is None) == (not finite)
    if reading is not None:
        assert reading.best == (min if mode == "min" else max)(finite)
        assert reading.best == values[reading.best_epoch - 1]
        assert reading.change >= 0
        assert reading.sentence("val_loss", len(values)).count("\n") == 0


@pytest.mark.parametrize(
    ("course", "words"),
    [
        (U_SHAPED, "val_loss was best at epoch 5 (0.3) and got worse by 1.1"),
        (FALLING, "train longer, for 40 epochs"),
        (
            BEST_AT_ITS_END,
            "was best at epoch 22 (0.2999) and is flat (the noise of an epoch",
        ),
    ],
)
def test_a_sentence_tells_the_course_and_what_follows(course, words):
    assert words in verdict(course, "min").sentence("val_loss", len(course))
