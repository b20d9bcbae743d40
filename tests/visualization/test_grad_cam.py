import captum.attr
import matplotlib
import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from dlp.errors import InputError
from dlp.modules import Backbone, ConvNet, PretrainedNet
from dlp.visualization import GradCAM, default_cam_layer, overlay

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def vgg16():
    """Return a VGG16 with one small dense layer, which costs no time to initialise."""
    with torch.device("meta"):
        model = torchvision.models.vgg16()
        model.classifier = nn.Linear(512 * 7 * 7, 10)
    model.to_empty(device="cpu")
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
            layer.weight.data *= 6**0.5 if isinstance(layer, nn.Conv2d) else 1  # He's: nothing dies
    return model


NETWORKS = {
    "vgg16": (vgg16, "features.29"),
    "resnet18": (torchvision.models.resnet18, "layer4"),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, "features.18"),
    "squeezenet1_1": (torchvision.models.squeezenet1_1, "features.12"),
    "densenet121": (torchvision.models.densenet121, "features.norm5"),
    "ConvNet": (lambda: ConvNet((3, 64, 64), 5), "features.relu4"),
    "PretrainedNet": (
        lambda: PretrainedNet(Backbone("resnet18"), (3, 64, 64), 5),
        "backbone.model.layer4",
    ),
    "one logit": (
        lambda: PretrainedNet(
            Backbone("squeezenet1_1"), (3, 64, 64), 1, pool="flatten", hidden=(8,)
        ),
        "backbone.model.features.12",
    ),
}


@pytest.mark.parametrize(("build", "layer"), NETWORKS.values(), ids=NETWORKS)
def test_the_maps_are_those_of_captum(build, layer):
    torch.manual_seed(0)
    model = build()
    assert default_cam_layer(model, IMAGES) == layer
    model.train()
    with GradCAM(model) as cam:
        of_classes = {number: cam(IMAGES, number) for number in (0, 1)}
    model.eval()
    reference = captum.attr.LayerGradCam(model, model.get_submodule(layer))
    compared = 0
    for number, maps in of_classes.items():
        single = model(IMAGES).shape[1] == 1
        expected = reference.attribute(IMAGES, target=0 if single else number)[:, 0].detach()
        expected = (-expected if single and number == 0 else expected).relu()
        assert maps.shape == expected.shape
        for own, other in zip(maps, expected, strict=True):
            assert (own.max() > 0) == (other.max() > 0)
            if other.max() > 0:
                assert torch.allclose(own / own.max(), other / other.max(), atol=1e-4)
                compared += 1
    assert compared


def by_hand():
    """Return a network of two maps (the image and its negative) and two classes."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 2, bias=False),
    )
    model[0].weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    model[4].weight.data = torch.tensor([[3.0, -1.0], [-2.0, 5.0]])
    return model


IMAGE = torch.tensor([[[[1.0, -2.0], [0.0, 4.0]]]])


def test_the_maps_are_those_worked_out_by_hand():
    # Logit c is the mean over 4 places of the maps, weighted by row c: each gradient is weight/4.
    # Maps after ReLU: [1 0 0 4] and [0 2 0 0].
    with GradCAM(by_hand(), "1") as cam:
        assert cam(IMAGE, 0).tolist() == [[[0.75, 0.0], [0.0, 3.0]]]
        assert cam(IMAGE, 1).tolist() == [[[0.0, 2.5], [0.0, 0.0]]]
        # The mean of 5 and 2: class 0 has 3 * 1.25 - 0.5, class 1 has -2.5 + 2.5.
        assert torch.equal(cam(IMAGE), cam(IMAGE, 0))
    # Before the ReLU: maps [1 -2 0 4] and its negative, gradients weight/4 where positive.
    with GradCAM(by_hand(), "0") as cam:
        weights = 3 / 4 * 2 / 4, -1 / 4 * 1 / 4
        expected = (weights[0] * IMAGE - weights[1] * IMAGE)[:, 0].relu()
        assert torch.allclose(cam(IMAGE, 0), expected)


def test_the_logits_gradient_is_not_lost_where_the_network_is_sure():
    model = by_hand()
    model[4].weight.data *= 1000
    with GradCAM(model, "1") as cam:
        assert cam(IMAGE, 0).tolist() == [[[750.0, 0.0], [0.0, 3000.0]]]


@pytest.mark.parametrize("flat", [False, True])
def test_a_single_logit_speaks_for_class_1_and_against_class_0(flat):
    model = by_hand()
    model[4] = nn.Linear(2, 1, bias=False)
    model[4].weight.data = torch.tensor([[4.0, -4.0]])
    model.append(nn.Flatten(0) if flat else nn.Identity())
    images = torch.cat([IMAGE, -IMAGE])
    with GradCAM(model, "1") as cam:
        assert cam(images, 1).tolist() == [[[1, 0], [0, 4]], [[0, 2], [0, 0]]]
        assert cam(images, 0).tolist() == [[[0, 2], [0, 0]], [[1, 0], [0, 4]]]
        assert torch.equal(cam(images), cam(images, [1, 0]))
        assert torch.equal(cam(images), cam(images, torch.tensor([1.0, 0.0])))


def test_each_image_has_its_own_class_whatever_the_batch():
    torch.manual_seed(0)
    model = ConvNet((3, 64, 64), 5)
    images = torch.rand(5, 3, 64, 64)
    classes = [4, 0, 2, 2, 1]
    with GradCAM(model) as cam:
        together = cam(images, classes)
        alone = [cam(image[None], number)[0] for image, number in zip(images, classes, strict=True)]
        assert torch.allclose(together, torch.stack(alone), atol=1e-6)
        assert torch.equal(together, cam(images, torch.tensor(classes)))
        predicted = model(images).argmax(1)
        assert torch.equal(cam(images), cam(images, predicted))
    assert (together >= 0).all()
    assert together.amax() > 0


def test_other_weights_give_other_maps():
    torch.manual_seed(0)
    model = torchvision.models.resnet18()
    with GradCAM(model, "layer4") as cam:
        before = cam(IMAGES, 3)
        torch.nn.init.normal_(model.fc.weight)
        after_head = cam(IMAGES, 3)
        torch.nn.init.kaiming_normal_(model.layer4[1].conv2.weight)
        after_both = cam(IMAGES, 3)
    maps = [values / values.amax().clamp_min(1e-9) for values in (before, after_head, after_both)]
    assert all(values.amax() > 0 for values in maps)
    assert not torch.allclose(maps[0], maps[1], atol=0.05)
    assert not torch.allclose(maps[1], maps[2], atol=0.05)


def test_the_hook_lives_in_each_call_alone():
    model = by_hand()
    with GradCAM(model, "1") as cam:
        maps = cam(IMAGE)
        assert not model[1]._forward_hooks
        loss = model(IMAGE).sum()  # the block disturbs no other use
        loss.backward()
        assert model[0].weight.grad.any()
        assert torch.equal(cam(IMAGE), maps)
    assert torch.equal(cam(IMAGE), maps)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (2, "the classes 0 to 1; class 2 is none of them"),
        (-1, "class -1 is none of them"),
        ([0, 1], r"one for each of 1 images; got \(2,\)"),
        (torch.tensor([0.5]), "class 0.5 is none of them"),
    ],
)
def test_classes_that_are_not_there(classes, message):
    with GradCAM(by_hand(), "1") as cam, pytest.raises(InputError, match=message):
        cam(IMAGE, classes)


@pytest.mark.parametrize(
    ("layer", "message"),
    [("4", r"layer '4' gives \(1, 2\)"), ("3", "maps \\(N, C, height, width\\)")],
)
def test_layers_without_maps(layer, message):
    with GradCAM(by_hand(), layer) as cam, pytest.raises(InputError, match=message):
        cam(IMAGE)


def test_outputs_that_do_not_come_from_the_layer():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)
            self.output = nn.Linear(2, 2)

        def forward(self, images):
            return self.output(self.conv(images).detach().mean((2, 3)))

    with GradCAM(Cut(), "conv") as cam, pytest.raises(InputError, match="no gradient comes"):
        cam(IMAGE)
    with GradCAM(by_hand()[:2], "1") as cam, pytest.raises(InputError, match="that give logits"):
        cam(IMAGE)


def test_transformers():
    torch.manual_seed(0)
    vit = torchvision.models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=3)
    images = torch.rand(1, 3, 32, 32)
    with pytest.raises(InputError, match="rows of tokens after its last map"):
        default_cam_layer(vit, images)
    with GradCAM(vit, "encoder.ln") as cam, pytest.raises(InputError, match=r"gives \(1, 17, 16\)"):
        cam(images)
    swin = torchvision.models.SwinTransformer([4, 4], 16, [1, 1], [2, 2], [2, 2], num_classes=3)
    assert default_cam_layer(swin, images) == "permute"
    with GradCAM(swin) as cam:
        assert cam(images, 0).shape == (1, 4, 4)

    class OneSize(nn.Module):
        """Takes images of one size: where its channels stand cannot be measured."""

        def __init__(self):
            super().__init__()
            self.swin = swin

        def forward(self, images):
            assert images.shape[2:] == (32, 32)
            return self.swin(images)

    with (
        GradCAM(OneSize(), "swin.features") as cam,
        pytest.raises(InputError, match="channels last"),
    ):
        cam(images)


def test_default_layers_of_nets_of_another_build():
    single = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten())
    assert default_cam_layer(single, IMAGES) == "0"
    pooled_first = nn.Sequential(
        nn.Conv2d(3, 2, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(2 * 31 * 31, 2),
    )
    assert default_cam_layer(pooled_first, IMAGES) == "1"
    dense = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2))
    with pytest.raises(InputError, match="no maps"):
        default_cam_layer(dense, IMAGES)


def test_an_overlay_adds_the_colours_of_the_resized_map():
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) / 2
    colours = torch.tensor(matplotlib.colormaps["jet"]([0.0, 1.0])[:, :3], dtype=torch.float32)
    hot = overlay(image, torch.full((2, 2), 7.0))
    assert torch.allclose(hot, (image + 0.4 * colours[1].view(3, 1, 1)).clamp(0, 1), atol=1e-6)
    cold = overlay(image, torch.zeros(2, 2), alpha=0.5)
    assert torch.allclose(cold, image + 0.5 * colours[0].view(3, 1, 1), atol=1e-6)
    assert torch.equal(overlay(image, torch.rand(2, 2), alpha=0), image)


def test_an_overlay_is_smooth_and_in_its_place():
    heat = torch.zeros(4, 4)
    heat[0, 3] = 1
    seen = overlay(torch.zeros(3, 16, 24), heat, alpha=1)
    assert seen.shape == (3, 16, 24)
    red, blue = seen[0], seen[2]
    assert red[0, -1] > 0.4
    assert red[8:].max() == 0
    assert red[:, :12].max() == 0
    assert blue[8:].min() > 0.49
    assert len(np.unique(red[0].numpy())) > 3


def test_grey_images_get_colours():
    seen = overlay(torch.full((1, 4, 4), 0.25), torch.eye(2))
    assert seen.shape == (3, 4, 4)
    assert seen.max() <= 1
    assert seen.min() >= 0.25


@pytest.mark.parametrize(
    ("image", "heatmap", "message"),
    [
        (torch.zeros(2, 4, 4), torch.zeros(2, 2), r"got \(2, 4, 4\) and \(2, 2\)"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(2, 2), "one image"),
        (torch.zeros(3, 4, 4), torch.zeros(1, 2, 2), "one heat map"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(2, 2), r"use image\.float\(\) / 255"),
    ],
)
def test_what_cannot_be_laid_over_each_other(image, heatmap, message):
    with pytest.raises(InputError, match=message):
        overlay(image, heatmap)
