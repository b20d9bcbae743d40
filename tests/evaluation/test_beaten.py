import pytest

from dlp.evaluation.beaten import beside_baseline
from dlp.modules.heads import RegressionHead


@pytest.mark.parametrize(("std", "scaled"), [(None, False), ([100.0], True)])
def test_values_that_were_not_standardised_are_advised_to_be(std, scaled):
    head = RegressionHead(target_mean=[1e6] if scaled else None, target_std=std)
    summary = {"mean": [1e6], "median": [1e6]}
    beaten = beside_baseline(head, {"median": {"mae": 76.0}}, {"val_mae": 999_999.0}, summary, None)
    assert not beaten.beats
    assert "999,999 against 76.0000" in beaten.line
    assert ("--data.target_scaling standard" in beaten.line) != scaled
