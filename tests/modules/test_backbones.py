import os
import re
import urllib.error
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms.v2 import functional as T
from torchvision_families import EVERY_FAMILY, published, side

from dlp.errors import InputError, MissingInputError
from dlp.modules import Backbone
from dlp.modules.pretrained.families import FAMILIES, backbone_names, family_of
from dlp.modules.pretrained.weights import published_weights, weights_at_hand
from dlp.modules.state_dicts import fill


def drawn(name="resnet18", count=2):
    size = side(name)
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def backbone(name="squeezenet1_1", *arguments, **named):
    torch.manual_seed(0)
    return Backbone(name, *arguments, image_size=side(name), **named)


def reference_of(ours):
    """Return torchvision's own whole network with the same weights."""
    arguments = dict(ours.family.arguments)
    if ours.family.size_argument:
        size = ours.image_size
        argument = ours.family.size_argument
        arguments[argument] = size if argument == "image_size" else (size, size)
    reference = torchvision.models.get_model(ours.name, **arguments)
    lacking, unknown = reference.load_state_dict(ours.model.state_dict(), strict=False)
    assert unknown == []
    assert all(name.startswith(f"{ours.family.classifier}.") for name in lacking)
    return reference


# The chain ------------------------------------------------------------------------------------


def test_every_classification_network_of_torchvision_is_in_the_table():
    names = torchvision.models.list_models(module=torchvision.models)
    assert backbone_names() == names
    files = {torchvision.models.get_model_builder(name).__module__.split(".")[-1] for name in names}
    assert files == set(FAMILIES)


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_features_are_what_torchvision_gives_its_classifier(name):
    ours = backbone(name).eval()
    reference, images, taken = reference_of(ours).eval(), drawn(name), []
    if hasattr(reference, "transform_input"):
        reference.transform_input = True  # as with its weights
    preset = published(name).transforms()
    reference.get_submodule(ours.family.classifier).register_forward_pre_hook(
        lambda layer, inputs: taken.append(inputs[0])
    )
    with torch.no_grad():
        features = ours(images)
        reference(T.normalize(images, preset.mean, preset.std))
        if features.shape != taken[0].shape:
            pool = getattr(reference, "avgpool", nn.AdaptiveAvgPool2d(1))
            features = pool(features).reshape(taken[0].shape)
    assert taken[0].std() > 0
    torch.testing.assert_close(features, taken[0], rtol=1e-4, atol=1e-4 * taken[0].std().item())
    assert ours(images).shape[1] == ours.out_channels


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_a_run_can_be_cut_at_every_stage(name):
    ours = backbone(name).eval()
    images = drawn(name)
    with torch.no_grad():
        features = ours(images)
        for cut in range(len(ours.stages) + 1):
            values = ours.run(images, 0, cut)
            stored = values.clone(memory_format=torch.contiguous_format)  # as a file gives it back
            for start in (values, stored):
                assert torch.equal(ours.run(start, cut), features)
                assert torch.equal(start, stored)


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_every_parameter_belongs_to_a_stage(name):
    ours = backbone(name)
    for number, stage in enumerate(ours.stages):
        ours.set_trainable(len(ours.stages) - number)
        frozen = {n for n, p in ours.model.named_parameters() if not p.requires_grad}
        ours.set_trainable(len(ours.stages) - number - 1)
        owned = {n for n, p in ours.model.named_parameters() if not p.requires_grad} - frozen
        modules = tuple(f"{step}." for step in ours._steps[stage] if isinstance(step, str))
        free = {"class_token", "encoder.pos_embedding"}
        assert owned  # no stage is empty
        assert all(n.startswith(modules) or (number == 0 and n in free) for n in owned)
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_torchvisions_module_names_stay():
    ours, theirs = backbone("resnet18"), torchvision.models.resnet18()
    expected = {name for name in theirs.state_dict() if not name.startswith("fc.")}
    assert set(ours.model.state_dict()) == expected
    assert isinstance(ours.model.fc, nn.Identity)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("vgg16", "block1 block2 block3 block4 block5"),
        ("alexnet", "block1 block2 block3"),
        ("squeezenet1_0", "block1 block2 block3 block4"),
        ("resnet50", "stem layer1 layer2 layer3 layer4"),
        ("mobilenet_v2", "stage1 stage2 stage3 stage4 stage5"),
        ("mobilenet_v3_large", "stage1 stage2 stage3 stage4 stage5"),
        ("mnasnet1_0", "stage1 stage2 stage3 stage4 stage5"),
        ("shufflenet_v2_x1_0", "stem stage2 stage3 stage4 conv5"),
        ("convnext_tiny", "stage1 stage2 stage3 stage4"),
        ("swin_v2_t", "stage1 stage2 stage3 stage4"),
        ("efficientnet_v2_s", " ".join(f"features.{number}" for number in range(8))),
        ("densenet121", " ".join(["stem", *(f"features.denseblock{n}" for n in range(1, 5))])),
        ("maxvit_t", "stem blocks.0 blocks.1 blocks.2 blocks.3"),
    ],
)
def test_stages_go_from_the_stem_to_the_deep_end(name, stages):
    family = family_of(name)
    with torch.device("meta"):
        model = torchvision.models.get_model(name, **family.arguments)
    assert list(family.cut(model)) == stages.split()


def test_vggs_blocks_are_the_books():
    with torch.device("meta"):
        model = torchvision.models.vgg16()
    blocks = family_of("vgg16").cut(model)
    assert blocks["block5"] == tuple(f"features.{number}" for number in range(24, 31))
    assert isinstance(model.features[30], nn.MaxPool2d)


def test_a_vit_takes_the_size_it_is_built_for():
    model = Backbone("vit_b_32", image_size=32)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 768)
    with pytest.raises(InputError, match="takes images of 32 x 32, got 64 x 64"):
        model(torch.rand(2, 3, 64, 64))


# Freezing -------------------------------------------------------------------------------------


def modes(ours):
    """Return the stages in which any layer with a state is in training mode."""
    kinds = (nn.BatchNorm2d, nn.Dropout)
    return {
        number
        for number, steps in enumerate(ours._steps.values())
        for step in steps
        for layer in ours.model.get_submodule(step).modules()
        if isinstance(layer, kinds) and layer.training
    }


@pytest.mark.parametrize("given", [0, 2, "all"])
def test_frozen_stages_have_no_gradient_and_stay_in_evaluation(given):
    ours = backbone("resnet18", trainable_stages=given)
    count = 5 if given == "all" else given
    trained = set(range(5 - count, 5))
    assert ours.frozen_stages == 5 - count
    for mode in (None, True, False, True):
        if mode is not None:
            nn.Sequential(ours).train(mode)
        assert modes(ours) == (set() if mode is False else trained)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    features = ours(drawn())
    assert features.requires_grad == bool(count)
    statistics = {
        name for name, value in ours.state_dict().items() if not torch.equal(value, before[name])
    }
    prefixes = ["model.bn1", *(f"model.layer{number}" for number in range(1, 5))]
    expected = tuple(prefixes[number] for number in trained)
    assert all(name.startswith(expected) for name in statistics)
    assert len(statistics) > count or not count
    if count:
        features.sum().backward()
    moved = {name for name, parameter in ours.named_parameters() if parameter.grad is not None}
    assert moved == {name for name, parameter in ours.named_parameters() if parameter.requires_grad}


def test_what_is_trained_can_be_changed_in_either_mode():
    ours = backbone("resnet18").eval()
    ours.set_trainable(1)
    assert modes(ours) == set()
    ours.train()
    assert modes(ours) == {4}
    ours.set_trainable("all")
    assert modes(ours) == {0, 1, 2, 3, 4}
    ours.set_trainable(0)
    assert modes(ours) == set()
    assert ours.trainable_stages == 0


@pytest.mark.parametrize("stages", [6, -1, "al"])
def test_stages_that_there_are_not_are_refused_with_a_list(stages):
    with pytest.raises(InputError, match=r"has 5 stages \(stem, layer1, layer2, layer3, layer4\)"):
        Backbone("resnet18", "DEFAULT", stages)  # before any download


# Images ---------------------------------------------------------------------------------------


def test_images_are_scaled_as_asked():
    images = drawn()
    by_weights, unit = backbone(), backbone(scaling="unit")
    preset = published("squeezenet1_1").transforms()
    normalised = T.normalize(images, preset.mean, preset.std)
    assert torch.equal(by_weights(images), by_weights.model.features(normalised))
    assert torch.equal(unit(images), unit.model.features(images))
    assert {"mean", "std"} < by_weights.state_dict().keys()
    unit.load_state_dict(by_weights.state_dict())
    assert torch.equal(unit(images), by_weights(images))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(2, 32, 32, 3), "channels last: use images.permute(0, 3, 1, 2)"),
        (torch.rand(2, 1, 32, 32), "Grey images: use images.expand(-1, 3, -1, -1)"),
        (torch.rand(3, 32, 32), "One image: use images.unsqueeze(0)"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "use images.float() / 255"),
        (torch.rand(2, 3, 32, 16), "a 32 x 16 image in squeezenet1_1, which takes 17 x 17 or"),
        (torch.rand(2, 5), "takes images (N, 3, height, width), got (2, 5)"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(InputError, match=re.escape(message)):
        backbone()(images)


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_images_of_the_least_size_pass(name):
    ours = backbone(name).eval()
    least = ours.image_size or ours._smallest
    with torch.no_grad():
        assert ours(torch.rand(1, 3, least, least)).numel() >= ours.out_channels


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vgg61"}, "unknown backbone 'vgg61'. Did you mean 'vgg"),
        ({"name": "resnet18", "scaling": "units"}, "Did you mean 'unit'?"),
        ({"name": "inception_v3", "image_size": 64, "weights": "DEFAULT"}, "takes 75 x 75 or more"),
        ({"name": "vit_b_16", "image_size": 64, "weights": "DEFAULT"}, "set image_size: 224"),
        ({"name": "vit_b_16", "image_size": 50}, "cannot take images of 50 x 50"),
        ({"name": "maxvit_t", "image_size": 100}, "cannot take images of 100 x 100"),
        ({"name": "resnet18", "weights": "IMAGENET1K_V3"}, "Did you mean 'IMAGENET1K_V1'?"),
    ],
)
def test_what_cannot_be_is_refused_before_any_download(arguments, message, monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", pytest.fail)
    with pytest.raises(InputError, match=re.escape(message)):
        Backbone(**arguments)


# Weights --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(1)
    return torchvision.models.shufflenet_v2_x0_5().state_dict()


def features_alone(state):
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def without_counts(state):
    return {name: value for name, value in state.items() if not name.endswith("tracked")}


def below(prefix):
    return lambda state: {
        "state_dict": {"head.weight": torch.zeros(1), **{prefix + k: v for k, v in state.items()}}
    }


@pytest.mark.parametrize(
    "change",
    [
        dict,
        features_alone,
        without_counts,
        lambda state: {"state_dict": state},
        below("module."),
        below("network.backbone.model."),
    ],
)
def test_weights_come_from_a_file(change, whole, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(change(whole), path)
    drawn = torch.random.get_rng_state()
    ours = Backbone("shufflenet_v2_x0_5", path)
    assert torch.equal(torch.random.get_rng_state(), drawn)  # nothing was initialised in vain
    assert weights_at_hand("shufflenet_v2_x0_5", path)
    for name, value in ours.model.state_dict().items():
        assert torch.equal(value, whole[name]), name
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_half_precision_is_read_as_float32(whole, tmp_path):
    halves = {name: w.half() if w.is_floating_point() else w for name, w in whole.items()}
    torch.save(halves, tmp_path / "half.pth")
    ours = Backbone("shufflenet_v2_x0_5", tmp_path / "half.pth", "all")
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    assert all(parameter.requires_grad for parameter in ours.parameters())


def test_a_file_that_does_not_fit_is_refused_by_names(whole, tmp_path):
    def refused(state, message):
        torch.save(state, tmp_path / "other.pth")
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            Backbone("shufflenet_v2_x0_5", tmp_path / "other.pth")
        assert "other.pth for shufflenet_v2_x0_5 does not fit" in str(caught.value)

    lacking = {name: w for name, w in whole.items() if not name.startswith("conv5.0")}
    refused(lacking, "it lacks ['conv5.0.weight']")
    refused({**whole, "conv5.0.weight": torch.zeros(2, 2)}, "conv5.0.weight is (2, 2) there, (1024")
    refused({**whole, "stage5.weight": torch.zeros(2)}, "it has ['stage5.weight'] besides")


def test_a_deeper_network_of_the_same_family_is_refused():
    with torch.device("meta"):
        small, large = torchvision.models.resnet50(), torchvision.models.resnet101()
    small.fc = nn.Identity()
    with pytest.raises(InputError, match=r"it has \['layer3\.10.* besides"):
        fill(small, large.state_dict(), ["fc"], "the file")


def test_old_names_of_densenet_are_read():
    model = nn.ModuleDict({"denselayer1": nn.ModuleDict({"norm1": nn.BatchNorm2d(2)})})
    state = model.state_dict()
    old = {name.replace("norm1", "norm.1"): value + 3 for name, value in state.items()}
    fill(model, old, [], "the file")
    assert torch.equal(model["denselayer1"]["norm1"].weight, torch.full((2,), 4.0))


@pytest.mark.parametrize("content", ["text", "cut", "module", "list"])
def test_a_damaged_file_is_refused(content, whole, tmp_path):
    path = tmp_path / "weights.pth"
    if content == "text":
        path.write_text("no weights")
    elif content == "cut":
        torch.save(whole, path)
        path.write_bytes(path.read_bytes()[:100_000])
    else:
        torch.save(nn.Linear(2, 2) if content == "module" else [1], path)
    with pytest.raises(InputError, match=r"torch\.save\(model\.state_dict\(\), path\)"):
        Backbone("shufflenet_v2_x0_5", path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"there is no file of weights .*none\.pth"):
        Backbone("resnet18", tmp_path / "none.pth")
    assert not weights_at_hand("resnet18", tmp_path / "none.pth")


@pytest.fixture
def hub_file(tmp_path, monkeypatch):
    """Return where the weights of squeezenet1_1 are kept, in a folder of this test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub._hub_dir", None)
    path = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("weights", ["DEFAULT", "IMAGENET1K_V1", "SqueezeNet1_1_Weights.DEFAULT"])
def test_weights_by_name_are_taken_from_the_hubs_folder(weights, hub_file):
    state = torchvision.models.squeezenet1_1().state_dict()
    assert not weights_at_hand("squeezenet1_1", weights)
    torch.save(state, hub_file)
    assert weights_at_hand("squeezenet1_1", weights)
    ours = Backbone("squeezenet1_1", weights)
    name = "features.12.expand3x3.weight"
    assert torch.equal(ours.model.state_dict()[name], state[name])


def test_a_download_that_fails_says_what_to_copy_where(hub_file, monkeypatch):
    def unreachable(*arguments, **named):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(InputError) as caught:
        Backbone("squeezenet1_1", "DEFAULT")
    message = str(caught.value)
    assert "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth (no network)" in message
    assert f"copy it to {hub_file} here" in message
    hub_file.write_text("half a page")
    with pytest.raises(InputError, match=re.escape(f"{hub_file} is damaged: delete it")):
        Backbone("squeezenet1_1", "DEFAULT")


def test_random_weights_need_nothing():
    assert weights_at_hand("resnet18", None)


class Sizes(TorchDispatchMode):
    """Notes how many numbers each new tensor has room for."""

    def __init__(self):
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.device.type == "cpu":
            self.largest = max(self.largest, made.numel())
        return made


@pytest.mark.parametrize("name", ["alexnet", "vgg11"])
def test_no_room_is_made_for_a_large_classifier_that_is_left_out(name):
    with Sizes() as sizes:
        weights = dict(backbone(name).model.named_parameters())
    assert sizes.largest == max(weight.numel() for weight in weights.values())
    for key, weight in weights.items():
        assert weight.device.type == "cpu"
        assert (weight.std() > 0) or key.endswith("bias")


def test_weights_of_features_alone_bring_their_own_scale():
    transforms = published_weights("vgg16", "IMAGENET1K_FEATURES").transforms()
    assert transforms.mean == pytest.approx([0.48235, 0.45882, 0.40784])


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mobilenet_v2", "mobilenet_v2_features_torchvision_layout.pth"),
        ("squeezenet1_0", "squeezenet1_0_torchvision_layout.pth"),
    ],
)
def test_real_weights_load(name, file):
    path = Path(os.environ["DLP_DATA_DIR"]).parent / "weights" / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    ours, state = Backbone(name, path).eval(), torch.load(path, weights_only=True)
    assert all(torch.equal(value, state[key]) for key, value in ours.model.state_dict().items())
    assert ours(drawn()).std() > 0
