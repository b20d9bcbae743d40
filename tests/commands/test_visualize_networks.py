"""``dlp visualize activations|filters|heatmap|embedding``, in process, on small images."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from image_files import write_classes, write_image
from PIL import Image

from dlp.cli import main
from dlp.commands.visualize import kinds as visualize_kinds

RECIPE = """
# Two kinds of noise
data:
  class_path: ImageFolderDataModule
  init_args: {path: pets, image_size: [20, 24], val_size: 2, test_size: 4, batch_size: 4}
model:
  class_path: ConvNetModule
  init_args: {head: sigmoid, channels: [3, 4], dense: [5]}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}
"""
TABLE = """
# A table
data: {class_path: TableDataModule, init_args: {path: table.csv, target: y, test_size: 10}}
model: {class_path: DenseModule, init_args: {head: HEAD, hidden: [4]}}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}
"""
TEXT = """
# Texts
data: {class_path: TextDataModule, init_args: {path: texts.csv, test_size: 10, num_words: 20}}
model: {class_path: DenseModule, init_args: {head: sigmoid, hidden: [4]}}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}
"""
#: For what is not the look of a figure.
UNDRAWN = pytest.mark.usefixtures("undrawn_figures")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once on twelve images of two classes and return the folder."""
    folder = tmp_path_factory.mktemp("pets")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DLP_CACHE_DIR", str(folder / "cache"))
        write_classes(folder / "pets", {"cats": 8, "dogs": 7}, size=(20, 24))
        (folder / "pets.yaml").write_text(RECIPE)
        main(["fit", "--config", "pets.yaml"])
    return folder


@pytest.fixture
def run(trained, monkeypatch, tmp_path):
    """Work in the folder of the trained run, and return the run's folder."""
    monkeypatch.chdir(trained)
    monkeypatch.setenv("DLP_CACHE_DIR", str(trained / "cache"))
    return trained / "runs/pets/version_0"


@pytest.fixture
def squeezenet(tmp_path, monkeypatch):
    """Write the state dict of a network with random weights, and two images, and go there."""
    monkeypatch.chdir(tmp_path)
    model = torchvision.models.squeezenet1_1(num_classes=4)
    torch.save(model.state_dict(), "net.pth")
    features = {k: v for k, v in model.state_dict().items() if k.startswith("features.")}
    torch.save(features, "features.pth")
    write_classes(tmp_path / "new", {"a": 1, "b": 1}, size=(40, 50))
    return tmp_path


def draws(kind, *args):
    """Draw on the trained run."""
    main(["visualize", kind, "--config", "pets.yaml", *map(str, args)])


def backbone(kind, *args, weights="net.pth"):
    """Draw the network of a state dict."""
    options = ["--backbone", "squeezenet1_1", "--weights", weights, *map(str, args)]
    main(["visualize", kind, *options])


def pngs(folder):
    """Return the name of each image below a folder -> its size; all must be PNGs."""
    sizes = {}
    for path in folder.iterdir():
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            sizes[path.name] = image.size
    return sizes


def fails(capsys, *args):
    """Run a command that must fail, and return its message."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(["visualize", *map(str, args)])
    assert exit_.value.code == 2
    (message,) = [
        line for line in capsys.readouterr().err.strip().splitlines() if not line.startswith("Seed")
    ]
    assert message.startswith("dlp: ")
    return message


# A trained network -----------------------------------------------------------------------------


def test_activations_of_the_newest_run(run, capsys):
    draws("activations", "--num_images", 3)
    names = pngs(run / "visualize/activations")
    layers = ["features.conv1", "features.relu1", "features.conv2", "features.relu2"]
    images = {name.partition("_")[0] for name in names}
    assert set(names) == {f"{image}_{layer}.png" for image in images for layer in layers}
    assert len(images) == 3
    out = capsys.readouterr().out
    assert "using runs/pets/version_0/checkpoints/best.ckpt" in out
    assert "wrote runs/pets/version_0/visualize/activations: " in out
    assert "and 4 more" in out


@UNDRAWN
def test_layers_by_the_end_of_their_name(run, tmp_path):
    draws("activations", "--num_images", 1, "--layers", "conv2", "--output", tmp_path / "seen")
    (name,) = pngs(tmp_path / "seen")
    assert name.endswith("_features.conv2.png")


@UNDRAWN
def test_the_weights_are_those_of_the_checkpoint(run, tmp_path, monkeypatch):
    seen = []

    def watched(model, images, layers):
        seen.append((model.features.conv1.weight.detach().clone(), images))
        return original(model, images, layers)

    original = visualize_kinds.activations
    monkeypatch.setattr(visualize_kinds, "activations", watched)
    given = ["--ckpt_path", run / "checkpoints/last.ckpt", "--num_images", 1, "--part", "train"]
    main(["visualize", "activations", *map(str, given), "--output", str(tmp_path)])
    stored = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    ((weight, images),) = seen
    assert torch.equal(weight, stored["network.features.conv1.weight"])
    assert images.shape == (1, 3, 20, 24)


@UNDRAWN
def test_samples_take_classes_in_turn(run, capsys, tmp_path):
    draws("heatmap", "--num_images", 4, "--output", tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if ": " in line and "(" in line]
    truths = [line.partition("(")[2].partition(")")[0] for line in said]
    assert truths[:2] == ["cats", "dogs"]
    names = pngs(tmp_path)
    assert len(names) == 8
    assert all(name.partition("_")[2].startswith(("cats-0.", "dogs-0.")) for name in names)
    overlays = [size for name, size in names.items() if name.endswith("_overlay.png")]
    assert overlays == [(24, 20)] * 4


@UNDRAWN
@pytest.mark.parametrize("beats", [True, False])
def test_heatmaps_of_a_network_that_learned_nothing_say_so(run, capsys, tmp_path, beats):
    before = (run / "results.json").read_text()
    (run / "results.json").write_text(json.dumps(json.loads(before) | {"beats_baseline": beats}))
    try:
        draws("heatmap", "--num_images", 1, "--output", tmp_path)
    finally:
        (run / "results.json").write_text(before)
    said = "is no better than its baseline in validation: it has learned nothing of the classes"
    assert (said in capsys.readouterr().out) == (not beats)


@UNDRAWN
def test_heatmap_of_a_class_and_a_layer_on_images_of_ones_own(run, capsys, tmp_path, monkeypatch):
    write_image(tmp_path / "big.png", 5, size=(90, 70))
    maps = []
    original = visualize_kinds.heatmap_figure
    monkeypatch.setattr(
        visualize_kinds,
        "heatmap_figure",
        lambda *args: maps.append(args) or original(*args),
    )
    images = ["--images", tmp_path / "big.png", "--output", tmp_path / "out"]
    for name in ("dogs", "0"):
        draws("heatmap", *images, "--class", name, "--layer", "features.conv2")
    names = pngs(tmp_path / "out")
    assert len(names) == 4
    assert all(size == (70, 90) for name, size in names.items() if "overlay" in name)
    (_, dogs, titles), (_, cats, _) = maps
    assert titles[0] == "big"
    assert titles[1].startswith("features.conv2, ")
    assert titles[2].startswith("dogs 0.")
    assert not torch.equal(dogs, cats)


def test_filters_one_grid_a_layer(run, capsys):
    draws("filters", "--layers", "conv1", "features.conv2", "--num_filters", 2, "--steps", 2)
    assert set(pngs(run / "visualize/filters")) == {"features.conv1.png", "features.conv2.png"}


@UNDRAWN
def test_chosen_filters_are_drawn(run, tmp_path, monkeypatch):
    drawn = []
    original = visualize_kinds.filter_grid
    monkeypatch.setattr(
        visualize_kinds, "filter_grid", lambda p, title: drawn.append(p) or original(p, title=title)
    )
    options = ["--layer", "conv1", "--filters", 2, 0, "--steps", 1, "--output", tmp_path]
    draws("filters", *options)
    (patterns,) = drawn
    assert patterns.shape == (2, 3, 20, 24)
    assert 0 <= patterns.min() < patterns.max() <= 1


def test_list_layers_draws_nothing(run, capsys, tmp_path):
    draws("heatmap", "--list_layers", "--output", tmp_path / "none")
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["features.conv1", "Conv2d", "3", "x", "18", "x", "22"]
               for line in lines)  # fmt: skip
    (default,) = [line for line in lines if line.endswith("(default)")]
    assert default.startswith("features.relu2")
    assert not (tmp_path / "none").exists()


def test_filters_begin_with_the_first_activation(run, capsys):
    draws("filters", "--list_layers")
    lines = capsys.readouterr().out.splitlines()
    default = [line.split()[0] for line in lines if line.endswith("(default)")]
    assert default == ["features.relu1", "features.conv2"]


def test_embedding_of_images(run, capsys):
    draws("embedding", "--part", "train")
    assert set(pngs(run / "visualize/embedding")) == {"train_pca.png"}
    assert "k-means with 2 clusters and the classes: adjusted Rand" in capsys.readouterr().out


@UNDRAWN
@pytest.mark.parametrize("kind", ["activations", "filters", "heatmap", "embedding"])
def test_a_trial_run_writes_nothing(run, tmp_path, monkeypatch, kind, capsys):
    draws(kind, "--trainer.fast_dev_run", "true", "--output", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = run.parents[2] / "pets.yaml"
    options = ["--data.path", str(run.parents[2] / "pets"), "--trainer.fast_dev_run", "true"]
    main(["visualize", kind, "--config", str(config), *options])
    assert "the weights are random" in capsys.readouterr().out
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["activations", "--layers", "conv3"], "unknown layer 'conv3'. Did you mean 'conv"),
        (["activations", "--layers", "dense1"], "gives rows of shape (5,)"),
        (["heatmap", "--layer", "features.conv9"], "Did you mean 'features.conv"),
        (["heatmap", "--class", "dog"], "unknown class 'dog'. Did you mean 'dogs'? Accepted: cats"),
        (["heatmap", "--class", "2"], "a number from 0 to 1"),
        (["filters", "--filters", "3", "--layer", "conv1"], "has 3 filters, 0 to 2; 3 is none"),
        (["filters", "--filters", "1", "--num_filters", "3"], "not both"),
        (["filters", "--steps", "-1"], "steps must be 0 or more"),
        (["activations", "--num_images", "0"], "num_images must be 1 or more"),
        (["embedding", "--num_rows", "2"], "num_rows must be 3 or more"),
        (
            ["embedding", "--method", "tnse"],
            "method must be pca or tsne; got 'tnse'. Did you mean 'tsne'",
        ),
        (["activations", "--image", "x.png"], "unknown option --image. Did you mean --images?"),
        (["activations", "--images", "pet"], "there is no image pet (looked from"),
        (["activations", "--images", "pets.yaml"], "pets.yaml cannot be read as an image"),
        (["activations", "--weights", "x.pth"], "--weights goes with --backbone"),
        (["heatmap", "--backbone", "vgg16", "--ckpt_path", "last"], "not both"),
        (["heatmap", "--output", "pets.yaml/x"], "cannot write pets.yaml/x"),
    ],
)
def test_mistakes_are_said_in_one_sentence(run, given, message, capsys):
    kind, *options = given
    found = fails(capsys, kind, "--config", "pets.yaml", *options)
    assert message in found


def test_without_a_run_nothing_is_drawn(run, tmp_path, monkeypatch, capsys):
    config = run.parents[2] / "pets.yaml"
    monkeypatch.chdir(tmp_path)
    assert "no run of 'pets' below ./runs" in fails(capsys, "heatmap", "--config", config)


def test_another_models_checkpoint_is_refused(run, capsys):
    message = fails(capsys, "filters", "--config", "pets.yaml", "--model.channels", "[3, 5]")
    assert "belongs to another model" in message


def test_what_to_draw_must_be_said(run, capsys):
    assert "needs --config NAME, --ckpt_path PATH or --backbone" in fails(capsys, "heatmap")
    assert "unknown kind 'heatmaps'. Did you mean 'heatmap'?" in fails(capsys, "heatmaps")


@pytest.mark.parametrize("kind", ["activations", "filters", "heatmap", "embedding"])
def test_help(kind, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["visualize", kind, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: dlp visualize {kind}" in text
    assert "--backbone" in text


# One of torchvision's --------------------------------------------------------------------------


def test_heatmaps_of_a_state_dict_with_its_classifier(squeezenet, capsys):
    backbone("heatmap", "--images", "new", "--class", 2, "--image_size", 32)
    folder = squeezenet / "runs/squeezenet1_1/visualize/heatmap"
    names = pngs(folder)
    assert len(names) == 4
    assert {name.partition("_")[0] for name in names} == {"000", "001"}
    assert all(name.partition("_")[2].startswith("2-0.") for name in names)
    assert all(size == (50, 40) for name, size in names.items() if "overlay" in name)


def test_the_network_computes_what_torchvisions_does(squeezenet):
    from dlp.commands.visualize.subjects import pretrained_network

    subject = pretrained_network("squeezenet1_1", "net.pth", 32, trial=False)
    model = torchvision.models.squeezenet1_1(num_classes=4).eval()
    model.load_state_dict(torch.load("net.pth", weights_only=True))
    image = torch.rand(3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = model(((image - mean[:, None, None]) / std[:, None, None])[None])
    assert torch.allclose(subject.outcome(image), expected.softmax(1)[0], atol=1e-6)
    assert [name for name, _ in subject.network.named_modules()] == [
        name for name, _ in model.named_modules()
    ]


def test_features_alone_have_activations_but_no_heatmap(squeezenet, capsys):
    options = ["--backbone", "squeezenet1_1", "--weights", "features.pth", "--images", "new/a"]
    main(["visualize", "activations", *options, "--layers", "features.0", "--image_size", "32"])
    folder = squeezenet / "runs/squeezenet1_1/visualize/activations"
    assert set(pngs(folder)) == {"000_features.0.png"}
    assert "hold no classifier" in fails(capsys, "heatmap", *options)


@UNDRAWN
def test_filters_need_no_images(squeezenet):
    backbone("filters", "--layer", "features.0", "--filters", 1, "--size", 16, "--steps", 1)
    assert set(pngs(squeezenet / "runs/squeezenet1_1/visualize/filters")) == {"features.0.png"}


@UNDRAWN
def test_equal_file_names_have_their_folders(squeezenet):
    for name in "ab":
        write_image(squeezenet / "same" / name / "x.png", ord(name))
    layer = ["--layers", "features.0", "--image_size", 32]
    backbone("activations", "--images", "same/a", "same/b/x.png", *layer)
    folder = squeezenet / "runs/squeezenet1_1/visualize/activations"
    assert set(pngs(folder)) == {"a_x_features.0.png", "b_x_features.0.png"}


@UNDRAWN
def test_a_backbone_on_the_data_of_a_recipe(run, tmp_path):
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "net.pth")
    given = ["--backbone", "squeezenet1_1", "--weights", tmp_path / "net.pth"]
    given += ["--data.image_size", 32, "--num_images", 1, "--output", tmp_path / "out"]
    draws("activations", *given, "--layers", "features.0")
    draws("embedding", "--part", "train", *given[:-4], *given[-2:])
    names = set(pngs(tmp_path / "out"))
    assert "train_pca.png" in names
    assert len(names) == 2


def test_weights_that_are_not_there_are_an_error_or_said_to_be_random(
    squeezenet, capsys, monkeypatch
):
    def fail(*arguments, **others):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    monkeypatch.setenv("TORCH_HOME", str(squeezenet / "torch"))
    given = ["filters", "--backbone", "squeezenet1_1", "--size", "16"]
    assert "cannot download" in fails(capsys, *given)
    assert "there is no file of weights" in fails(capsys, *given, "--weights", "gone.pth")
    assert "unknown weights 'DEFALT'" in fails(capsys, *given, "--weights", "DEFALT")
    assert "Did you mean 'squeezenet1_1'" in fails(capsys, "filters", "--backbone", "squeznet1_1")
    trial = ["--trainer.fast_dev_run", "true", "--layer", "features.0"]
    main(["visualize", *given, *trial])
    assert "they are random" in capsys.readouterr().out
    main(["visualize", *given, *trial, "--weights", "null"])
    assert "the weights of squeezenet1_1 are random: --weights null" in capsys.readouterr().out
    assert not (squeezenet / "runs").exists()


def test_a_backbone_alone_needs_images(squeezenet, capsys):
    given = ["--backbone", "squeezenet1_1", "--weights", "net.pth"]
    assert "give --images PATH" in fails(capsys, "heatmap", *given)
    assert "an embedding is of rows of data" in fails(capsys, "embedding", *given)
    message = fails(capsys, "heatmap", *given, "--imges", "new")
    assert "unknown option --imges. Did you mean --images?" in message


# Other data ------------------------------------------------------------------------------------


@UNDRAWN
def test_texts_have_an_embedding_and_no_heatmap(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [["good", "fine", "film"], ["bad", "poor", "film"]]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words[number % 2], 5)) for number in range(40)]
    pd.DataFrame({"text": texts, "label": [0, 1] * 20}).to_csv("texts.csv", index=False)
    (tmp_path / "texts.yaml").write_text(TEXT)
    main(["fit", "--config", "texts.yaml"])
    main(["visualize", "embedding", "--config", "texts.yaml"])
    assert set(pngs(tmp_path / "runs/texts/version_0/visualize/embedding")) == {"test_pca.png"}
    for kind in ("heatmap", "activations", "filters"):
        message = fails(capsys, kind, "--config", "texts.yaml")
        assert f"visualize {kind} draws images; a row of TextDataModule" in message


def test_values_are_coloured_by_value(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(40, 3))
    frame = pd.DataFrame(rows, columns=list("abc"))
    frame["y"] = rows.sum(1)
    frame.to_csv("table.csv", index=False)
    (tmp_path / "table.yaml").write_text(TABLE.replace("HEAD", "regression"))
    main(["fit", "--config", "table.yaml"])
    capsys.readouterr()
    main(["visualize", "embedding", "--config", "table.yaml", "--method", "tsne"])
    assert set(pngs(tmp_path / "runs/table/version_0/visualize/embedding")) == {"test_tsne.png"}
    assert "k-means" not in capsys.readouterr().out
