"""Augmentation: the book's transforms by their formula, and pure functions of seed and row."""

import numpy as np
import pytest
import torch
from image_files import write_classes
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from scipy.ndimage import affine_transform
from torch import nn
from torchvision.transforms import v2

from dlp.callbacks.seeding import EpochSeed
from dlp.datamodules import ImageFolderDataModule
from dlp.datamodules.images.augmentation import Augmenter, RandomAffine, make_augmentation
from dlp.datamodules.loader import BatchLoader, BatchOrder
from dlp.errors import InputError
from dlp.modules import ConvNetModule


def images(count=3, channels=3, height=9, width=14):
    pixels = torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8)
    return pixels.float() / 255


@pytest.fixture(autouse=True)
def same_images():
    torch.manual_seed(0)


def by_scipy(image, uniform, transform, order):
    """Return (C, H, W) changed as Keras 2.0.8 has it, but about the true centre."""
    height, width = image.shape[1:]
    either_way = 2 * uniform.astype(np.float64) - 1
    angle = np.deg2rad(transform.rotation * either_way[0])
    down, right = transform.shift * either_way[1] * height, transform.shift * either_way[2] * width
    shear = transform.shear * either_way[3]
    zoom = 1 + transform.zoom * either_way[4:6]
    sin, cos = np.sin(angle), np.cos(angle)
    matrix = (
        np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        @ np.array([[1, 0, down], [0, 1, right], [0, 0, 1]])
        @ np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
        @ np.diag([*zoom, 1])
    )
    centre = np.array([[1, 0, (height - 1) / 2], [0, 1, (width - 1) / 2], [0, 0, 1]])
    matrix = centre @ matrix @ np.linalg.inv(centre)
    changed = np.stack(
        [
            affine_transform(plane, matrix[:2, :2], matrix[:2, 2], order=order, mode="nearest")
            for plane in image.astype(np.float64)
        ]
    )
    flipped = transform.horizontal_flip and uniform[6] < 0.5
    return changed[..., ::-1] if flipped else changed


@pytest.mark.parametrize("size", [(9, 14), (15, 8)])
@pytest.mark.parametrize(
    "ranges",
    [(40, 0, 0, 0), (0, 0.3, 0, 0), (0, 0, 0.5, 0), (0, 0, 0, 0.4), (40, 0.2, 0.2, 0.2)],
    ids=["rotation", "shift", "shear", "zoom", "book"],
)
def test_equal_to_scipy_with_keras_matrices(ranges, size):
    given, uniform = images(8, 3, *size), torch.rand(8, RandomAffine.draws)
    changed = RandomAffine(*ranges)(given, uniform)
    expected = [
        by_scipy(image, row, RandomAffine(*ranges), order=1)
        for image, row in zip(given.numpy(), uniform.numpy(), strict=True)
    ]
    np.testing.assert_allclose(changed.numpy(), np.stack(expected), atol=2e-5)


def test_the_books_takes_the_nearest_pixel():
    book = make_augmentation("book")
    given, uniform = images(8), torch.rand(8, RandomAffine.draws)
    changed = book(given, uniform).numpy()
    expected = np.stack(
        [
            by_scipy(image, row, book, order=0)
            for image, row in zip(given.numpy(), uniform.numpy(), strict=True)
        ]
    )
    assert (changed == expected.astype(np.float32)).mean() > 0.999
    assert set(changed.ravel().tolist()) <= set(given.numpy().ravel().tolist())


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_nothing_asked_for_changes_nothing(interpolation):
    still = RandomAffine(horizontal_flip=False, interpolation=interpolation)
    given = images()
    torch.testing.assert_close(still(given), given, atol=1e-6, rtol=0)


def test_a_flip_mirrors_every_other_image_on_average():
    given = images(400, 1, 3, 4)
    changed = make_augmentation("flip")(given)
    mirrored = (changed - given.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-6
    kept = (changed - given).abs().amax(dim=(1, 2, 3)) < 1e-6
    assert (mirrored | kept).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotation": -1}, "0 or more, zoom below 1; got rotation=-1"),
        ({"zoom": 1}, "zoom below 1"),
        ({"interpolation": "linear"}, r"unknown interpolation 'linear'\. Did you mean 'bilinear'"),
    ],
)
def test_ranges_that_cannot_be_used(arguments, message):
    with pytest.raises(InputError, match=message):
        RandomAffine(**arguments)


# Which image is changed how ---------------------------------------------------------------------

ALL_KINDS = ["book", "flip", "trivial_augment", "rand_augment", "augmix"]


def seen(transform, batch_size, given, seed=5, epoch=0, replicas=1):
    """Return what an epoch shows of each row, (N, C, H, W)."""
    result = torch.full_like(given, torch.nan)
    for rank in range(replicas):
        order = BatchOrder(len(given), batch_size, True, seed, replicas, rank)
        order.set_epoch(epoch)
        rows = torch.arange(len(given))
        loader = BatchLoader(given, rows, order, Augmenter(transform, len(given)))
        for images, index in loader:
            result[index] = images
    return result


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ALL_KINDS)
def test_a_pure_function_of_seed_epoch_and_row(name, channels):
    transform = make_augmentation(name)
    given = images(1, channels, 12, 12).expand(12, -1, -1, -1).clone()
    state = torch.get_rng_state()
    first = seen(transform, 5, given)
    assert first.shape == given.shape
    assert first.dtype == torch.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(seen(transform, 2, given), first)
    assert torch.equal(seen(transform, 3, given, replicas=2), first)
    assert len(first.flatten(1).unique(dim=0)) >= 2  # one image, changed by its row
    for other in ({"epoch": 1}, {"seed": 6}):
        assert not torch.equal(seen(transform, 5, given, **other), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_transforms_of_others_see_the_stored_bytes():
    class Keep(nn.Module):
        def forward(self, image):
            assert image.dtype == torch.uint8
            return image

    given = images(4)
    assert torch.equal(seen(Keep(), 2, given), given)
    floats = v2.Compose([v2.RandomErasing(p=0), v2.ToDtype(torch.float32, scale=True)])
    torch.testing.assert_close(seen(floats, 2, given), given)


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        (v2.Resize((5, 6)), r"\(3, 5, 6\)"),
        (v2.RandomRotation((30, 60), expand=True), r"\(3, \d+, \d+\)"),
        (v2.Grayscale(), r"\(1, 9, 14\)"),
    ],
)
def test_a_change_of_size_is_an_error(transform, shape):
    match = rf"augmentation {type(transform).__name__} turns .*\(3, 9, 14\) into {shape}\. It must"
    with pytest.raises(InputError, match=match):
        seen(transform, 2, images())


# In a DataModule and a Trainer --------------------------------------------------------------------


def make(folder, **arguments):
    return ImageFolderDataModule(
        folder, **{"image_size": (8, 10), "test_size": 4, "batch_size": 4, **arguments}
    )


@pytest.fixture
def folder(tmp_path):
    return write_classes(tmp_path / "pets", {"cats": 10, "dogs": 10})


@pytest.mark.parametrize("augmentation", ["book", v2.RandomHorizontalFlip(p=1)])
def test_training_batches_alone_are_changed(augmentation, folder):
    torch.manual_seed(1)
    plain = make(folder)
    torch.manual_seed(1)
    changed = make(folder, augmentation=augmentation)
    for part in ("val", "test", "predict"):
        pairs = zip(
            getattr(plain, f"{part}_dataloader")(),
            getattr(changed, f"{part}_dataloader")(),
            strict=True,
        )
        assert all(torch.equal(x, y) for (x, _), (y, _) in pairs)
    for (x, targets), (y, others) in zip(
        plain.train_dataloader(), changed.train_dataloader(), strict=True
    ):
        assert torch.equal(targets, others)
        assert not torch.equal(x, y)
        if augmentation != "book":
            torch.testing.assert_close(x.flip(3), y)


@pytest.mark.parametrize(
    "given",
    [
        "book",
        {"class_path": "torchvision.transforms.v2.TrivialAugmentWide"},
        {
            "class_path": "torchvision.transforms.v2.Compose",
            "init_args": {
                "transforms": [
                    {"class_path": "torchvision.transforms.v2.RandomHorizontalFlip"},
                    {
                        "class_path": "torchvision.transforms.v2.RandomRotation",
                        "init_args": {"degrees": [-20, 20]},
                    },
                ]
            },
        },
        {
            "class_path": "dlp.datamodules.images.augmentation.RandomAffine",
            "init_args": {"rotation": 10, "zoom": 0.1},
        },
    ],
    ids=["name", "class_path", "compose", "own ranges"],
)
def test_a_recipe_names_the_augmentation(given, folder, tmp_path):
    import yaml

    from dlp.recipe import Recipe

    recipe = {
        "data": {
            "class_path": "ImageFolderDataModule",
            "init_args": {"path": str(folder), "image_size": 8, "augmentation": given},
        },
        "model": {
            "class_path": "ConvNetModule",
            "init_args": {"channels": [2], "dense": [2]},
        },
        "trainer": {"fast_dev_run": True, "accelerator": "cpu"},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    loader = Recipe.read(tmp_path / "recipe.yaml").data().train_dataloader()
    plain = loader.inputs[torch.arange(4)]
    changes = [not loader.inputs_of(torch.arange(4), epoch).equal(plain) for epoch in range(4)]
    assert any(changes)


class KeepFirst(Callback):
    """Saves the checkpoint of the first epoch."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)


def trained(folder, augmentation, place, ckpt_path=None, seed=2):
    """Train for three epochs and return the weights."""
    torch.manual_seed(seed)
    data = make(folder, augmentation=augmentation)
    model = ConvNetModule(data.input_shape, 2, channels=(2,), dense=(3,), dropout=0.5)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[EpochSeed(), KeepFirst(place)],
    )
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


@pytest.mark.parametrize("augmentation", ["book", "trivial_augment"])
def test_a_resumed_run_equals_an_unbroken_one(augmentation, folder, tmp_path):
    first = tmp_path / "first.ckpt"
    unbroken = trained(folder, augmentation, first)
    resumed = trained(folder, augmentation, tmp_path / "none.ckpt", first, seed=99)
    assert not (tmp_path / "none.ckpt").exists()
    assert torch.equal(resumed, unbroken)
    assert not torch.equal(trained(folder, None, tmp_path / "plain.ckpt"), unbroken)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (v2.Compose([v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32)]), "values from"),
        (
            v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.1] * 3)]),
            "Normalising is the model's part",
        ),
        (v2.Normalize([0.5] * 3, [0.5] * 3), "Normalize cannot change a uint8 image"),
    ],
    ids=["0 to 255", "normalised", "float only"],
)
def test_a_transform_that_leaves_the_range_of_validation(transform, message):
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=message):
        Augmenter(transform, 2)(images, torch.arange(2), 0)


def test_torchvision_changes_all_images_of_a_batch_alike():
    twice = torch.rand(1, 3, 8, 8).expand(2, -1, -1, -1)
    first, second = v2.RandomAffine(40)(twice)
    assert torch.equal(first, second)
    first, second = RandomAffine(40)(twice)  # why ours is another one
    assert not torch.equal(first, second)
