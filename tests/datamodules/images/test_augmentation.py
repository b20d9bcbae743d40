import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from torchvision.transforms import v2

from dlp.datamodules.images.augmentation import (
    Augmenter,
    RandomAffine,
    make_augmentation,
)
from dlp.errors import InputError
from helpers.rounding import assert_rounded_alike


def images(count=4, channels=3, height=9, width=14):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randint(0, 256, (count, channels, height, width), generator=generator)
        / 255
    )


def by_scipy(image, uniform, transform, order):
    """Return an image changed by Keras 2.0.8's matrices, in coordinates of pixels."""
    height, width = image.shape[1:]
    symmetric = 2 * uniform.astype(np.float64) - 1
    angle = np.deg2rad(symmetric[0] * transform.rotation)
    down, right = (
        symmetric[1] * transform.shift * height,
        symmetric[2] * transform.shift * width,
    )
    shear = symmetric[3] * transform.shear
    zoom = 1 + symmetric[4:6] * transform.zoom
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = (
        np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        @ np.array([[1, 0, down], [0, 1, right], [0, 0, 1]])
        @ np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
        @ np.diag([*zoom, 1])
    )
    centre = np.array([[1, 0, (height - 1) / 2], [0, 1, (width - 1) / 2], [0, 0, 1]])
    matrix = centre @ matrix @ np.linalg.inv(centre)
    planes = image.astype(np.float64)
    changed = np.stack(
        [affine_transform(p, matrix, order=order, mode="nearest") for p in planes]
    )
    return (
        changed[..., ::-1]
        if transform.horizontal_flip and uniform[6] < 0.5
        else changed
    )


@pytest.mark.parametrize("size", [(9, 14), (15, 8)])
@pytest.mark.parametrize(
    ("transform", "order"),
    [(RandomAffine(40, 0.2, 0.2, 0.2), 1), (make_augmentation("book"), 0)],
)
def test_the_affine_equals_scipy_with_the_matrices_of_keras(transform, order, size):
    batch = images(8, 3, *size)
    uniform = torch.rand(
        8, RandomAffine.draws, generator=torch.Generator().manual_seed(1)
    )
    pairs = zip(batch.numpy(), uniform.numpy(), strict=True)
    expected = np.stack(
        [by_scipy(image, row, transform, order) for image, row in pairs]
    )
    is_close = np.isclose(
        transform(batch, uniform).numpy(), expected, rtol=0, atol=2e-5
    )
    # The nearest pixel of a point between two may be either.
    assert is_close.mean() >= (0.999 if order == 0 else 1)


def test_a_flip_mirrors_every_other_image_on_average():
    batch = images(400, 1, 3, 4)
    changed = Augmenter(make_augmentation("flip"))(batch, torch.arange(400), 1)
    mirrored = (changed - batch.flip(3)).abs().amax((1, 2, 3)) < 1e-6
    same = (changed - batch).abs().amax((1, 2, 3)) < 1e-6
    assert (mirrored | same).all()
    assert 150 < mirrored.sum() < 250


def test_a_transform_seeds_no_gpu(monkeypatch):
    seeds = []
    monkeypatch.setattr(
        torch, "manual_seed", seeds.append
    )  # its dropout would repeat itself
    Augmenter(v2.TrivialAugmentWide())(images(), torch.arange(4), 1)
    assert seeds == []


@pytest.mark.parametrize("augmentation", ["book", "flip", v2.TrivialAugmentWide()])
def test_a_change_depends_on_seed_and_row_alone(augmentation):
    batch, rows = images(6), torch.tensor([4, 0, 9, 2, 7, 5])
    augment = Augmenter(make_augmentation(augmentation))
    state = torch.get_rng_state()
    whole = augment(batch, rows, 3)
    torch.rand(1)
    halves = [
        augment(batch[part], rows[part], 3) for part in (slice(0, 2), slice(2, 6))
    ]
    assert_rounded_alike(torch.cat(halves), whole)
    assert not torch.equal(whole, augment(batch, rows, 4))
    torch.set_rng_state(state)
    augment(batch, rows, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_row_of_any_number_is_changed_without_numbers_for_the_others():
    augment = Augmenter(make_augmentation("book"))
    changed = augment(images(2), torch.tensor([0, 10**15]), 3)
    assert not torch.equal(changed, images(2))


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (v2.Resize((3, 3)), r"of shape \(3, 3, 3\) from Resize\. Give a transform"),
        (lambda image: image.float(), r"got 0 to 2\d\d of"),
    ],
)
def test_a_transform_that_leaves_the_form_of_validation_is_refused(transform, message):
    with pytest.raises(InputError, match=message):
        Augmenter(transform)(images(), torch.arange(4), 0)
