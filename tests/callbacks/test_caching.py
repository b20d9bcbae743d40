import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import write_classes, write_image
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from dlp.callbacks import CacheFeatures, Unfreeze
from dlp.callbacks import caching as caching_file
from dlp.callbacks.caching import FeatureRows
from dlp.datamodules import ArrayDataModule, ImageFolderDataModule
from dlp.datamodules.images.store import StoredImages
from dlp.errors import InputError
from dlp.files import cache_dir
from dlp.frozen_features import Features
from dlp.modules import ConvNetModule, PretrainedModule

draw = torch.Generator().manual_seed(0)
X, Y = torch.rand(14, 3, 32, 32, generator=draw), torch.randint(0, 2, (14,), generator=draw)
SGD = partial(torch.optim.SGD, lr=0.05)


def arrays(x=X, y=Y, **arguments):
    """Give 2 batches an epoch to train on and 4 rows to validate on."""
    return ArrayDataModule(x, y, **{"val_size": 4, "batch_size": 5, **arguments})


def module(backbone="shufflenet_v2_x0_5", seed=0, **arguments):
    """Return a model whose features differ from image to image, as trained ones do."""
    torch.manual_seed(seed)
    given = {"hidden": (4,), "optimizer": SGD, "weights": None, **arguments}
    model = PretrainedModule((3, 32, 32), 2, "sigmoid", backbone, **given)
    settle(model.network.backbone)
    return model


def settle(backbone):
    """Give batch normalisation the statistics of X; by those at the start features vanish."""
    for layer in backbone.model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        backbone.model.train()((X - 0.5) / 0.3)
    for layer in backbone.model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1
    backbone.train()


class Watch(Callback):
    """Remembers metrics and weights of each epoch, and how often the first layer ran."""

    def __init__(self, save_to=None, break_at=None, error=RuntimeError):
        self.metrics, self.states, self.runs, self.batches = [], [], 0, []
        self.save_to, self.break_at, self.error = save_to, break_at, error

    def setup(self, trainer, pl_module, stage):
        layers = pl_module.network.backbone.model.modules()
        first = next(layer for layer in layers if isinstance(layer, nn.Conv2d))
        self.hook = first.register_forward_hook(self.count)

    def count(self, *_):
        self.runs += 1

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append(batch[0])

    def on_train_epoch_end(self, trainer, pl_module):
        self.metrics.append({k: v.item() for k, v in trainer.callback_metrics.items()})
        self.states.append({k: v.clone() for k, v in pl_module.state_dict().items()})
        if self.save_to is not None and trainer.current_epoch == 0:
            trainer.save_checkpoint(self.save_to)
        if self.break_at == trainer.current_epoch:
            raise self.error("broken off")

    def teardown(self, trainer, pl_module, stage):
        self.hook.remove()


def make_trainer(callbacks=(), epochs=2, **arguments):
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        max_epochs=epochs,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        **arguments,
    )


def fit(model, data, *callbacks, cached=True, path=None, **arguments):
    """Fit and return what was watched; `arguments` go to the Trainer and to `Watch`."""
    own = {k: arguments.pop(k) for k in ("save_to", "break_at", "error") if k in arguments}
    watch = Watch(**own)
    cache = [CacheFeatures(batch_size=6)] if cached else []
    try:
        make_trainer([*callbacks, *cache, watch], **arguments).fit(model, data, ckpt_path=path)
    finally:
        watch.hook.remove()
    return watch


def assert_same(ours, theirs):
    """Metrics and weights of every epoch are equal within float32's rounding."""
    assert len(ours.metrics) == len(theirs.metrics) > 0
    for one, other in zip(ours.metrics, theirs.metrics, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for one, other in zip(ours.states, theirs.states, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Fit once with an empty cache; give what was watched and the cache."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLP_CACHE_DIR", str(folder))
        return fit(module(), arrays()), folder


@pytest.fixture
def first(filled):
    """Give this test a cache as a fit has left it, and what was watched in that fit."""
    watch, folder = filled
    shutil.copytree(folder, cache_dir(), dirs_exist_ok=True)
    return watch


@pytest.fixture(scope="module")
def uncached():
    return fit(module(), arrays(), cached=False)


def stored():
    return sorted((cache_dir() / "features").glob("*.pt"))


# Equal results ---------------------------------------------------------------------------------

CASES = {
    "pooled": ({}, []),
    "flattened": ({"pool": "flatten", "backbone": "squeezenet1_1"}, []),
    "linear": ({"hidden": (), "scaling": "unit", "l2": 0.01}, []),
    "a trained stage": ({"trainable_stages": 1}, []),
    "three of five": ({"trainable_stages": 3, "pool": "flatten"}, []),
    "unfrozen later": ({}, [Unfreeze(2, 2)]),
    "unfrozen after the end": ({}, [Unfreeze(9, 1)]),
    "more and more": ({"trainable_stages": 1, "backbone_lr": 0.01}, [Unfreeze(2, 2)]),
}


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_without_the_cache(case):
    arguments, steps = CASES[case]
    build = partial(module, **{"dropout": 0.5, **arguments})
    cached = fit(build(), arrays(), *steps)
    raw = fit(build(), arrays(), *steps, cached=False)
    assert_same(cached, raw)
    assert (cached.runs, raw.runs) == (3, 6)  # 14 images by 6, and 2 + 1 batches an epoch
    moved = [name for name in raw.states[0] if "classifier" in name]
    start = build().state_dict()
    assert not all(torch.equal(raw.states[-1][name], start[name]) for name in moved)


def test_images_of_files_give_what_they_do_without_the_cache(tmp_path):
    write_classes(tmp_path, {"cats": 9, "dogs": 5}, size=(40, 36))
    build = partial(ImageFolderDataModule, tmp_path, image_size=32, val_size=4, batch_size=5)
    cached, raw = (fit(module(dropout=0.5), build(), cached=cached) for cached in (True, False))
    assert_same(cached, raw)
    assert cached.runs == 3


@pytest.mark.parametrize(("stages", "cut"), [(0, 6), (1, 4), (4, 1)])
def test_the_cut_lies_before_the_first_stage_ever_trained(stages, cut):
    watch = fit(module(), arrays(), Unfreeze(2, stages), epochs=1)
    assert all(isinstance(batch, Features) and batch.stage == cut for batch in watch.batches)


def test_data_without_validation_part():
    cached, raw = (fit(module(), arrays(val_size=None), cached=use) for use in (True, False))
    assert_same(cached, raw)
    assert (cached.runs, raw.runs) == (3, 6)


def test_equal_images_are_computed_once():
    x = torch.cat([X, X, X])[:40]
    cached = fit(module(), arrays(x, torch.cat([Y, Y, Y])[:40]))
    raw = fit(module(), arrays(x, torch.cat([Y, Y, Y])[:40]), cached=False)
    assert_same(cached, raw)
    assert cached.runs == 3


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
def test_every_precision(precision):
    cached = fit(module(), arrays(), precision=precision)
    raw = fit(module(), arrays(), precision=precision, cached=False)
    tolerance = 1e-6 if precision == "64-true" else 0.05
    assert cached.metrics[-1]["val_loss"] == pytest.approx(raw.metrics[-1]["val_loss"], tolerance)
    values = cached.batches[0].values
    assert values.dtype == (torch.float64 if precision == "64-true" else torch.bfloat16)


def test_targets_of_numbers():
    y = torch.randn(14, 2, generator=torch.Generator().manual_seed(1))

    def build():
        torch.manual_seed(0)
        optimizer = partial(torch.optim.SGD, lr=0.001)
        return PretrainedModule(
            (3, 32, 32), 2, "regression", "squeezenet1_1", weights=None, optimizer=optimizer
        )

    assert_same(fit(build(), arrays(y=y)), fit(build(), arrays(y=y), cached=False))


# Augmentation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [0, 2])
def test_with_augmentation_only_the_validation_part_is_stored(tmp_path, stages):
    write_classes(tmp_path, {"cats": 9, "dogs": 5}, size=(32, 32))
    build = partial(
        ImageFolderDataModule,
        tmp_path,
        image_size=32,
        val_size=4,
        batch_size=5,
        augmentation="book",
    )
    model = partial(module, trainable_stages=stages, dropout=0.5)
    cached, raw = (fit(model(), build(), cached=use) for use in (True, False))
    assert_same(cached, raw)
    assert not any(isinstance(batch, Features) for batch in cached.batches)
    assert (cached.runs, raw.runs) == (5, 6)  # 2 batches in each of 2 epochs, and 4 images once
    assert [len(torch.load(path)) for path in stored()] == [4]


def test_with_augmentation_and_no_validation_part_nothing_is_stored(tmp_path):
    write_classes(tmp_path, {"cats": 9, "dogs": 5}, size=(32, 32))
    data = ImageFolderDataModule(tmp_path, image_size=32, val_size=None, augmentation="flip")
    fit(module(), data, epochs=1)
    assert stored() == []


# The cache -------------------------------------------------------------------------------------


def test_a_second_run_finds_the_features(first):
    second = fit(module(), arrays())
    assert (first.runs, second.runs) == (3, 1)  # four images show that they are the same
    assert len(stored()) == 1
    assert_same(second, first)


def test_a_second_run_reads_no_image_but_those_it_compares(tmp_path, monkeypatch):
    write_classes(tmp_path, {"cats": 9, "dogs": 5}, size=(40, 36))
    build = partial(ImageFolderDataModule, tmp_path, image_size=32, val_size=4, batch_size=5)
    first = fit(module(), build())
    read, get = [], StoredImages.__getitem__
    monkeypatch.setattr(StoredImages, "__getitem__", lambda *both: read.append(both) or get(*both))
    second = fit(module(), build())
    assert sum(len(index) for _, index in read) == 4
    assert_same(second, first)


def test_another_fold_of_the_same_data_finds_the_features():
    runs = []
    for fold in range(3):
        data = arrays(val_size=None, num_folds=3, fold=fold)
        watch = fit(module(seed=0), data, epochs=1)
        runs.append(watch.runs)
        data = arrays(val_size=None, num_folds=3, fold=fold)
        assert_same(watch, fit(module(seed=0), data, cached=False, epochs=1))
    assert runs == [3, 1, 1]


def test_another_head_finds_the_features(first):
    torch.manual_seed(0)
    model = module(hidden=(8, 4), dropout=0.2, activation="tanh", l2=0.1)
    assert fit(model, arrays(batch_size=3), epochs=1).runs == 1


def changed_weight():
    model = module()
    with torch.no_grad():
        model.network.backbone.model.conv5[0].weight[0, 0, 0, 0] += 1
    return model


def changed_statistic():
    model = module()
    model.network.backbone.model.conv1[1].running_mean[0] += 1
    return model


def replaced_layer():
    model = module()
    model.network.backbone.model.conv1[2] = nn.Tanh()
    return model


CHANGES = {
    "a layer without weights": replaced_layer,
    "a weight": changed_weight,
    "a statistic": changed_statistic,
    "scaling": partial(module, scaling="unit"),
    "pooling": partial(module, pool="flatten"),
    "the cut": partial(module, trainable_stages=1),
    "the network": partial(module, backbone="shufflenet_v2_x1_0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_features_of_another_network_are_not_taken(change, first):
    build = CHANGES[change]
    watch = fit(build(), arrays(), epochs=1)
    assert watch.runs == 3
    assert_same(watch, fit(build(), arrays(), cached=False, epochs=1))


def test_features_are_compared_with_those_of_a_few_images(first, capsys):
    def hooked():
        model = module()
        layer = model.network.backbone.model.conv1[1]
        layer.register_forward_hook(lambda _, __, output: 2 * output)
        return model

    assert_same(fit(hooked(), arrays(), epochs=1), fit(hooked(), arrays(), cached=False, epochs=1))
    assert "are of another network" in capsys.readouterr().out


def test_a_weight_after_the_cut_changes_nothing():
    fit(module(trainable_stages=1), arrays(), epochs=1)
    model = module(trainable_stages=1)
    with torch.no_grad():
        model.network.backbone.model.conv5[0].weight.mul_(2)
    assert fit(model, arrays(), epochs=1).runs == 1


def test_features_of_other_images_are_not_taken(tmp_path):
    write_classes(tmp_path, {"cats": 9, "dogs": 5}, size=(32, 32))
    build = partial(ImageFolderDataModule, tmp_path, image_size=32, val_size=4, batch_size=5)
    fit(module(), build(), epochs=1)
    write_image(tmp_path / "cats" / "003.png", 99, (32, 32))
    watch = fit(module(), build(), epochs=1)
    assert watch.runs == 3
    assert_same(watch, fit(module(), build(), cached=False, epochs=1))


def test_features_of_another_size_or_precision_are_not_taken(tmp_path):
    write_classes(tmp_path, {"cats": 9, "dogs": 5}, size=(32, 32))
    for size in (32, 48):
        data = ImageFolderDataModule(tmp_path, image_size=size, val_size=4)
        assert fit(module(), data, epochs=1).runs == 3
    data = ImageFolderDataModule(tmp_path, image_size=32, val_size=4)
    assert fit(module(), data, epochs=1, precision="bf16-mixed").runs == 3


def test_features_of_inputs_scaled_otherwise_are_not_taken():
    """The raw arrays are the same, and another fold gives other means."""
    for fold in range(2):
        build = partial(arrays, scaling="standard", val_size=None, num_folds=2, fold=fold)
        cached = fit(module(), build(), epochs=1)
        assert_same(cached, fit(module(), build(), cached=False, epochs=1))


class Darker(ArrayDataModule):
    """Another way from the same rows to what the network is given."""

    factor = 0.5

    def encode(self, rows):
        return super().encode(rows) * self.factor


def test_features_of_rows_encoded_otherwise_are_not_taken():
    for kind, factor in ((ArrayDataModule, 0), (Darker, 0.5), (Darker, 0.25), (Darker, 0.5)):

        def build(kind=kind, factor=factor):
            data = kind(X, Y, val_size=4, batch_size=5)
            data.factor = factor
            return data

        cached = fit(module(), build(), epochs=1)
        assert_same(cached, fit(module(), build(), cached=False, epochs=1))
    assert len(stored()) == 3


@pytest.mark.parametrize("damage", ["cut short", "other content", "fewer rows", "empty"])
def test_damaged_features_are_computed_again(damage, first, capsys):
    (path,) = stored()
    whole = path.read_bytes()
    if damage == "fewer rows":
        torch.save(torch.load(path)[:-1], path)
    else:
        path.write_bytes(
            {"cut short": whole[: len(whole) // 2], "other content": b"no tensor", "empty": b""}[
                damage
            ]
        )
    watch = fit(module(), arrays())
    assert watch.runs == 3
    assert_same(watch, first)
    assert "are damaged" in capsys.readouterr().out
    assert fit(module(), arrays(), epochs=1).runs == 1


def test_a_cache_that_cannot_be_written_costs_no_run(tmp_path, monkeypatch, uncached, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DLP_CACHE_DIR", str(tmp_path / "file"))
    watch = fit(module(), arrays())
    assert watch.runs == 3
    assert_same(watch, uncached)
    lines = capsys.readouterr().out.splitlines()
    (line,) = [text for text in lines if text.startswith("cannot write the cache")]
    assert line.endswith("the features stay in memory")


def test_a_full_disk_costs_no_run(monkeypatch, capsys):
    def full(values, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    assert fit(module(), arrays()).runs == 3
    assert "no space left on the disk" in capsys.readouterr().out
    assert [path for path in (cache_dir() / "features").iterdir() if path.suffix != ".lock"] == []


def test_features_that_take_too_much_room_are_refused():
    watch = Watch()
    trainer = make_trainer([CacheFeatures(cache_gb=1e-6), watch])
    with pytest.raises(InputError, match=r"14 images, each \(1024,\).*cache_gb allows 1e-06"):
        trainer.fit(module(), arrays())
    assert watch.metrics == []
    assert stored() == []


def test_a_trial_run_writes_no_cache():
    fit(module(), arrays(), fast_dev_run=True)
    assert stored() == []
    assert not (cache_dir() / "features").exists()


# Before and after ------------------------------------------------------------------------------


def images_again(data):
    return all(not isinstance(data.inputs(part), FeatureRows) for part in ("train", "val"))


def test_afterwards_the_data_gives_images_again():
    data, model = arrays(test_size=3), module()
    fit(model, data)
    assert images_again(data)
    torch.testing.assert_close(next(iter(data.val_dataloader()))[0], data.inputs("val"))
    (tested,) = make_trainer([CacheFeatures()]).test(model, data, verbose=False)
    with torch.no_grad():
        x, y = data.inputs("test"), next(iter(data.test_dataloader()))[1]
        expected = nn.functional.binary_cross_entropy_with_logits(model.eval()(x)[:, 0], y.float())
    assert tested["test_loss"] == pytest.approx(expected.item(), rel=1e-5)
    (validated,) = make_trainer([CacheFeatures()]).validate(model, data, verbose=False)
    assert validated["val_loss"] > 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_the_data_gives_images_again(error):
    data = arrays()
    with pytest.raises((error, SystemExit)):
        fit(module(), data, break_at=0, error=error)
    assert images_again(data)
    assert len(fit(module(), data, cached=False).metrics) == 2


def test_one_callback_serves_two_fits_of_two_sets():
    callback = CacheFeatures()
    for x in (X, X.flip(0)):
        data = arrays(x)
        watch = Watch()
        make_trainer([callback, watch], 1).fit(module(), data)
        assert_same(watch, fit(module(), arrays(x), cached=False, epochs=1))
        assert images_again(data)


@pytest.mark.parametrize("steps", [[], [Unfreeze(2, 1)]])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path, steps):
    build = partial(module, dropout=0.5, trainable_stages=1, optimizer=torch.optim.Adam)
    whole = fit(build(), arrays(), *steps, epochs=3, save_to=tmp_path / "1.ckpt")
    resumed = fit(build(seed=1), arrays(), *steps, epochs=3, path=tmp_path / "1.ckpt")
    assert resumed.runs == 1  # what is trained lies after the cut
    assert resumed.metrics == whole.metrics[1:]
    for ours, theirs in zip(resumed.states, whole.states[1:], strict=True):
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_the_checkpoint_is_the_whole_model(tmp_path):
    data = arrays()
    fit(module(), data, save_to=tmp_path / "1.ckpt")
    model = PretrainedModule.load_from_checkpoint(tmp_path / "1.ckpt")
    assert model.network.backbone.name == "shufflenet_v2_x0_5"
    assert model.state_dict().keys() == module().state_dict().keys()
    assert model.eval()(X).shape == (14, 1)


def test_the_random_state_is_that_without_the_cache():
    drawn = []
    for cached in (True, False):

        class Draw(Callback):
            def on_train_start(self, trainer, pl_module):
                drawn.append((torch.rand(1).item(), np.random.default_rng().bit_generator is None))

        torch.manual_seed(3)
        model = module()
        torch.manual_seed(4)
        fit(model, arrays(), Draw(), cached=cached)
    assert drawn[0] == drawn[1]


# What is refused -------------------------------------------------------------------------------


class Own(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0].flatten(1)).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class OwnData(LightningDataModule):
    def train_dataloader(self):
        return arrays(val_size=None).train_dataloader()


@pytest.mark.parametrize(
    ("build", "data", "message"),
    [
        (Own, partial(arrays, val_size=None), "goes with PretrainedModule; the model is Own"),
        (
            lambda: ConvNetModule((3, 32, 32), 2, channels=(2,), dense=(2,)),
            arrays,
            "goes with PretrainedModule; the model is ConvNetModule",
        ),
        (module, OwnData, "needs one of the project's DataModules: trainer.fit(model, datamodule="),
        (partial(module, trainable_stages="all"), arrays, "every stage of the backbone is trained"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*but have no `val_dataloader`")
@pytest.mark.filterwarnings("ignore:You (defined a `validation_step`|passed in a `val_dataloader`)")
def test_what_leaves_nothing_to_store_is_refused(build, data, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_trainer([CacheFeatures()]).fit(build(), datamodule=data())


def test_every_stage_unfrozen_later_is_refused():
    with pytest.raises(InputError, match="every stage of the backbone is trained"):
        make_trainer([CacheFeatures(), Unfreeze(2, "all")]).fit(module(), arrays())


def test_batches_must_hold_a_image():
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        CacheFeatures(batch_size=0)


def test_rows_of_several_sets_come_in_the_order_asked_for():
    first, second = torch.arange(3.0)[:, None], torch.arange(10.0, 14.0)[:, None]
    rows = torch.tensor([5, 0, 3, 2, 6])
    joined = caching_file._Joined([first, second], rows)
    assert len(joined) == 5
    assert joined[torch.tensor([0, 1, 2, 4])].flatten().tolist() == [12, 0, 10, 13]
    assert joined[torch.tensor([3, 1])].flatten().tolist() == [2, 0]


class Changed(PretrainedModule):
    def forward(self, inputs):
        return super().forward(inputs)


class Transferred(PretrainedModule):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch[0] / 2, batch[1]


class DataTransferred(ArrayDataModule):
    def on_before_batch_transfer(self, batch, dataloader_idx):
        return batch[0] / 2, batch[1]


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (Changed, ArrayDataModule, "Changed.forward may change what the network is given"),
        (Transferred, ArrayDataModule, "Transferred.on_after_batch_transfer may change"),
        (PretrainedModule, DataTransferred, "DataTransferred.on_before_batch_transfer may change"),
    ],
)
def test_what_changes_batches_later_is_refused(kind, data, message):
    model = kind((3, 32, 32), 2, "sigmoid", "shufflenet_v2_x0_5", weights=None)
    with pytest.raises(InputError, match=re.escape(message)):
        make_trainer([CacheFeatures()]).fit(model, data(X, Y, val_size=4))


class ByHand(Callback):
    """Unfreezes in its own way, before, at or after the start of a fit."""

    def __init__(self, at, do):
        self.at, self.do, self.steps = at, do, 0

    def setup(self, trainer, pl_module, stage):
        if self.at == 0:
            self.do(pl_module.network.backbone)

    def on_train_epoch_start(self, trainer, pl_module):
        if self.at == trainer.current_epoch + 1:
            self.do(pl_module.network.backbone)

    def on_train_batch_end(self, *_):
        self.steps += 1


def unfreeze(backbone):
    backbone.model.conv5.requires_grad_(True)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("do", [unfreeze, lambda backbone: backbone.set_trainable(2)])
def test_stages_unfrozen_by_hand_are_no_longer_stored(at, do):
    """Their steps would have changed nothing."""
    data, hand = arrays(), ByHand(at, do)
    trainer, model = make_trainer([hand, CacheFeatures()]), module()
    if at == 0 and do is not unfreeze:  # the cut heeds this choice, where it comes in time
        trainer.fit(model, data)
        return
    with pytest.raises(InputError, match=r"(conv5|stage4).* is trained now: its steps would"):
        trainer.fit(model, data)
    assert hand.steps == 2 * max(0, at - 1)  # 2 batches an epoch
    assert images_again(data)


def test_stages_unfrozen_by_hand_after_the_cut_are_trained():
    model = module(trainable_stages=1)
    before = model.network.backbone.model.conv5[0].weight.clone()
    fit(model, arrays(), ByHand(2, unfreeze))
    assert not model.network.backbone.model.conv5[0].weight.equal(before)


@pytest.mark.slow
def test_two_processes_compute_the_features_once(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = subprocess.run(
        [*launch, "ddp_caching.py", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for (cached, raw), (other, _) in zip(first, second, strict=True):
        assert cached["runs"] + other["runs"] == 3  # 22 images by 8: the other process waits
        for ours, theirs in zip(cached["states"], other["states"], strict=True):
            assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
        for ours, theirs in zip(cached["states"], raw["states"], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        for ours, theirs in zip(cached["metrics"], raw["metrics"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)
