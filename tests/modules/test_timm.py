"""What networks of timm have beside those of torchvision; `test_pretrained` runs their stages."""

import pytest
import torch

from dlp.errors import InputError
from dlp.modules import Backbone
from dlp.modules.weights import read_state_dict

timm = pytest.importorskip("timm")


@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet", "resnetv2_18"])
def test_stages_end_where_timm_says(name):
    with torch.device("meta"):
        backbone = Backbone(f"timm/{name}")
    assert [*backbone.stages] == [
        stage["module"] for stage in backbone.model.feature_info
    ]


@pytest.mark.parametrize("name", ["test_vit", "swin_tiny_patch4_window7_224"])
def test_a_transformer_is_one_stage(name):
    with torch.device("meta"):
        assert Backbone(f"timm/{name}").stages == ("network",)


def test_a_vision_transformer_takes_the_size_of_the_images(tmp_path):
    name = "test_vit"
    state = timm.create_model(name).state_dict()
    torch.save(state, tmp_path / "vit.pth")
    backbone = Backbone(f"timm/{name}", tmp_path / "vit.pth", image_size=32)
    assert backbone(torch.rand(1, 3, 32, 32)).shape == (1, 64, 1, 1)
    assert backbone.model.pos_embed.shape[1] < state["pos_embed"].shape[1]
    assert torch.equal(
        backbone.model.patch_embed.proj.weight, state["patch_embed.proj.weight"]
    )


def test_files_of_safetensors_are_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file({"weight": torch.arange(3.0)}, tmp_path / "a.safetensors")
    assert read_state_dict(tmp_path / "a.safetensors")["weight"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resnet81", None, "unknown backbone 'resnet81'. Did you mean 'resnet18'"),
        ("test_vit", "r161", "weights of timm/test_vit 'r161'. Did you mean 'r160_in"),
        (
            "test_vit",
            "DEFAULT",
            r"test_vit.DEFAULT cannot be read as weights from timm",
        ),
    ],
)
def test_names_and_downloads_that_fail_are_one_sentence(
    name, weights, message, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=message) as error:
        Backbone(f"timm/{name}", weights)
    assert "\n" not in str(error.value)


def test_a_tag_gives_the_weights_and_their_scaling(monkeypatch):
    create = timm.create_model
    names = []

    def create_model(name, pretrained=False):
        names.append((name, pretrained))
        return create("test_efficientnet")

    monkeypatch.setattr(timm, "create_model", create_model)
    backbone = Backbone("timm/efficientnet_b0", "ra4_e3600_r224_in1k")
    assert names[0] == ("efficientnet_b0.ra4_e3600_r224_in1k", True)
    assert backbone.mean.flatten().tolist() == [0.5] * 3
    assert Backbone("timm/efficientnet_b0", "DEFAULT").mean[0] == pytest.approx(0.485)
