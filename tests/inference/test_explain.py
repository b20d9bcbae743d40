"""Reasons of single predictions."""

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import IntegratedGradients
from helpers.sets import points_table
from PIL import Image

from dlp.datamodules import TableDataModule
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.inference.trained import InferenceModule
from dlp.modules.heads import SigmoidHead, SoftmaxHead
from dlp.modules.networks import ConvNet, DenseNet
from dlp.reader.answer import Answer
from dlp.reader.model import Model
from dlp.reader.spec import Card, Component, ModelSpec
from dlp.visualization import word_weights

WORDS = [f"w{number}" for number in range(26)]
TEXT = {
    "kind": "text",
    "encoder": "dlp.datamodules.TextEncoder",
    "reader": "dlp.reader.text.TextReader",
    "words": WORDS,
    "num_words": 30,
    "max_length": None,
    "tokens": "words",
    "ngrams": 1,
    "encoding": "multi_hot",
    "idf": [],
}
IMAGE = {
    "kind": "image",
    "encoder": "dlp.datamodules.ImageEncoder",
    "reader": "dlp.reader.image.ImageReader",
    "height": 12,
    "width": 12,
    "fit": "squeeze",
    "channels": 3,
}


def predictor(inputs, network, head, names):
    """Return a predictor of an untrained network."""
    module = InferenceModule(inputs, network, head).eval()
    component = Component("", {})
    answer = Answer(head.task, names)
    spec = ModelSpec(component, component, inputs, answer, Card("", {}, 1, {}))
    return Predictor([Model(spec, module.run)], [module])


@pytest.fixture
def reviews():
    torch.manual_seed(0)
    return predictor(TEXT, DenseNet([30], 1, dropout=0.5), SigmoidHead(), ["neg", "pos"])


@pytest.mark.parametrize(
    ("outputs", "hidden", "activation"), [(1, [], "relu"), (1, [8, 8], "relu"), (3, [8], "tanh")]
)
def test_word_weights_are_the_integrated_gradients_of_captum(outputs, hidden, activation):
    torch.manual_seed(0)
    network = DenseNet([30], outputs, hidden, activation, dropout=0.5).eval()
    bags = torch.rand(20, 30) * (torch.rand(20, 30) > 0.7)
    gradients = IntegratedGradients(lambda x: network(x)[:, -1])
    attribution = gradients.attribute(bags, n_steps=128, method="riemann_middle")
    weights = word_weights(network, bags, 1 if outputs == 1 else 2)
    torch.testing.assert_close(weights, attribution.float(), atol=1e-6, rtol=0)


def test_word_weights_add_up_to_the_logit_without_that_of_the_empty_text(reviews):
    network, bags = reviews.modules[0].network, torch.rand(5, 30)
    change = (network(bags) - network(torch.zeros(1, 30))).squeeze(1)
    for number, sign in ((1, 1), (0, -1)):
        sums = word_weights(network, bags, number).sum(1)
        torch.testing.assert_close(sums, sign * change, atol=1e-3, rtol=0)


def test_a_text_without_its_strongest_words_is_less_sure(reviews):
    text = " ".join(WORDS[:12])
    reasons, name = reviews.explain(text), reviews.predict([text])["class"][0]
    strongest = reasons.nlargest(3, "weight")["word"].tolist()
    rest = " ".join(word for word in text.split() if word not in strongest)
    before, after = reviews.predict([text, rest])[f"prob_{name}"]
    assert after < before


def test_an_exported_model_of_texts_refuses_to_explain(reviews):
    with pytest.raises(InputError, match="checkpoint"):
        Predictor(reviews.models).explain("w1")


def test_a_column_tells_the_difference_from_its_typical_cell(tmp_path):
    data = TableDataModule(points_table(tmp_path / "points.csv"), "label")
    network = DenseNet(data.input_shape, 1)
    model = predictor(data.input_spec(), network, SigmoidHead(), data.class_names)
    row = pd.Series({"x": 1.5, "y": -0.2, "kind": "red"})
    reasons = model.explain(row).set_index("column")
    scores = model.scores([row.to_dict(), {**row, "x": reasons.loc["x", "typical"]}])
    difference = (scores[0] - scores[1])[scores[0].argmax()]
    assert reasons.loc["x", "difference"] == pytest.approx(difference)


def test_an_image_has_a_heat_map_up_to_one():
    torch.manual_seed(0)
    network = ConvNet([3, 12, 12], 2, channels=[4], dense=[])
    image = np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8)
    heat = predictor(IMAGE, network, SoftmaxHead(2), ["cat", "dog"]).explain(Image.fromarray(image))
    assert heat.shape == (5, 5)
    assert (heat.min() >= 0, heat.max()) == (True, 1)
