from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

from dlp.cli import main
from helpers.sets import image_folder

RECIPE = """\
data:
  class_path: ImageFolderDataModule
  init_args: {path: pets, image_size: 12, test_size: 4, val_size: 4, augmentation: book}
model:
  class_path: ConvNetModule
  init_args: {head: sigmoid, channels: [4, 5], dense: []}
trainer: {max_epochs: 1, enable_progress_bar: false, enable_model_summary: false}
"""
SETTINGS = "--trainer.max_epochs 8 --model.hidden [32] --model.optimizer Adam --data.test_size null"


def fit_pets():
    image_folder(Path("pets"))
    Path("pets.yaml").write_text(RECIPE, encoding="utf-8")
    main(["fit", "--config", "pets.yaml"])


@pytest.fixture
def pets(copied):
    """Work in a folder with a recipe of images and its run."""
    return copied(fit_pets)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_batch_is_drawn_without_training(pets):
    main(
        [
            "visualize",
            "batch",
            "--config",
            "pets.yaml",
            "--num_images",
            "4",
            "--copies",
            "2",
        ]
    )
    assert (pets / "runs/pets/batch.png").read_bytes()[1:4] == b"PNG"


def test_heat_maps_of_a_run_show_each_class_in_turn(pets, capsys):
    main(["visualize", "heatmap", "pets", "--num_images", "2", "--colormap", "jet"])
    assert len(files(pets / "runs/pets/version_0/visualize/heatmap")) == 2
    printed = capsys.readouterr().out
    assert "_cats -> " in printed
    assert "_dogs -> " in printed


def test_activations_of_files_are_drawn_by_layer(pets):
    checkpoint = "runs/pets/version_0/checkpoints/last.ckpt"
    words = [
        "--images",
        "pets/cats/0.png",
        "--layers",
        "[features.conv1, features.relu2]",
    ]
    main(["visualize", "activations", checkpoint, *words])
    drawn = files(pets / "runs/pets/version_0/visualize/activations")
    assert drawn == ["0_features.conv1.png", "0_features.relu2.png"]


def test_filters_of_a_run_are_drawn(pets):
    main(
        [
            "visualize",
            "filters",
            "runs/pets/version_0",
            "--steps",
            "1",
            "--num_filters",
            "2",
        ]
    )
    drawn = files(pets / "runs/pets/version_0/visualize/filters")
    assert drawn == ["features.conv2.png", "features.relu1.png"]


def test_a_network_of_torchvision_names_the_classes_of_weights(
    pets, capsys, fails, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(pets))
    file = pets / "hub/checkpoints" / Path(SqueezeNet1_1_Weights.DEFAULT.url).name
    file.parent.mkdir(parents=True)
    torch.save(squeezenet1_1().state_dict(), file)
    words = ["visualize", "heatmap", "squeezenet1_1"]
    main(
        [*words, "--images", "pets/cats", "--num_images", "1", "--class_name", "tabby"]
    )
    assert files(pets / "runs/squeezenet1_1/visualize/heatmap") == ["0.png"]
    assert "0 -> " in capsys.readouterr().out
    assert "squeezenet1_1 was not trained by dlp" in fails(*words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["heatmap", "petz"],
            "unknown run or network of torchvision 'petz'. Did you mean 'pets'",
        ),
        (
            ["heatmap", "pets", "--class_name", "dog"],
            "unknown class 'dog'. Did you mean 'dogs'",
        ),
    ],
)
def test_a_mistake_ends_in_one_sentence(words, message, pets, fails):
    assert message in fails("visualize", *words)


@pytest.mark.slow
def test_a_useless_column_adds_nothing_and_a_copied_one_shares(points):
    cause, other, noise = np.random.default_rng(0).normal(size=(3, 250))
    label = np.where(cause + other > 0, "yes", "no")
    columns = {
        "cause": cause,
        "copy": cause,
        "other": other,
        "noise": noise,
        "label": label,
    }
    pd.DataFrame(columns).to_csv("points.csv", index=False)
    main(
        [
            "fit",
            "--config",
            "points.yaml",
            *SETTINGS.split(),
            "--model.optimizer.lr",
            "0.02",
        ]
    )
    table = main(["visualize", "importance", "points"]).set_index("column")
    assert table.index[table["note"] == "adds nothing"].tolist() == ["noise"]
    assert table["importance"][["cause", "copy"]].max() < table["importance"]["other"]
    written = pd.read_csv("runs/points/version_0/visualize/importance.csv")
    assert written["column"].tolist() == table.index.tolist()


@pytest.mark.slow
def test_words_are_listed_without_their_n_grams_of_characters():
    texts = [f"{'un' * (n % 2)}happy people" for n in range(60)]
    pd.DataFrame({"text": texts, "label": [0, 1] * 30}).to_csv("notes.csv", index=False)
    main(["init", "notes.csv", "--text_column", "text", "--target", "label"])
    main(["fit", "--config", "notes.yaml", "--trainer.max_epochs", "1"])
    words = main(["visualize", "importance", "notes"])["word"]
    assert "unhappy" in set(words)
    assert not words.str.startswith('"').any()
