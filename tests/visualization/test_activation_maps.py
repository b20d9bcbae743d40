import pytest
import torch
from helpers.awkward import IMAGES, Awkward
from torchvision.models import vgg11

from dlp.visualization import activations
from dlp.visualization.activation_maps import channel_image, default_layers


def test_each_layer_gives_its_own_output_before_the_next_works_in_place():
    model = Awkward().eval()
    seen = activations(model, IMAGES, ["norm", "relu", "output"])
    expected = model.norm(model.conv1(IMAGES))
    torch.testing.assert_close(seen["norm"], expected)
    torch.testing.assert_close(seen["relu"], expected.relu())
    torch.testing.assert_close(seen["output"], model(IMAGES))


def test_the_default_layers_are_convolutions_and_poolings_by_their_activation():
    assert default_layers(Awkward()) == ["relu", "pool", "act", "unused"]
    names = [f"features.{number}" for number in (1, 2, 4, 5, 7, 9, 10, 12)]
    with torch.device("meta"):
        assert default_layers(vgg11()) == names


def test_a_channel_has_mean_128_and_deviation_64():
    maps = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0))
    values = maps[1] - maps[1].mean()
    expected = (values / values.std(correction=0) * 64 + 128).clamp(0, 255).to(torch.uint8)
    assert torch.equal(channel_image(maps)[1], expected)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_a_channel_of_one_value_is_black(value):
    assert (channel_image(torch.full((1, 4, 4), value)) == 0).all()
