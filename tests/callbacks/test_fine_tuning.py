"""Caching and unfreezing of pretrained networks."""

import re
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from lightning import Callback, Trainer

from dlp.callbacks import CacheFeatures, Unfreeze
from dlp.callbacks.caching import FeatureRows
from dlp.callbacks.unfreezing import trained_stages
from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.files import cache_dir
from dlp.modules import Backbone, DenseModule
from dlp.modules.pretrained import StoredFeatures
from dlp.visualization import GradCAM
from helpers.backbones import (
    CLASSES,
    IMAGES,
    TinyBackbone,
    changed,
    fit,
    small_data,
    small_model,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:Found .* in eval mode at the start of training"
)
tiny = partial(small_model, backbone=TinyBackbone)
#: Names of the parameters of the last stage.
LAST = re.compile("stage4|conv5")


class FlippedArrays(ArrayDataModule):
    """Images of which a batch is mirrored in every other epoch."""

    def augmenter(self, num_rows):
        return lambda images, rows, seed: images.flip(3) if seed % 2 else images


def cached_fit(model, data, *callbacks, **arguments):
    return fit(model, data, *callbacks, CacheFeatures(batch_size=6), **arguments)


def assert_same_fit(cached, plain):
    """Check that two fits measured the same; features are computed in other batches."""
    for ours, theirs in zip(cached.metrics, plain.metrics, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def files():
    return sorted((cache_dir() / "features").glob("*.pt"))


@pytest.mark.parametrize(
    ("arguments", "steps", "cut"),
    [
        ({"pool": "flatten", "scaling": "unit"}, [], 5),
        ({"trainable_stages": 1, "backbone_lr": 0.01}, [Unfreeze(2, 2)], 2),
    ],
)
def test_results_equal_those_without_the_cache(arguments, steps, cut):
    cached = cached_fit(small_model(**arguments), small_data(), *steps)
    plain = fit(small_model(**arguments), small_data(), *steps)
    assert_same_fit(cached, plain)
    for ours, theirs in zip(cached.states, plain.states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert (cached.runs, plain.runs) == (
        3,
        6,
    )  # 14 images by 6; 3 batches in each of 2 epochs
    assert {inputs.depth for inputs in cached.inputs} == {cut}


def test_augmentation_leaves_the_training_images_and_stores_the_validation_part():
    data = partial(FlippedArrays, IMAGES, CLASSES, val_size=4, batch_size=5)
    cached, plain = cached_fit(tiny(), data()), fit(tiny(), data())
    assert_same_fit(cached, plain)
    assert not any(isinstance(inputs, StoredFeatures) for inputs in cached.inputs)
    assert [len(torch.load(path)) for path in files()] == [4]


def test_equal_images_are_computed_once():
    data = small_data(IMAGES.repeat(3, 1, 1, 1), CLASSES.repeat(3))
    assert cached_fit(tiny(), data, epochs=0).runs == 3
    assert [len(torch.load(path)) for path in files()] == [14]


def test_other_folds_and_heads_find_the_features():
    data = partial(small_data, val_size=None, num_folds=3)
    assert cached_fit(tiny(), data(fold=0), epochs=0).runs == 3
    build = partial(tiny, hidden=(8, 4), activation="tanh")
    other = cached_fit(build(), data(fold=1, batch_size=3), epochs=1)
    assert other.runs == 0
    assert_same_fit(other, fit(build(), data(fold=1, batch_size=3), epochs=1))


def test_whatever_changes_the_features_has_its_own_file():
    model = tiny()
    weights = deepcopy(model)
    statistics = deepcopy(model)
    images = IMAGES.clone()
    weights.network.backbone.model.deep[0].weight.data[0, 0, 0, 0] += 1
    statistics.network.backbone.model.deep[1].running_mean[0] += 1
    images[3, 0, 0, 0] = 0.5
    others = [tiny(scaling="unit"), tiny(trainable_stages=1)]
    models = [model, weights, statistics, *others]
    runs = [(model, small_data(), {}) for model in models]
    runs.append((model, small_data(images), {}))
    runs.append((model, small_data(), {"precision": "bf16-true"}))
    for number, (model, data, arguments) in enumerate(runs, start=1):
        cached_fit(model, data, epochs=0, **arguments)
        assert len(files()) == number


def test_a_data_set_without_hashes_trains_on_images():
    class Images(ArrayDataModule):
        def load(self):
            return {
                name: replace(part, hashes=None)
                for name, part in super().load().items()
            }

    cached_fit(tiny(), Images(IMAGES, CLASSES, val_size=4), epochs=0)
    assert files() == []


def test_a_trial_computes_and_writes_nothing():
    watch = cached_fit(tiny(), small_data(), fast_dev_run=True)
    assert watch.runs == 2  # a batch of each part
    assert files() == []


def has_images(data):
    return not any(
        isinstance(data.inputs(part), FeatureRows) for part in ("train", "val")
    )


def test_data_and_backbone_are_restored_after_a_fit_and_after_an_error():
    class Fail(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            assert not has_images(trainer.datamodule)
            assert pl_module.network.backbone.frozen_stages == 1
            raise RuntimeError

    data = small_data()
    model = tiny()
    cached_fit(model, data, epochs=0)
    assert has_images(data)
    with pytest.raises(RuntimeError):
        cached_fit(model, data, Unfreeze(1, 1), Fail())
    assert has_images(data)
    assert model.network.backbone.frozen_stages == 2


@pytest.mark.parametrize(
    ("steps", "own", "expected"),
    [
        ([(1, 1)], 0, [1, 1, 1, 1]),
        ([(3, 2)], 0, [0, 0, 2, 2]),
        ([(3, "all")], 1, [1, 1, 4, 4]),
        ([(4, 3), (2, 1)], 0, [0, 1, 1, 3]),
        ([(2, 3), (3, 1)], 0, [0, 3, 3, 3]),
        ([(2, 1)], 2, [2, 2, 2, 2]),
    ],
)
def test_the_trained_stages_are_a_function_of_the_epoch(steps, own, expected):
    backbone = Backbone("shufflenet_v2_x0_5", trainable_stages=own)
    callbacks = [Unfreeze(*step) for step in steps]
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=callbacks)
    assert [
        trained_stages(epoch, backbone, trainer) for epoch in range(1, 5)
    ] == expected


@pytest.mark.parametrize("train_batch_norm", [False, True])
def test_a_stage_changes_from_its_epoch_on_and_no_bit_of_another(
    train_batch_norm, capsys
):
    model = small_model(optimizer=partial(torch.optim.SGD, lr=0.001))
    before = deepcopy(model.state_dict())
    watch = fit(model, small_data(), Unfreeze(2, 1, train_batch_norm), epochs=3)
    assert (
        "epoch 2: block4 of shufflenet_v2_x0_5 trained from now on"
        in capsys.readouterr().out
    )
    states = [before, *watch.states]
    moves = [changed(*pair) for pair in pairwise(states)]
    inside = [{name for name in names if ".backbone." in name} for names in moves]
    last = {name for name in before if LAST.search(name)}
    if not train_batch_norm:
        last = {
            name for name in last if "running" not in name and "num_batches" not in name
        }
    assert inside == [set(), last, last]
    assert model.network.backbone.frozen_stages == 4  # as before the fit


def test_batch_norm_of_the_stages_of_the_backbone_itself_is_trained():
    model = small_model(trainable_stages=1)
    before = deepcopy(model.state_dict())
    moves = changed(before, fit(model, small_data(), Unfreeze(1, 2)).states[-1])
    statistics = {name for name in moves if "running" in name}
    assert statistics == {
        name for name in before if LAST.search(name) and "running" in name
    }
    assert any("stage3" in name for name in moves)


def test_a_backbone_of_ones_own_is_stored_unfrozen_and_seen():
    model = tiny()
    before = deepcopy(model.network.backbone.state_dict())
    assert fit(model, small_data(), CacheFeatures(), Unfreeze(2, 1)).trained == [0, 1]
    layers = ("0.weight", "0.bias", "1.weight", "1.bias")
    moves = changed(before, model.network.backbone.state_dict())
    assert moves == {f"model.deep.{name}" for name in layers}
    with GradCAM(model) as cam:
        assert cam(IMAGES[:1]).shape == (1, 13, 13)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (Unfreeze(2, 1), r"expected a model with one Backbone.*DenseModule with 0"),
        (CacheFeatures(), "expected a PretrainedModule"),
    ],
)
def test_a_model_without_backbone_is_refused(callback, message):
    with pytest.raises(InputError, match=message):
        fit(DenseModule((3, 32, 32), 2, "sigmoid"), small_data(), callback)
