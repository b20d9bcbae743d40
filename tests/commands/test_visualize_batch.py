"""``dlp visualize``, in process, on small images of one's own."""

import numpy as np
import pandas as pd
import pytest
import torch
from image_files import pixels, write_classes
from PIL import Image

from dlp.cli import main
from dlp.commands.visualize import batch as visualize_batch

RECIPE = """
# Two kinds of noise
data:
  class_path: ImageFolderDataModule
  init_args: {path: pets, image_size: [8, 10], val_size: 2, batch_size: 4, augmentation: book}
model:
  class_path: ConvNetModule
  init_args: {head: sigmoid, channels: [2], dense: [2]}
trainer: {max_epochs: 1, accelerator: cpu}
"""
PRETRAINED = """
# A network whose weights are nowhere
model:
  class_path: PretrainedModule
  init_args: {head: sigmoid, backbone: shufflenet_v2_x0_5, weights: DEFAULT}
init_from: cats_dogs_frozen
"""
#: For what is not the look of a figure.
UNDRAWN = pytest.mark.usefixtures("undrawn_figures")


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Work in a folder with 12 images of two classes and a recipe for them."""
    write_classes(tmp_path / "pets", {"cats": 7, "dogs": 5})
    (tmp_path / "pets.yaml").write_text(RECIPE)
    (tmp_path / "pretrained.yaml").write_text(PRETRAINED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def grids(monkeypatch):
    """Return the list of what is drawn: images, titles and columns of each grid."""
    drawn = []
    original = visualize_batch.image_grid

    def watched(images, titles, columns):
        drawn.append((images, titles, columns))
        return original(images, titles, columns)

    monkeypatch.setattr(visualize_batch, "image_grid", watched)
    return drawn


def fails(capsys, *args):
    """Run a command that must fail, and return its message."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(list(args))
    assert exit_.value.code == 2
    (message,) = capsys.readouterr().err.strip().splitlines()
    assert message.startswith("dlp: ")
    return message


def test_the_images_are_drawn_to_the_folder_of_the_recipe(pets, grids, capsys):
    main(["visualize", "batch", "--config", "pets.yaml"])
    assert "wrote runs/pets/batch.png" in capsys.readouterr().out
    with Image.open(pets / "runs/pets/batch.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 100
    ((images, titles, columns),) = grids
    assert images.shape == (10, 3, 8, 10)  # all that there are
    assert sorted(titles) == ["cats"] * 6 + ["dogs"] * 4
    assert columns is None
    assert {path.name for path in (pets / "runs/pets").iterdir()} == {"batch.png"}


@UNDRAWN
def test_what_is_drawn_is_what_training_sees(pets, grids):
    main(["visualize", "batch", "--config", "pets.yaml", "--data.augmentation", "null"])
    ((images, titles, _),) = grids
    for image, title in zip(images, titles, strict=True):
        seeds = range(7) if title == "cats" else range(7, 12)
        found = image.mul(255).round().byte().permute(1, 2, 0).numpy()
        assert any(np.array_equal(found, pixels(seed)) for seed in seeds)


@UNDRAWN
def test_copies_show_what_each_epoch_makes_of_a_image(pets, grids):
    given = ["visualize", "batch", "--config", "pets.yaml", "--num_images", "6", "--copies", "3"]
    main(given)
    main([*given, "--data.augmentation", "null"])
    (changed, titles, columns), (same, *_) = grids
    assert columns == 3
    assert titles[0] == titles[1] == titles[2]
    assert changed.shape == same.shape == (6, 3, 8, 10)
    for row in changed.split(3):
        assert not any(torch.equal(row[a], row[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    for row in same.split(3):
        assert torch.equal(row[0], row[1])
        assert torch.equal(row[0], row[2])


@UNDRAWN
def test_num_images_and_output(pets, grids):
    main(
        [
            *("visualize", "batch", "--config", "pets.yaml", "--num_images", "3"),
            *("--output", "out/seen.png"),
        ]
    )
    assert len(grids[0][0]) == 3
    assert (pets / "out/seen.png").read_bytes().startswith(b"\x89PNG")
    assert not (pets / "runs").exists()


@UNDRAWN
def test_neither_weights_nor_a_run_to_start_from_are_needed(pets, monkeypatch):
    def fail(*arguments, **others):
        raise AssertionError("weights were fetched")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    monkeypatch.setenv("TORCH_HOME", str(pets / "torch"))
    both = ["--config", "pets.yaml", "--config", "pretrained.yaml", "--data.image_size", "32"]
    main(["visualize", "batch", *both])
    assert (pets / "runs/pets+pretrained/batch.png").exists()


@UNDRAWN
def test_a_trial_run_writes_nothing(pets, grids):
    main(["visualize", "batch", "--config", "pets.yaml", "--trainer.fast_dev_run", "true"])
    assert len(grids) == 1
    assert not (pets / "runs").exists()


@UNDRAWN
def test_grey_images_and_values(pets, grids):
    frame = pd.DataFrame({"image": [f"cats/{n:03}.png" for n in range(7)], "age": np.arange(7) / 3})
    frame.to_csv(pets / "pets/ages.csv", index=False)
    main(
        [
            *("visualize", "batch", "--config", "pets.yaml", "--data.path", "pets/ages.csv"),
            *("--data.target", "age", "--data.channels", "1", "--model.head", "regression"),
            *("--num_images", "2"),
        ]
    )
    ((images, titles, _),) = grids
    assert images.shape == (2, 1, 8, 10)
    assert all(float(title) in [float(f"{n / 3:.4g}") for n in range(7)] for title in titles)


@UNDRAWN
def test_labels_that_apply_are_named(pets, grids):
    frame = pd.DataFrame({"image": [f"cats/{n:03}.png" for n in range(7)]})
    frame["old"], frame["red"] = [1, 0] * 3 + [1], [1, 1, 0, 0, 1, 1, 0]
    frame.to_csv(pets / "pets/labels.csv", index=False)
    main(
        [
            *("visualize", "batch", "--config", "pets.yaml", "--data.path", "pets/labels.csv"),
            *("--data.target", "[old, red]", "--model.head", "multilabel"),
        ]
    )
    assert set(grids[0][1]) <= {"old, red", "old", "red", ""}
    assert len(set(grids[0][1])) > 1


def test_data_that_are_no_images_are_refused(pets, capsys):
    pd.DataFrame({"a": np.arange(20.0), "y": [0, 1] * 10}).to_csv(pets / "table.csv", index=False)
    (pets / "table.yaml").write_text(
        "data: {class_path: TableDataModule, init_args: {path: table.csv, target: y}}\n"
        "model: {class_path: DenseModule, init_args: {head: sigmoid}}\n"
    )
    message = fails(capsys, "visualize", "batch", "--config", "table.yaml")
    assert "visualize batch draws images; a row of TableDataModule has the shape (1,)" in message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no kind is given. Accepted: batch"),
        (["bach", "--config", "pets.yaml"], "unknown kind 'bach'. Did you mean 'batch'?"),
        (["--config", "pets.yaml"], "unknown kind '--config'"),
        (["batch", "--config", "pets.yaml", "--copies", "0"], "got 16 and 0"),
        (["batch", "--config", "pets.yaml", "--num_images", "-1"], "must be 1 or more"),
        (["batch", "--config", "pets.yaml", "--copys", "2"], "Did you mean --copies?"),
        (["batch", "--config", "pats.yaml"], "there is no config file pats.yaml"),
        (["batch", "--config", "pets.yaml", "--output", "pets.yaml/x.png"], "cannot write"),
    ],
)
def test_mistakes_are_said_in_one_sentence(pets, given, message, capsys):
    assert message in fails(capsys, "visualize", *given)
    assert not (pets / "runs").exists()


def test_help(pets, capsys):
    main(["visualize", "--help"])
    text = capsys.readouterr().out
    assert "dlp visualize batch --config cats_dogs_augmented" in text
    assert "  batch " in text
    with pytest.raises(SystemExit) as exit_:
        main(["visualize", "batch", "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "usage: dlp visualize batch" in text
    assert "--copies" in text
    assert "--num_images" in text
    assert "dlp [options] fit" not in text
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "visualize batch" in capsys.readouterr().out
