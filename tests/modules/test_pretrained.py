import pytest
import torch
from helpers.backbones import IMAGES, changed, small_model, state_of

from dlp.errors import InputError
from dlp.modules import PretrainedModule
from dlp.modules.pretrained import StoredFeatures


def test_the_optimizer_has_all_parameters_whatever_is_frozen():
    model = small_model(trainable_stages=2, backbone_lr=0.01)
    head, backbone = model.configure_optimizers().param_groups
    assert (head["name"], head["lr"]) == ("head", 0.05)
    assert (backbone["name"], backbone["lr"]) == ("backbone", 0.01)
    assert len(head["params"] + backbone["params"]) == len([*model.parameters()])


def test_penalties_act_on_the_hidden_layers_alone():
    model = small_model(l2=0.5, hidden=(4, 3))
    dense = model.network.classifier
    expected = 0.5 * (dense.dense1.weight.square().sum() + dense.dense2.weight.square().sum())
    torch.testing.assert_close(model.penalty(), expected)


@pytest.mark.parametrize("pool", ["avg", "flatten"])
@torch.no_grad()
def test_the_network_continues_from_features_of_every_depth(pool):
    network = small_model(pool=pool).network.eval()
    expected = network(IMAGES)
    for depth in range(1, network.depth + 1):
        values = network.features(IMAGES, depth).values.contiguous()
        assert torch.equal(network(StoredFeatures(values, depth)), expected)


def test_features_are_computed_in_evaluation_mode_without_gradient():
    model = small_model(trainable_stages="all")
    before = state_of(model)
    features = model.network.features(IMAGES, 3)
    assert not features.values.requires_grad
    assert not changed(before, model.state_dict())
    assert all(module.training for module in model.network.backbone.modules())


@pytest.mark.parametrize("shape", [(1, 28, 28), (32,)])
def test_rows_that_are_not_colour_images_are_refused(shape):
    with pytest.raises(InputError, match="takes rows of shape"):
        PretrainedModule(shape, 2, backbone="squeezenet1_1", weights=None)
