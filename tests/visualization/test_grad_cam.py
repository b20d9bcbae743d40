import pytest
import torch
from captum.attr import LayerGradCam
from helpers.awkward import IMAGES, Awkward
from torchvision.models import resnet18, squeezenet1_1, vgg11

from dlp.errors import InputError
from dlp.modules import ConvNet
from dlp.visualization import GradCAM
from dlp.visualization.grad_cam import default_cam_layer


def convnet(num_outputs=3):
    torch.manual_seed(0)
    return ConvNet((3, 14, 12), num_outputs, channels=[4, 5], dense=[]).eval()


@pytest.mark.parametrize(
    ("model", "layer"),
    [(convnet(), "features.relu2"), (convnet(), "features.conv1"), (Awkward().eval(), "act")],
)
def test_the_maps_are_those_of_captum(model, layer):
    with GradCAM(model, layer) as cam:
        maps = cam(IMAGES, [2, 0])
    captum = LayerGradCam(model, model.get_submodule(layer))
    expected = captum.attribute(IMAGES, torch.tensor([2, 0])).relu()[:, 0]
    assert maps.max() > 0
    torch.testing.assert_close(maps, expected.detach())


def test_one_logit_speaks_for_class_1_and_against_class_0():
    one, two = convnet(1), convnet(2)
    state = one.state_dict()
    for name in ("classifier.output.weight", "classifier.output.bias"):
        state[name] = torch.cat([-state[name], state[name]])
    two.load_state_dict(state)
    for number in (0, 1):
        torch.testing.assert_close(GradCAM(one)(IMAGES, number), GradCAM(two)(IMAGES, number))


@pytest.mark.parametrize(
    ("build", "layer"),
    [(vgg11, "features.19"), (resnet18, "layer4"), (squeezenet1_1, "classifier.2")],
)  # fmt: skip
def test_the_default_layer_gives_the_last_map_before_pooling(build, layer):
    with torch.device("meta"):
        model = build()
    assert default_cam_layer(model, torch.rand(1, 3, 64, 64)) == layer


def test_a_layer_without_maps_is_an_error():
    with pytest.raises(InputError, match=r"returns \(2, 3\), not maps"):
        GradCAM(Awkward(), "output")(IMAGES, 0)
