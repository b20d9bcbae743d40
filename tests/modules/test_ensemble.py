from functools import partial

import numpy as np
import pytest
import torch
from helpers.training import X_VAL, X, Y, loader, plain_loaders, quiet_trainer, sgd

from dlp.callbacks import EpochSeed
from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.modules import DenseModule, PretrainedModule, SupervisedModule
from dlp.modules.ensemble import EnsembleNet
from dlp.modules.heads import HEADS, make_head

pytestmark = plain_loaders
SEED = 5


def fitted(seed, **arguments):
    """Return a module that was trained on three classes as ``dlp fit`` does."""
    torch.manual_seed(seed)
    module = DenseModule((3,), 4, hidden=(6,), l2=1e-3, **arguments)
    data = ArrayDataModule(X, Y, val_size=2, batch_size=3)
    quiet_trainer(2, [EpochSeed()]).fit(module, data)
    return module


@pytest.fixture(scope="module")
def ensemble():
    return fitted(SEED, ensemble=3)


def test_each_member_is_the_network_that_a_fit_with_its_seed_gives(ensemble):
    for number, member in enumerate(ensemble.network.members):
        alone = fitted(SEED + number).network.state_dict()
        torch.testing.assert_close(dict(member.state_dict()), dict(alone), rtol=1e-5, atol=1e-6)


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
    head = make_head(head, 2, **arguments)
    members = [torch.nn.Linear(4, head.num_logits) for _ in range(3)]
    inputs = 5 * torch.randn(20, 4)
    network = EnsembleNet(members, head.link, head.scale)
    expected = torch.stack([head.predict(member(inputs)) for member in members]).mean(0)
    torch.testing.assert_close(head.predict(network(inputs)), expected, rtol=1e-5, atol=1e-6)


def test_confident_members_that_disagree_have_finite_logits():
    network = EnsembleNet([torch.nn.Identity(), torch.nn.Identity()], "logit")
    logits = network.mean(torch.tensor([[[200.0]], [[-200.0]]]))
    torch.testing.assert_close(logits, torch.zeros(1, 1))


def test_a_foreign_loader_gives_each_batch_to_all_members():
    build = partial(DenseModule, (3,), 4, hidden=(), optimizer=sgd)
    module = build(ensemble=2)
    pairs = [(member, build()) for member in module.network.members]
    for member, alone in pairs:
        alone.network.load_state_dict(member.state_dict())
        quiet_trainer().fit(alone, loader(X, Y))
    quiet_trainer().fit(module, loader(X, Y))
    for member, alone in pairs:
        torch.testing.assert_close([*member.parameters()], [*alone.parameters()])


def test_a_checkpoint_is_predicted_without_lightning_and_loaded_with_it(ensemble, tmp_path):
    path = tmp_path / "ensemble.ckpt"
    ensemble.trainer.save_checkpoint(path)
    expected = ensemble.head.predict(ensemble.eval()(X_VAL)).numpy(force=True)
    scores = Predictor.load(path).scores(X_VAL.numpy())
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    again = DenseModule.load_from_checkpoint(path, weights_only=True).eval()
    np.testing.assert_array_equal(again.head.predict(again(X_VAL)).numpy(force=True), expected)


def test_a_network_with_weights_is_not_multiplied():
    with pytest.raises(InputError, match="takes a function that builds a network"):
        SupervisedModule(torch.nn.Linear(3, 4), "softmax", 4, ensemble=2)
    with pytest.raises(InputError, match="is for networks that begin with random"):
        PretrainedModule((3, 32, 32), 2, weights=None, ensemble=2)


def test_a_batch_of_several_inputs_is_one_batch_for_all():
    class Sum(torch.nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs[0] + inputs[1])

    module = SupervisedModule(partial(Sum, 3), "softmax", 4, ensemble=2)
    assert module.training_step(((X, X), Y), 1).isfinite()
