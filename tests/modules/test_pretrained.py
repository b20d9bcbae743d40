import fnmatch
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn
from torchvision.transforms.v2.functional import normalize

from dlp.errors import InputError
from dlp.modules import Backbone
from dlp.modules.pretrained import StoredFeatures
from dlp.modules.pretrained.families import FAMILIES, torchvision_network
from dlp.modules.weights import load_weights, read_state_dict
from helpers.backbones import (
    IMAGES,
    TinyBackbone,
    changed,
    drawn_network,
    small_model,
    state_of,
)
from helpers.rounding import assert_rounded_alike

#: A small network of each family; the quick ones are of each way to be cut.
QUICK = ["mobilenet_v2", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "vgg11"]
QUICK += ["timm/test_convnext", "timm/test_efficientnet", "timm/test_vit"]
SLOW = ["alexnet", "convnext_tiny", "efficientnet_b0", "mobilenet_v3_small"]
SLOW += ["timm/convnext_tiny", "timm/efficientnet_b0", "timm/mobilenetv3_small_050"]
SLOW += [
    "timm/resnetv2_18",
    "timm/swin_tiny_patch4_window7_224",
    "timm/vit_tiny_patch16_224",
]
NETWORKS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def of_torchvision(name, folder):
    """Return a backbone from a file in torchvision's layout, and what torchvision says of it."""
    whole = drawn_network(name)
    path = folder / f"{name}.pth"
    torch.save(whole.state_dict(), path)
    whole.set_submodule("fc" if hasattr(whole, "fc") else "classifier", nn.Identity())
    backbone = Backbone(name, path)
    path.unlink()
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    scaling = (preset.mean, preset.std)
    side = 64 if name == "alexnet" else 32
    return SimpleNamespace(
        backbone=backbone, features=whole.eval(), scaling=scaling, side=side
    )


def of_timm(name):
    """Return a backbone of random weights, and what timm says of the same weights."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    backbone = Backbone(f"timm/{name}")
    torch.manual_seed(0)
    whole = timm.create_model(name).eval()
    config = whole.pretrained_cfg
    scaling = (config["mean"], config["std"])
    side = config["input_size"][-1]
    features = whole.forward_features
    if backbone.stages == ("network",):
        whole.reset_classifier(0)
        features = whole
    return SimpleNamespace(
        backbone=backbone, features=features, scaling=scaling, side=side
    )


@pytest.fixture(scope="module", params=NETWORKS)
def published(request, tmp_path_factory):
    """Give a backbone and an image, and the features and standardisation of its library."""
    library, _, name = request.param.rpartition("/")
    folder = tmp_path_factory.mktemp("weights")
    case = of_timm(name) if library else of_torchvision(name, folder)
    case.backbone.eval()
    draw = torch.Generator().manual_seed(0)
    case.images = torch.rand(1, 3, case.side, case.side, generator=draw)
    return case


def test_every_family_is_tested():
    for pattern in FAMILIES:
        assert fnmatch.filter(QUICK + SLOW, pattern), pattern


@torch.no_grad()
def test_features_are_what_the_library_gives_its_classifier(published):
    expected = published.features(normalize(published.images, *published.scaling))
    features = published.backbone(published.images)
    if features.numel() != expected.numel():
        pool = getattr(published.features, "avgpool", nn.AdaptiveAvgPool2d(1))
        features = pool(features)
    assert expected.std() > 0
    tolerance = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(
        features.reshape_as(expected), expected, rtol=1e-4, atol=tolerance
    )


@torch.no_grad()
def test_stages_run_one_by_one_equal_the_whole(published):
    backbone = published.backbone
    values = published.images
    for stage in range(len(backbone.stages)):
        # Stored features come back contiguous.
        values = backbone.run(values, stage, stage + 1).contiguous()
    assert_rounded_alike(values, backbone(published.images), units=100)


def test_every_stage_has_parameters_of_its_own(published):
    backbone = published.backbone
    previous = set()
    for number in range(len(backbone.stages) + 1):
        backbone.set_trained(number)
        trained = {n for n, p in backbone.model.named_parameters() if p.requires_grad}
        assert trained > previous or number == 0
        previous = trained
    names = {name for name, _ in backbone.model.named_parameters()}
    assert {name for name in names - previous if "conv_head" not in name} == set()
    backbone.set_trained(0)


def test_the_blocks_of_vgg16_are_those_of_the_book():
    with torch.device("meta"):
        blocks = torchvision_network("vgg16", None).stages
    assert [*blocks] == ["block1", "block2", "block3", "block4", "block5"]
    assert blocks["block5"] == [f"features.{number}" for number in range(24, 31)]


def test_stages_of_ones_own_run_on_standardised_images_without_the_classifier():
    backbone = TinyBackbone("tiny").eval()
    expected = backbone.model.deep(backbone.model.stem((IMAGES - 0.5) / 0.25))
    torch.testing.assert_close(backbone(IMAGES), expected)
    assert not any("fc" in name for name in backbone.state_dict())


@pytest.mark.parametrize("number", [0, 1, "all"])
def test_a_backward_pass_changes_the_trained_stages_alone(number):
    backbone = Backbone("shufflenet_v2_x0_5", trainable_stages=number)
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(
                layer.bias
            )  # outputs with mean 0 would leave the next mean at 0
    nn.Sequential(backbone).eval().train()
    before = state_of(backbone)
    features = backbone(torch.rand(2, 3, 32, 32))
    assert features.requires_grad == (number != 0)
    if number:
        features.sum().backward()
    with_gradient = {n for n, p in backbone.named_parameters() if p.grad is not None}
    trained = {0: (), 1: ("model.stage4", "model.conv5"), "all": ("model.",)}[number]
    assert with_gradient == {
        n for n, _ in backbone.named_parameters() if n.startswith(trained)
    }
    statistics = {
        n for n in before if n.startswith(trained) and ("running" in n or "num_" in n)
    }
    assert changed(before, backbone.state_dict()) == statistics


def test_images_are_scaled_as_weights_of_a_name_take_them_or_left(monkeypatch):
    for name in (
        "kaiming_uniform_",
        "kaiming_normal_",
        "normal_",
    ):  # they would take a second
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    mean = Backbone("squeezenet1_1", scaling="IMAGENET1K_V1").mean
    assert mean.equal(Backbone("squeezenet1_1").mean)
    unit = Backbone("squeezenet1_1", scaling="unit")
    assert not unit.mean.any()
    assert (unit.std == 1).all()
    caffe = Backbone("vgg16", scaling="IMAGENET1K_FEATURES")
    torch.testing.assert_close(255 * caffe.std, torch.ones(3, 1, 1))
    assert (255 * caffe.mean).flatten().round().tolist() == [123, 117, 104]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet81"}, "unknown backbone 'resnet81'. Did you mean 'resnet18'"),
        (
            {"weights": "DEFUALT"},
            "weights of shufflenet_v2_x0_5 'DEFUALT'. Did you mean 'DEFAULT'",
        ),
        (
            {"weights": "none.pth"},
            "Accepted: IMAGENET1K_V1, DEFAULT, the path of a state dict",
        ),
        ({"scaling": "units"}, "unknown scaling 'units'. Did you mean 'unit'"),
        ({"trainable_stages": 6}, "stages: expected 0 to 4, got 6"),
    ],
)
def test_arguments_that_name_nothing_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Backbone(**{"name": "shufflenet_v2_x0_5", **arguments})


def test_the_optimizer_has_all_parameters_whatever_is_frozen():
    model = small_model(trainable_stages=2, backbone_lr=0.01)
    head, backbone = model.configure_optimizers().param_groups
    assert (head["name"], head["lr"]) == ("head", 0.05)
    assert (backbone["name"], backbone["lr"]) == ("backbone", 0.01)
    assert len(head["params"] + backbone["params"]) == len([*model.parameters()])


def test_penalties_act_on_the_hidden_layers_alone():
    model = small_model(l2=0.5, hidden=(4, 3))
    dense = model.network.classifier
    expected = 0.5 * (
        dense.dense1.weight.square().sum() + dense.dense2.weight.square().sum()
    )
    torch.testing.assert_close(model.penalty(), expected)


@pytest.mark.parametrize("pool", ["avg", "flatten"])
@torch.no_grad()
def test_the_network_continues_from_features_of_every_depth(pool):
    network = small_model(pool=pool).network.eval()
    expected = network(IMAGES)
    for depth in range(1, network.depth + 1):
        values = network.features(IMAGES, depth).values.contiguous()
        assert_rounded_alike(
            network(StoredFeatures(values, depth)), expected, units=100
        )


def test_features_are_computed_in_evaluation_mode_without_gradient():
    model = small_model(trainable_stages="all")
    before = state_of(model)
    features = model.network.features(IMAGES, 3)
    assert not features.values.requires_grad
    assert not changed(before, model.state_dict())
    assert all(module.training for module in model.network.backbone.modules())


def network(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))


def loaded(tensors):
    with torch.device("meta"):
        target = network()
    load_weights(target, tensors)
    return target.state_dict()


def test_a_state_dict_and_a_checkpoint_are_read_alike(tmp_path):
    state = network().state_dict()
    torch.save(state, tmp_path / "state.pth")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "run.ckpt")
    torch.save({"model": state, "epoch": 3}, tmp_path / "timm.pth")
    for name in ("state.pth", "run.ckpt", "timm.pth"):
        tensors = read_state_dict(tmp_path / name)
        assert all(torch.equal(tensors[key], state[key]) for key in state)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"PK\x03\x04", torch.zeros(2), {"epoch": 3}]
)
def test_a_file_of_something_else_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(
        content, path
    )
    with pytest.raises(
        InputError, match=r"weights.pth cannot be read|of another network"
    ) as error:
        Backbone("squeezenet1_1", path)
    assert "\n" not in str(error.value)
    assert "weights_only" not in str(
        error.value
    )  # torch advises to run the file's code


@pytest.mark.parametrize("prefix", ["", "model.", "network.backbone.model."])
def test_names_below_a_prefix_are_taken_and_children_of_the_file_alone_left_out(prefix):
    state = network().state_dict()
    tensors = {"head.weight": torch.zeros(2), f"{prefix}fc.weight": torch.zeros(2)}
    tensors |= {f"{prefix}{name}": value for name, value in state.items()}
    result = loaded(tensors)
    assert result.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in result.items())


def test_half_precision_becomes_that_of_the_network_and_batches_need_no_count():
    state = {name: value.half() for name, value in network().state_dict().items()}
    del state["1.num_batches_tracked"]
    assert loaded(state)["0.weight"].dtype == torch.float32
    assert loaded(state)["1.num_batches_tracked"] == 0


def test_weights_of_another_network_are_refused():
    longer = {**network().state_dict(), "0.scale": torch.zeros(2)}
    for tensors, name in (
        (longer, '"0.scale"'),
        (network(5).state_dict(), "mismatch for 0.bias"),
    ):
        with pytest.raises(InputError, match=f"of another network: .*{name}"):
            loaded(tensors)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            "has no squeezenet1_1-b8a52dc0.pth, and the download failed .* Put https",
        ),
        (
            b"PK\x03\x04",
            r"squeezenet1_1-b8a52dc0.pth cannot be read as weights \(delete it",
        ),
    ],
)
def test_weights_that_are_absent_or_damaged_are_named(
    tmp_path, monkeypatch, content, message
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    if content is not None:
        folder.mkdir(parents=True)
        (folder / "squeezenet1_1-b8a52dc0.pth").write_bytes(content)
    with pytest.raises(InputError, match=message):
        Backbone("squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1")
