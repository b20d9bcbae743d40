"""A backbone of one's own: a subclass whose `build` names the modules of each stage."""

import pytest
import torch
from helpers.backbones import IMAGES, TinyBackbone, fit, small_data, small_model, state_of

from dlp.callbacks import CacheFeatures, Unfreeze
from dlp.visualization import GradCAM

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")


def test_its_stages_run_on_standardised_images_without_the_classifier():
    backbone = TinyBackbone("tiny").eval()
    expected = backbone.model.deep(backbone.model.stem((IMAGES - 0.5) / 0.25))
    torch.testing.assert_close(backbone(IMAGES), expected)
    assert not any("fc" in name for name in backbone.state_dict())


def test_it_is_stored_unfrozen_and_seen_like_a_published_one():
    model = small_model(backbone=TinyBackbone)
    before = state_of(model.network.backbone)
    assert fit(model, small_data(), CacheFeatures(), Unfreeze(2, 1)).trained == [0, 1]
    after = model.network.backbone.state_dict()
    assert {name for name in after if not torch.equal(before[name], after[name])} == {
        *(f"model.deep.{name}" for name in ("0.weight", "0.bias", "1.weight", "1.bias")),
    }
    with GradCAM(model) as cam:
        assert cam(IMAGES[:1]).shape == (1, 13, 13)
