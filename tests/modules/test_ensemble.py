from functools import partial

import numpy as np
import pytest
import torch

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule, EnsembleModule, EnsembleNet, PretrainedModule
from dlp.modules.heads import HEADS, MultilabelHead
from helpers.training import OneWeight, X, Y, loader, plain_loaders, quiet_trainer, sgd

pytestmark = plain_loaders
SEED = 5
build = partial(DenseModule, (3,), 4, hidden=(6,), l2=1e-3)
pretrained = partial(
    PretrainedModule, (3, 32, 32), 2, weights=None, backbone="squeezenet1_1"
)


def test_a_member_begins_with_the_weights_of_its_seed():
    torch.manual_seed(SEED)
    second = EnsembleModule(build, size=2).network.members[1]
    torch.manual_seed(SEED + 1)
    torch.testing.assert_close(
        second.state_dict(), build().network.state_dict(), rtol=0, atol=0
    )


def test_building_members_seeds_no_generator_of_a_gpu(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    state = torch.get_rng_state()
    EnsembleModule(build, size=2)
    assert seeds == []
    assert torch.equal(torch.get_rng_state(), state)


def test_each_member_is_trained_as_if_it_were_alone():
    module = EnsembleModule(partial(build, optimizer=sgd), size=2)
    pairs = [(member, build(optimizer=sgd)) for member in module.network]
    for member, alone in pairs:
        alone.network.load_state_dict(member.state_dict())
        quiet_trainer().fit(alone, loader(X, Y))
    quiet_trainer().fit(module, loader(X, Y))
    for member, alone in pairs:
        torch.testing.assert_close([*member.parameters()], [*alone.parameters()])


@pytest.mark.parametrize(
    ("head", "arguments"),
    [
        *((name, {}) for name in HEADS),
        ("regression", {"target_mean": [1.0, 2.0], "target_std": [0.5, 0.1]}),
        ("regression", {"target_transform": "log", "target_std": [0.5, 2.0]}),
        ("regression", {"target_transform": "log1p"}),
    ],
)
def test_the_prediction_is_the_mean_of_the_predictions_of_the_members(head, arguments):
    module = EnsembleModule(
        partial(DenseModule, (4,), 2, head, hidden=(), **arguments), 3
    ).eval()
    inputs = 5 * torch.randn(20, 4)
    each = torch.stack(
        [module.head.predict(member(inputs)) for member in module.network]
    )
    outputs = module.predict_step(inputs)
    torch.testing.assert_close(
        outputs[module.head.prediction], each.mean(0), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(outputs["std"], each.std(0))


def test_confident_members_that_disagree_have_finite_logits():
    network = EnsembleNet([torch.nn.Identity(), torch.nn.Identity()], "logit")
    logits = network.mean(torch.tensor([[[200.0]], [[-200.0]]]))
    torch.testing.assert_close(logits, torch.zeros(1, 1))


@pytest.mark.parametrize(
    ("make", "name"), [(pretrained, "kernels"), (OneWeight, "training_step")]
)
def test_a_module_that_is_trained_in_another_way_is_refused(make, name):
    with pytest.raises(InputError, match=f"overrides {name}"):
        EnsembleModule(make, size=1)


@pytest.mark.parametrize("is_ensemble", [False, True])
def test_a_checkpoint_without_its_head_is_not_read_with_another(is_ensemble, tmp_path):
    data = ArrayDataModule(np.eye(24, 4), np.eye(24, 3), task="multilabel", val_size=4)
    make = partial(DenseModule, (4,), 3, MultilabelHead(3), hidden=[])
    module = EnsembleModule(make, 2) if is_ensemble else make()
    trainer = quiet_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    restore = partial(
        type(module).load_from_checkpoint, tmp_path / "a.ckpt", weights_only=True
    )
    with pytest.raises(InputError, match="trained with a MultilabelHead"):
        restore()
    same = restore(make_member=make) if is_ensemble else restore(head=MultilabelHead(3))
    x = torch.eye(4)
    assert torch.equal(same.eval()(x), module.eval()(x))
