"""Networks of timm as backbones, with random weights and files in their layout."""

import numpy as np
import pytest
import torch
from helpers.backbones import IMAGES, fit, small_data, small_model
from helpers.training import quiet_trainer

from dlp.callbacks import CacheFeatures
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.modules import Backbone, PretrainedModule
from dlp.modules.weights import read_state_dict
from dlp.visualization import GradCAM

timm = pytest.importorskip("timm")
pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
#: Networks, and their number of stages.
QUICK = {"test_convnext": 4, "test_efficientnet": 5, "test_vit": 1}
SLOW = {
    "convnext_tiny": 4,
    "efficientnet_b0": 5,
    "vit_tiny_patch16_224": 1,
    "mobilenetv3_small_050": 5,
    "resnetv2_18": 5,
    "swin_tiny_patch4_window7_224": 1,
}


@pytest.fixture(
    scope="module", params=[*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)]
)
def pair(request):
    """Give a backbone, and timm's network with the same random weights."""
    torch.manual_seed(0)
    backbone = Backbone(f"timm/{request.param}")
    torch.manual_seed(0)
    return backbone.eval(), timm.create_model(request.param).eval()


def images_for(network):
    size = network.pretrained_cfg["input_size"]
    return torch.rand(1, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_features_are_those_of_timm(pair):
    backbone, whole = pair
    images = images_for(whole)
    standardised = (images - backbone.mean) / backbone.std
    expected = whole.forward_features(standardised)
    if len(backbone.stages) == 1:  # what the classifier gets
        expected = whole.forward_head(expected, pre_logits=True)[:, :, None, None]
    tolerance = 1e-5 * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=tolerance)
    assert whole.pretrained_cfg["mean"] == pytest.approx(backbone.mean.flatten().tolist())


@torch.no_grad()
def test_stages_are_cut_where_timm_says_and_run_one_by_one(pair):
    backbone, whole = pair
    images = values = images_for(whole)
    name = whole.pretrained_cfg["architecture"]
    assert len(backbone.stages) == (QUICK | SLOW)[name]
    ends = {stage["module"] for stage in whole.feature_info}
    assert {*backbone.stages} <= ends | {"network"}
    for stage in range(len(backbone.stages)):
        values = backbone.run(values, stage, stage + 1).contiguous()
    assert torch.equal(values, backbone(images))


def test_every_parameter_is_used_and_belongs_to_one_stage(pair):
    backbone, whole = pair
    backbone.set_trained(len(backbone.stages))
    backbone(images_for(whole)).mean().backward()
    unused = {name for name, value in backbone.named_parameters() if value.grad is None}
    assert {name for name in unused if "conv_head" not in name} == set()
    counts = []
    for number in range(len(backbone.stages) + 1):
        backbone.set_trained(number)
        counts.append(sum(p.requires_grad for p in backbone.parameters()))
    assert counts == sorted({*counts})
    backbone.set_trained(0)


def test_a_vision_transformer_takes_the_size_of_the_images(tmp_path):
    name = "test_vit"
    state = timm.create_model(name).state_dict()
    torch.save(state, tmp_path / "vit.pth")
    backbone = Backbone(f"timm/{name}", tmp_path / "vit.pth", image_size=32)
    assert backbone(torch.rand(1, 3, 32, 32)).shape == (1, 64, 1, 1)
    assert backbone.model.pos_embed.shape[1] < state["pos_embed"].shape[1]
    assert torch.equal(backbone.model.patch_embed.proj.weight, state["patch_embed.proj.weight"])


def test_files_of_safetensors_are_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file({"weight": torch.arange(3.0)}, tmp_path / "a.safetensors")
    assert read_state_dict(tmp_path / "a.safetensors")["weight"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet81", {}, "unknown backbone 'resnet81'. Did you mean 'resnet18'"),
        ("test_vit", {"weights": "r161"}, "weights of timm/test_vit 'r161'. Did you mean 'r160_in"),
        ("test_vit", {"scaling": "units"}, "unknown scaling 'units'. Did you mean 'unit'"),
        ("test_vit", {"weights": "DEFAULT"}, r"test_vit.DEFAULT cannot be read as weights of timm"),
    ],
)
def test_names_and_downloads_that_fail_are_one_sentence(name, arguments, message, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=message) as error:
        Backbone(f"timm/{name}", **arguments)
    assert "\n" not in str(error.value)


def test_a_tag_gives_the_weights_and_their_scaling(monkeypatch):
    create = timm.create_model
    names = []

    def create_model(name, pretrained=False):
        names.append((name, pretrained))
        return create(name.partition(".")[0])

    monkeypatch.setattr(timm, "create_model", create_model)
    backbone = Backbone("timm/efficientnet_b0", "ra4_e3600_r224_in1k")
    assert names[0] == ("efficientnet_b0.ra4_e3600_r224_in1k", True)
    assert backbone.mean.flatten().tolist() == [0.5] * 3
    assert Backbone("timm/efficientnet_b0", "DEFAULT").mean[0] == pytest.approx(0.485)


def test_stored_features_train_as_images_do():
    arguments = {"backbone": "timm/test_efficientnet", "trainable_stages": 1}
    cached = fit(small_model(**arguments), small_data(), CacheFeatures(), epochs=1)
    plain = fit(small_model(**arguments), small_data(), epochs=1)
    for stored, computed in zip(cached.metrics, plain.metrics, strict=True):
        assert stored == pytest.approx(computed, rel=1e-5)


def test_a_heat_map_is_drawn_of_maps_and_refused_for_tokens():
    images = torch.rand(1, 3, 160, 160)
    for name, is_seen in (("test_efficientnet", True), ("test_vit", False)):
        backbone = f"timm/{name}"
        model = PretrainedModule((3, 160, 160), 2, backbone=backbone, weights=None, hidden=())
        with GradCAM(model) as cam:
            if is_seen:
                assert cam(images).shape == (1, 5, 5)
            else:
                with pytest.raises(InputError, match="ends without maps"):
                    cam(images)


@pytest.mark.parametrize("name", ["test_vit", pytest.param("resnetblur18", marks=pytest.mark.slow)])
def test_a_checkpoint_predicts_without_a_download(name):
    model = small_model(backbone=f"timm/{name}")
    trainer = quiet_trainer()
    trainer.fit(model, small_data())
    trainer.save_checkpoint("a.ckpt")
    expected = model.eval().head.predict(model(IMAGES)).detach()
    scores = Predictor.load("a.ckpt").scores(IMAGES.numpy())
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
