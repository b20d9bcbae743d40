import pytest

from dlp.number_words import score_in_words


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.28734, "0.2873"),
        (0.0, "0.0000"),
        (2.5e-6, "2.5e-06"),  # four decimals would show nothing of it
        (71400538112.0, "71,400,538,112"),
        (float("nan"), "nan"),
    ],
)
def test_scores_are_legible_in_any_unit(value, shown):
    assert score_in_words(value) == shown
