import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import IntegratedGradients
from helpers.models import predictor_of
from helpers.sets import image_data, points_table, text_data
from PIL import Image

from dlp.datamodules import TableDataModule
from dlp.errors import InputError
from dlp.inference import Predictor
from dlp.modules.heads import SigmoidHead, SoftmaxHead
from dlp.modules.networks import ConvNet, DenseNet
from dlp.visualization import word_weights


@pytest.fixture
def reviews(tmp_path):
    """Return a predictor of 30 words."""
    data = text_data(tmp_path, encoding="multi_hot")
    return predictor_of(data, SigmoidHead(), DenseNet((30,), 1, dropout=0.5))


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
    if outputs == 1:
        torch.testing.assert_close(word_weights(network, bags, 0), -weights)


def test_a_text_without_its_strongest_words_is_less_sure(reviews):
    text = " ".join(reviews.spec.inputs["words"][:12])
    reasons, name = reviews.explain(text), reviews.predict([text])["class"][0]
    strongest = reasons.nlargest(3, "weight")["word"].tolist()
    rest = " ".join(word for word in text.split() if word not in strongest)
    before, after = reviews.predict([text, rest])[f"prob_{name}"]
    assert after < before


def test_an_exported_model_of_texts_refuses_to_explain(reviews):
    with pytest.raises(InputError, match="checkpoint"):
        Predictor(reviews.models).explain("word6")


def test_a_column_tells_the_difference_from_its_typical_cell(tmp_path):
    data = TableDataModule(points_table(tmp_path / "points.csv"), "label")
    model = predictor_of(data, SigmoidHead())
    row = pd.Series({"x": 1.5, "y": -0.2, "kind": "red"})
    reasons = model.explain(row).set_index("column")
    scores = model.scores([row.to_dict(), {**row, "x": reasons.loc["x", "typical"]}])
    difference = (scores[0] - scores[1])[scores[0].argmax()]
    assert reasons.loc["x", "difference"] == pytest.approx(difference)


def test_an_image_has_a_heat_map_up_to_one(tmp_path):
    network = ConvNet((3, 8, 8), 2, channels=[4], dense=[])
    image = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    predictor = predictor_of(image_data(tmp_path), SoftmaxHead(2), network)
    heat = predictor.explain(Image.fromarray(image))
    assert heat.shape == (3, 3)
    assert (heat.min() >= 0, heat.max()) == (True, 1)
