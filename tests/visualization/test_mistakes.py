import numpy as np
import pytest

from dlp.evaluation.mistakes import value_mistakes
from dlp.visualization.mistakes import draw_values

TRUE = np.array([[10.0], [1000.0], [74000.0]])
PREDICTED = np.array([[20.0], [900.0], [6000.0]])


@pytest.mark.parametrize(
    ("transform", "scale"), [("none", "linear"), ("log", "log"), ("log1p", "symlog")]
)
def test_values_have_equal_axes_on_the_scale_that_the_model_learned(transform, scale):
    report = value_mistakes(PREDICTED, TRUE, ["price"], transform=transform).report
    [axes] = draw_values(report).axes
    assert axes.get_xscale() == scale
    assert axes.get_yscale() == scale
    assert axes.get_xlim() == axes.get_ylim()
