import matplotlib
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlp.visualization import activation_grid, heatmap_figure, image_grid, overlay


def canvas(figure, number=0):
    return np.asarray(figure.axes[number].images[0].get_array())


@pytest.mark.parametrize(
    ("channels", "options", "name"),
    [(1, {}, "inferno"), (3, {}, "inferno"), (3, {"colormap": "jet"}, "jet")],
)
def test_the_overlay_adds_the_colours_of_the_resized_map(channels, options, name):
    image = torch.rand(channels, 8, 6)
    heat = torch.rand(4, 3) * 5
    result = overlay(image, heat, **options)
    maps = heat[None, None] / heat.max()
    resized = F.interpolate(maps, (8, 6), mode="bilinear")[0, 0]
    colours = matplotlib.colormaps[name](resized.numpy())[..., :3]
    expected = image.numpy() + 0.4 * colours.transpose(2, 0, 1)
    np.testing.assert_allclose(result.numpy(), expected.clip(0, 1), atol=1e-6)


def test_all_parts_of_a_heat_map_have_its_colours():
    heat = torch.tensor([[0.0, 1.0]])
    figure = heatmap_figure(torch.zeros(3, 1, 2), heat, colormap="jet")
    expected = matplotlib.colormaps["jet"]([[0.0, 1.0]])[..., :3]
    np.testing.assert_allclose(canvas(figure, 1), expected, atol=1e-6)
    np.testing.assert_allclose(canvas(figure, 2), 0.4 * expected, atol=1e-6)


def test_each_image_stands_under_its_title():
    images = torch.rand(3, 1, 5, 4)
    figure = image_grid(images, ["cat", "dog", "$5 and $6"])
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["cat", "dog", "$5 and $6", ""]
    for number in range(3):
        np.testing.assert_array_equal(canvas(figure, number), images[number, 0])


def test_sixteen_channels_stand_in_a_row_with_a_gap_of_one_pixel():
    maps = torch.rand(20, 3, 3)
    drawn = canvas(activation_grid(maps))
    assert drawn.shape == (2 * 4 + 1, 16 * 4 + 1, 3)
    black = matplotlib.colormaps["viridis"](0)[:3]
    without_map = drawn[5:8, 17:]
    expected = np.full((3, 48, 3), black)
    np.testing.assert_allclose(without_map, expected, atol=1e-6)
    assert drawn[1:4, 1:4].std() > 0
