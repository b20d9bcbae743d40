import numpy as np
import pytest
import torch

from dlp.errors import InputError
from dlp.visualization.image_grids import image_grid

IMAGES = torch.rand(5, 3, 6, 8, generator=torch.Generator().manual_seed(0))


def shown(figure):
    return [axes for axes in figure.axes if axes.get_images()]


def test_each_image_stands_under_its_title():
    figure = image_grid(IMAGES, list("abcde"))
    assert [axes.get_title() for axes in shown(figure)] == list("abcde")
    for axes, image in zip(shown(figure), IMAGES, strict=True):
        assert np.array_equal(axes.get_images()[0].get_array(), image.permute(1, 2, 0).numpy())
    assert not any(axes.axison for axes in figure.axes)


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [(1, None, (1, 1)), (4, None, (2, 2)), (5, None, (2, 3)), (5, 4, (2, 4)), (2, 3, (1, 3))],
)
def test_rows_and_columns(count, columns, shape):
    figure = image_grid(IMAGES[:count], columns=columns)
    grid = figure.axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    assert len(shown(figure)) == count


def test_grey_images_span_black_to_white():
    figure = image_grid(IMAGES[:, :1] * 0.5)
    image = shown(figure)[1].get_images()[0]
    assert image.get_array().shape == (6, 8)
    assert image.get_clim() == (0, 1)
    assert image.get_cmap().name == "gray"


def test_values_outside_the_range_are_cut():
    figure = image_grid(torch.stack([IMAGES[0] * 3, IMAGES[0] - 2]))
    bright, dark = (axes.get_images()[0].get_array() for axes in shown(figure))
    assert bright.max() == 1
    assert dark.max() == 0


@pytest.mark.parametrize("shape", [(3, 6, 8), (2, 6, 8, 3), (2, 2, 6, 8), (0, 3, 6, 8)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(InputError, match=r"takes images \(N, 1 or 3, height, width\), got"):
        image_grid(torch.zeros(shape))


def test_every_image_needs_a_title():
    with pytest.raises(InputError, match="5 images and 2 titles"):
        image_grid(IMAGES, ["a", "b"])
