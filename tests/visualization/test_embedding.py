"""Last hidden features, their two dimensions and clusters."""

import numpy as np
import pytest
import torch
from torch import nn

from dlp.bag_of_words import BagOfWords
from dlp.errors import InputError
from dlp.modules.networks import DenseNet
from dlp.visualization.embedding import cluster_agreement, embed, embedding_figure, last_hidden


def blobs(count=30, width=5):
    """Return features (3 * count, width) of three distant groups, and the group of each."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], count)
    return labels[:, None] * 20 + rng.normal(size=(len(labels), width)), labels


def test_last_hidden_is_what_the_last_dense_layer_takes():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 2))
    x = torch.randn(7, 4)
    found = last_hidden(model, x.split(3))
    assert torch.allclose(found, model[0](x).relu(), atol=1e-6)  # without dropout
    assert model.training
    assert not any(layer._forward_pre_hooks for layer in model.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert not found.requires_grad


def test_the_last_layer_is_the_one_called_last():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.output = nn.Linear(3, 2)
            self.hidden = nn.Linear(4, 3)

        def forward(self, x):
            return self.output(self.hidden(x))

    assert last_hidden(Odd(), [torch.randn(5, 4)]).shape == (5, 3)


def test_tokens_are_averaged():
    x = torch.randn(2, 6, 4)
    assert torch.allclose(last_hidden(nn.Linear(4, 2), [x]), x.mean(1))


def test_texts_have_features_but_a_linear_model_of_them_has_none():
    bag = BagOfWords(torch.tensor([0, 3, 1]), torch.tensor([0, 2]), torch.ones(3))
    assert last_hidden(DenseNet((5,), 1, hidden=(4, 3)), [bag]).shape == (2, 3)
    with pytest.raises(InputError, match="no hidden layer"):
        last_hidden(DenseNet((5,), 1, hidden=()), [bag])


def test_models_without_dense_layer_and_no_rows_are_refused():
    model = nn.Conv2d(1, 1, 1)
    with pytest.raises(InputError, match="no dense layer"):
        last_hidden(model, [torch.zeros(1, 1, 2, 2)])
    with pytest.raises(InputError, match="no rows"):
        last_hidden(nn.Linear(1, 1), [])
    assert not model._forward_pre_hooks


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_groups_stay_apart_in_two_dimensions(method):
    features, labels = blobs()
    points = embed(torch.from_numpy(features), method, seed=1)
    assert points.shape == (90, 2)
    assert np.array_equal(points, embed(features, method, seed=1))
    centres = np.stack([points[labels == number].mean(0) for number in range(3)])
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(1)
    assert np.array_equal(nearest, labels)


def test_pca_keeps_distances_of_two_features_and_pads_one():
    features = np.random.default_rng(0).normal(size=(20, 2))
    points = embed(features)
    assert np.linalg.norm(points[3] - points[8]) == pytest.approx(
        np.linalg.norm(features[3] - features[8])
    )
    assert np.allclose(embed(features[:, :1])[:, 1], 0)


@pytest.mark.parametrize("count", [3, 70])
def test_tsne_takes_few_rows_and_many_features(count):
    features = np.random.default_rng(0).normal(size=(count, 60))
    assert np.isfinite(embed(features, "tsne")).all()


@pytest.mark.parametrize(
    ("features", "method", "message"),
    [
        (np.eye(4), "tnse", "unknown method 'tnse'. Did you mean 'tsne'"),
        (np.eye(2), "pca", "these are only 2"),
        (np.ones((5, 3)), "pca", "these are all equal"),
        (np.ones(5), "pca", r"got \(5,\)"),
        (np.full((5, 3), np.nan), "pca", "not finite"),
    ],
)
def test_what_cannot_be_embedded(features, method, message):
    with pytest.raises(InputError, match=message):
        embed(features, method)


def test_clusters_agree_with_groups_and_not_with_noise():
    features, labels = blobs()
    found = cluster_agreement(features, labels)
    assert found == pytest.approx(
        {"clusters": 3, "adjusted_rand": 1.0, "normalized_mutual_info": 1.0}
    )
    noise = cluster_agreement(features, np.random.default_rng(1).integers(0, 3, 90))
    assert abs(noise["adjusted_rand"]) < 0.1
    assert cluster_agreement(np.ones((4, 2)), [0, 1, 0, 1])["clusters"] == 1
    with pytest.raises(InputError, match="90 rows"):
        cluster_agreement(features, labels[:3])


def test_few_classes_have_colours_and_names():
    points = np.random.default_rng(0).normal(size=(6, 2))
    figure = embedding_figure(points, [0, 0, 2, 2, 2, 0], ["cat", "cow", "dog $5$"], "pets")
    (axes,) = figure.axes
    assert axes.get_title() == "pets"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "dog $5$"]
    assert len({tuple(colour) for colour in axes.collections[0].get_facecolors()}) == 2
    figure.savefig("/dev/null", format="png")


def test_of_many_classes_the_rare_ones_are_grey():
    classes = np.repeat(np.arange(12), np.arange(1, 13))
    points = np.random.default_rng(0).normal(size=(len(classes), 2))
    figure = embedding_figure(points, classes, [str(number) for number in range(12)])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [*map(str, range(3, 12)), "3 others"]


def test_values_have_a_colour_bar_and_unlabelled_points_none():
    points = np.random.default_rng(0).normal(size=(4, 2))
    figure = embedding_figure(points, [1.0, 2.0, 3.0, 9.0], value_name="price")
    assert [axes.get_ylabel() for axes in figure.axes][1] == "price"
    assert len(embedding_figure(points).axes) == 1


def test_figure_refuses_other_shapes():
    with pytest.raises(InputError, match=r"points \(N, 2\), got \(4, 3\)"):
        embedding_figure(np.zeros((4, 3)))
    with pytest.raises(InputError, match="4 points and targets"):
        embedding_figure(np.zeros((4, 2)), [1, 2])
