import torch
from helpers.awkward import Awkward
from torch import nn

from dlp.seeds import derived_seed
from dlp.visualization import filter_patterns

SMALL = {"size": 12, "steps": 5, "border": 2}


def test_without_jitter_and_border_the_pattern_is_that_of_the_book():
    model = Awkward().eval()
    generator = torch.Generator().manual_seed(derived_seed(0, 1))
    pixels = torch.rand(1, 3, 12, 12, generator=generator) * 20 + 128
    for _ in range(5):
        leaf = pixels.requires_grad_()
        loss = model.conv2(model.pool(model.relu(model.norm(model.conv1(leaf / 255)))))[:, 1].mean()
        gradient = torch.autograd.grad(loss, leaf)[0]
        pixels = (leaf + gradient / gradient.square().mean().sqrt()).detach()
    pixels = pixels - pixels.mean()
    expected = (pixels / (pixels.std(correction=0) + 1e-5) * 0.1 + 0.5).clamp(0, 1)
    pattern = filter_patterns(model, "conv2", 1, size=12, steps=5, jitter=0, border=0)
    torch.testing.assert_close(pattern, expected)


def test_a_pattern_depends_on_its_filter_and_the_seed_alone():
    model = Awkward()
    several = filter_patterns(model, "conv2", [3, 0, 2], **SMALL)
    torch.testing.assert_close(several[1:2], filter_patterns(model, "conv2", 0, **SMALL))
    assert not torch.equal(several, filter_patterns(model, "conv2", [3, 0, 2], seed=1, **SMALL))


def test_layers_behind_the_layer_need_not_take_the_size():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(7, 1))
    patterns = filter_patterns(model, "0", [0, 1], channels=1, size=(9, 5), steps=1)
    assert patterns.shape == (2, 1, 9, 5)
    assert 0 <= patterns.min() <= patterns.max() <= 1
