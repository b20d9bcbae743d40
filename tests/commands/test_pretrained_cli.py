"""Chapter 5.3 by the command line, in process, on small images of one's own."""

import csv
import json
import re
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
import yaml
from image_files import write_classes, write_image
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure

from dlp.cli import main
from dlp.commands.evaluate import test as evaluated_on_test
from dlp.commands.evaluate import validate
from dlp.commands.fit import fit
from dlp.commands.invocation import started
from dlp.datamodules import ImageFolderDataModule
from dlp.files import cache_dir
from dlp.modules import PretrainedModule
from dlp.modules.pretrained.weights import default_weights
from dlp.recipe import Recipe

pytestmark = pytest.mark.usefixtures("undrawn_figures")

NAME = "shufflenet_v2_x0_5"
RECIPE = f"""
# Two kinds of noise
data:
  class_path: ImageFolderDataModule
  init_args: {{path: pets, image_size: 32, val_size: 4, test_size: 0.2, batch_size: 4}}
model:
  class_path: PretrainedModule
  init_args:
    head: sigmoid
    backbone: {NAME}
    weights: DEFAULT
    hidden: [4]
    dropout: 0.5
    optimizer: {{class_path: torch.optim.Adam, init_args: {{lr: 0.01}}}}
trainer:
  max_epochs: 2
  accelerator: cpu
  enable_model_summary: false
  callbacks:
    - class_path: CacheFeatures
"""
#: Lightning restores what its CLI has built by a method that jsonargparse deprecates.
DEPRECATED = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DRY = ["--trainer.fast_dev_run", "true"]


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Let torchvision's weights be neither at hand nor downloadable; return where they would be."""

    def fail(*arguments, **others):
        raise URLError("no network here")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "urlopen", fail)
    folder = tmp_path / "torch/hub/checkpoints"
    return folder / Path(default_weights(NAME).url).name


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """Write the weights that are at hand in these tests once."""
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(trained(), path)
    return path


@pytest.fixture
def weights(offline, weights_file):
    """Put weights where torchvision keeps what it has downloaded, and return the file."""
    offline.parent.mkdir(parents=True)
    shutil.copy(weights_file, offline)
    return offline


def trained():
    """Return a state dict by which features differ from image to image, as trained ones do."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(NAME)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # by the statistics at the start features vanish
    with torch.no_grad():
        network(torch.randn(16, 3, 32, 32))
    return network.state_dict()


@pytest.fixture(scope="module")
def folder_of_pets(tmp_path_factory):
    """Write images of two classes and recipes for them once."""
    folder = tmp_path_factory.mktemp("pets")
    write_classes(folder / "pets", {"cats": 11, "dogs": 9}, size=(36, 40))
    (folder / "frozen.yaml").write_text(RECIPE)
    recipe = yaml.safe_load(RECIPE)
    recipe["model"]["init_args"] |= {"trainable_stages": 1}
    (folder / "finetune.yaml").write_text(yaml.safe_dump({**recipe, "init_from": "frozen"}))
    (folder / "tiny.yaml").write_text("model: {init_args: {hidden: [3]}}\n")
    (folder / "unit.yaml").write_text("model: {init_args: {scaling: unit}}\n")
    return folder


@pytest.fixture
def pets(folder_of_pets, tmp_path, monkeypatch, offline):
    """Work in a folder with images of two classes and recipes for them."""
    shutil.copytree(folder_of_pets, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def run_of_pets(folder_of_pets, weights_file, tmp_path_factory, one_pixel):
    """Fit the recipe ``frozen`` once, and return the folder with its ``runs``."""
    folder = tmp_path_factory.mktemp("frozen")
    shutil.copytree(folder_of_pets, folder, dirs_exist_ok=True)
    downloaded = folder / "torch/hub/checkpoints"
    downloaded.mkdir(parents=True)
    shutil.copy(weights_file, downloaded / Path(default_weights(NAME).url).name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TORCH_HOME", str(folder / "torch"))
        patch.setenv("DLP_CACHE_DIR", str(folder / "cache"))
        patch.setattr(Figure, "savefig", one_pixel)
        main(["fit", "--config", "frozen.yaml"])
    return folder


@pytest.fixture
def fitted(run_of_pets, pets):
    """Work in the folder of `pets` after ``dlp fit --config frozen.yaml``."""
    shutil.copytree(run_of_pets / "runs", pets / "runs")
    return pets


def fails(capsys, *args):
    """Run a command that must fail, and return its message."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(list(args))
    assert exit_.value.code == 2
    (message,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dlp: ")]
    return message


def tensors(path):
    return torch.load(path, weights_only=True)["state_dict"]


def history(run):
    return json.loads((run / "history.json").read_text())


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


# A run and what follows it -----------------------------------------------------------------------


def test_a_run_on_features_is_evaluated_on_images(pets, weights):
    main(["fit", "--config", "frozen.yaml", "--test_after_fit", "best"])
    run = pets / "runs/frozen/version_0"
    assert len(list((cache_dir() / "features").glob("*.pt"))) == 1
    results = json.loads((run / "results.json").read_text())
    validated = validate(*started("validate", ["--config", "frozen.yaml"]))
    for name in ("val_loss", "val_acc"):
        assert validated[name] == pytest.approx(results["best"][name], rel=1e-5)
    tested = evaluated_on_test(*started("test", ["--config", "frozen.yaml"]))
    assert tested["test_loss"] == pytest.approx(results["test"]["test_loss"], rel=1e-6)
    main(["fit", "--config", "frozen.yaml", "--trainer.callbacks", "null"])
    raw = history(pets / "runs/frozen/version_1")
    for name, values in history(run).items():
        assert values == pytest.approx(raw[name], rel=1e-4)


def test_the_backbone_has_the_weights_of_the_recipe(fitted, weights):
    found = tensors("runs/frozen/version_0/checkpoints/last.ckpt")
    for name, tensor in torch.load(weights).items():
        if not name.startswith("fc."):
            assert torch.equal(found[f"network.backbone.model.{name}"], tensor)


def test_a_checkpoint_needs_no_weights_to_be_tested_predicted_and_resumed(fitted, weights):
    run = fitted / "runs/frozen/version_0"
    shutil.copytree(run, fitted / "whole")
    weights.unlink()
    main(["test", "--config", "frozen.yaml"])
    main(["predict", "--config", "frozen.yaml"])
    main(["validate", "--ckpt_path", "runs/frozen/version_0"])
    main(["fit", "--config", "frozen.yaml", "--ckpt_path", "last", "--trainer.max_epochs", "3"])
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["weights"] == "DEFAULT"
    assert all(len(values) == 3 for values in history(run).values())
    torch.save(trained(), weights)
    main(["fit", "--config", "frozen.yaml", "--trainer.max_epochs", "3"])
    assert history(fitted / "runs/frozen/version_1") == history(run)
    last = [tensors(fitted / f"runs/frozen/version_{n}/checkpoints/last.ckpt") for n in (0, 1)]
    assert same(*last)


@DEPRECATED
def test_images_without_labels_are_predicted_by_path(pets, weights, capsys):
    main(["fit", "--config", "frozen.yaml", "--data.on_corrupt", "skip"])
    for number in (3, 1, 7, 5):
        write_image(pets / f"new/deep/{number}.png", number, (50, 20))
    (pets / "new/deep/4.png").write_bytes(b"no image")
    main(["predict", "--config", "frozen.yaml", "--data.predict_path", "new"])
    assert "new/deep/4.png" in capsys.readouterr().out
    text = (pets / "runs/frozen/version_0/predictions_new.csv").read_text()
    assert text.splitlines()[0] == "index,path,class,prob_cats,prob_dogs"
    rows = rows_of(pets / "runs/frozen/version_0/predictions_new.csv")
    assert [row["path"] for row in rows] == [f"new/deep/{number}.png" for number in (1, 3, 5, 7)]
    assert [row["index"] for row in rows] == ["0", "1", "3", "4"]  # the third cannot be read
    model = PretrainedModule.load_from_checkpoint(
        pets / "runs/frozen/version_0/checkpoints/best.ckpt"
    ).eval()
    for row in rows:
        data = ImageFolderDataModule("pets", image_size=32, predict_path=row["path"])
        (images, _), *_ = data.predict_dataloader()
        with torch.no_grad():
            expected = model.head.predict(model(images))[0]
        assert float(row["prob_dogs"]) == pytest.approx(expected[1].item(), abs=1e-4)
        assert row["class"] == ("cats", "dogs")[int(expected.argmax())]


def test_the_test_part_is_predicted_by_path(fitted, weights):
    main(["predict", "--config", "frozen.yaml", "--output", "out.csv"])
    rows = rows_of(fitted / "out.csv")
    data = ImageFolderDataModule("pets", image_size=32, val_size=4, test_size=0.2)
    assert [row["path"] for row in rows] == list(data.examples("test").names)


@DEPRECATED
def test_the_checkpoint_loads_in_python(fitted, weights):
    weights.unlink()
    path = fitted / "runs/frozen/version_0/checkpoints/best.ckpt"
    assert torch.load(path, weights_only=True)["hyper_parameters"]["weights"] is None
    model = PretrainedModule.load_from_checkpoint(path)
    assert same(model.state_dict(), tensors(path))


# Without weights ---------------------------------------------------------------------------------


def test_a_fit_without_network_says_where_the_weights_belong(pets, offline, capsys):
    message = fails(capsys, "fit", "--config", "frozen.yaml")
    assert "cannot download https://" in message
    assert "no network here" in message
    assert str(offline) in message
    assert not (pets / "runs").exists()


def test_a_search_without_network_says_it_once_before_any_trial(pets, offline, capsys):
    Path("space.yaml").write_text("model.dropout: {low: 0.0, high: 0.5}")
    with pytest.raises(SystemExit):
        main(["tune", "--config", "frozen.yaml", "--space", "space.yaml", "--trials", "4"])
    said = "".join(capsys.readouterr())
    assert said.count("cannot download https://") == 1
    assert not (pets / "runs").exists()


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_a_trial_run_without_weights_takes_random_ones_and_says_so(pets, command, capsys):
    main([command, "--config", "frozen.yaml", *DRY])
    said = [line for line in capsys.readouterr().out.splitlines() if "are random" in line]
    assert f"fast_dev_run without the weights DEFAULT of {NAME}: they are random" in said
    assert not (pets / "runs").exists()
    assert not cache_dir().exists() or not list(cache_dir().iterdir())


def test_a_trial_run_takes_the_weights_that_are_there(pets, weights, capsys):
    trained = fit(*started("fit", ["--config", "frozen.yaml", *DRY]))
    assert "random" not in capsys.readouterr().out
    found = trained.model.state_dict()["network.backbone.model.conv1.0.weight"]
    assert torch.equal(found, torch.load(weights)["conv1.0.weight"])


def test_a_trial_run_without_the_file_of_weights(pets, capsys):
    main(["fit", "--config", "frozen.yaml", "--model.weights", "own.pt", *DRY])
    assert "without the weights own.pt" in capsys.readouterr().out


@pytest.mark.parametrize("dry", [[], DRY])
def test_misspelt_names_are_said(pets, dry, capsys):
    given = ["fit", "--config", "frozen.yaml", *dry]
    message = fails(capsys, *given, "--model.backbone", "shuflenet_v2_x0_5")
    assert "Did you mean 'shufflenet_v2_x0_5'?" in message
    message = fails(capsys, *given, "--model.weights", "DEFALT")
    assert "unknown weights 'DEFALT'" in message
    assert "Did you mean 'DEFAULT'?" in message
    assert not (pets / "runs").exists()


def test_weights_of_a_file_by_the_command_line(pets, weights):
    shutil.move(weights, pets / "own.pt")
    given = ["--config", "frozen.yaml", "--trainer.max_epochs", "1"]
    main(["fit", *given, "--model.weights", "own.pt"])
    found = tensors("runs/frozen/version_0/checkpoints/last.ckpt")
    assert torch.equal(
        found["network.backbone.model.conv1.0.weight"], torch.load("own.pt")["conv1.0.weight"]
    )
    (pets / "own.pt").unlink()
    main(["test", "--config", "frozen.yaml"])


# Another run's weights ---------------------------------------------------------------------------


class Start(Callback):
    """Remembers what a fit starts from."""

    def on_train_start(self, trainer, pl_module):
        self.state = {name: value.clone() for name, value in pl_module.state_dict().items()}
        self.epoch, self.steps = trainer.current_epoch, trainer.global_step
        self.moments = len(trainer.optimizers[0].state)


@pytest.fixture
def start(monkeypatch):
    """Give every CLI a callback that remembers what its fit starts from."""
    watch = Start()
    original = Recipe.trainer

    def with_watch(self, *args, **kwargs):
        trainer = original(self, *args, **kwargs)
        trainer.callbacks.append(watch)
        return trainer

    monkeypatch.setattr(Recipe, "trainer", with_watch)
    return watch


def test_fine_tuning_in_two_recipes(fitted, weights, start, capsys):
    weights.unlink()  # the run that is started from has them
    main(["fit", "--config", "finetune.yaml"])
    best = "runs/frozen/version_0/checkpoints/best.ckpt"
    assert f"starting from the weights of {best}" in capsys.readouterr().out
    assert same(start.state, tensors(best))
    assert (start.epoch, start.steps, start.moments) == (0, 0, 0)
    run = fitted / "runs/finetune/version_0"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["init_from"] == best
    assert config["model"]["init_args"]["weights"] == "DEFAULT"
    before, after = tensors(best), tensors(run / "checkpoints/last.ckpt")
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert {name for name in moved if ".backbone." in name} == {
        name for name in after if ".backbone.model.conv5." in name
    }
    main(["test", "--config", "finetune.yaml"])
    assert "test" in json.loads((run / "results.json").read_text())


def test_a_resumed_run_goes_on_from_its_own_weights(fitted, weights, start):
    main(["fit", "--config", "finetune.yaml"])
    shutil.rmtree(fitted / "runs/frozen")
    last = tensors("runs/finetune/version_0/checkpoints/last.ckpt")
    again = ["--ckpt_path", "last", "--trainer.max_epochs", "3"]
    main(["fit", "--config", "finetune.yaml", *again])
    assert same(start.state, last)
    assert start.epoch == 2
    assert start.moments > 0


def test_the_newest_run_with_the_same_variations_is_started_from(fitted, weights, start):
    one = ["--trainer.max_epochs", "1"]
    main(["fit", "--config", "frozen.yaml", "--config", "tiny.yaml", *one])
    main(["fit", "--config", "frozen.yaml", "--seed_everything", "1", *one])
    main(["fit", "--config", "finetune.yaml", "--config", "tiny.yaml", *one])
    assert same(start.state, tensors("runs/frozen+tiny/version_0/checkpoints/best.ckpt"))
    main(["fit", "--config", "finetune.yaml", *one])
    assert same(start.state, tensors("runs/frozen/version_1/checkpoints/best.ckpt"))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("runs/frozen/version_0", "version_0/checkpoints/best"),
        ("runs/frozen/version_0/checkpoints/last.ckpt", "version_0/checkpoints/last"),
        ("frozen", "version_1/checkpoints/best"),
        ("frozen.yaml", "version_1/checkpoints/best"),
    ],
)
def test_what_may_be_started_from(given, found, fitted, weights, start):
    shutil.copytree(fitted / "runs/frozen/version_0", fitted / "runs/frozen/version_1")
    for path in (fitted / "runs/frozen").glob("*/checkpoints/*.ckpt"):
        content = torch.load(path, weights_only=True)  # another number in every file
        content["state_dict"]["network.classifier.output.bias"].fill_(sum(map(ord, str(path))))
        torch.save(content, path)
    main(["fit", "--config", "finetune.yaml", "--init_from", given, "--trainer.max_epochs", "1"])
    assert same(start.state, tensors(f"runs/frozen/{found}.ckpt"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "frozen.yaml",
            "no run of 'frozen' below ./runs: train one by dlp fit --config frozen.yaml",
        ),
        ("cats_dogs_frozen", "train one by dlp fit --config cats_dogs_frozen, or give the path"),
        ("cats_dogs_frozen+mobilenet", "--config cats_dogs_frozen --config mobilenet, or give"),
        ("cats_dogs_frosen", "Did you mean 'cats_dogs_frozen'?"),
        ("own", "no run of 'own' below ./runs"),
        ("gone.ckpt", "there is no checkpoint gone.ckpt"),
        ("pets", "the folder pets holds no checkpoints/best.ckpt"),
        ("pets/cats/000.png", "cannot be read as a checkpoint"),
    ],
)
def test_what_is_not_there_is_said_before_training(given, message, pets, capsys):
    found = fails(capsys, "fit", "--config", "finetune.yaml", "--init_from", given)
    assert message in found
    assert not list(pets.glob("runs/*/*"))


def test_weights_of_another_model_are_refused_before_training(fitted, weights, capsys):
    given = ["fit", "--config", "finetune.yaml"]
    message = fails(capsys, *given, "--model.hidden", "[5]")
    assert "the checkpoint belongs to another model" in message
    message = fails(capsys, *given, "--model.backbone", "shufflenet_v2_x1_0")
    assert f"has backbone: {NAME}, and this one has backbone: shufflenet_v2_x1_0" in message
    message = fails(capsys, *given, "--config", "unit.yaml")
    assert "has scaling: weights, and this one has scaling: unit" in message
    (fitted / "pets/dogs").rename(fitted / "pets/eels")
    message = fails(capsys, *given)
    assert re.search(r"was trained on the classes cats, dogs; the data has cats, eels", message)
    assert not list(fitted.glob("runs/finetune*/*"))


def test_a_trial_run_of_the_second_recipe(pets, run_of_pets, weights, capsys, start):
    main(["fit", "--config", "finetune.yaml", *DRY])
    assert "fast_dev_run without a run of frozen" in capsys.readouterr().out
    misspelt = ["--init_from", "cats_dogs_frosen"]
    assert "Did you mean" in fails(capsys, "fit", "--config", "finetune.yaml", *misspelt, *DRY)
    shutil.copytree(run_of_pets / "runs", pets / "runs")
    main(["fit", "--config", "finetune.yaml", *DRY])
    assert same(start.state, tensors("runs/frozen/version_0/checkpoints/best.ckpt"))
    assert not (pets / "runs/finetune").exists()


def test_fine_tuning_in_one_run(pets, weights, capsys):
    (pets / "unfreeze.yaml").write_text(
        "trainer:\n"
        "  callbacks+:\n"
        "    - {class_path: Unfreeze, init_args: {at_epoch: 2, stages: 1}}\n"
    )
    both = ["--config", "frozen.yaml", "--config", "unfreeze.yaml"]
    main(["fit", *both, "--trainer.max_epochs", "3"])
    assert f"epoch 2: conv5 of {NAME} trained from now on" in capsys.readouterr().out
    run = pets / "runs/frozen+unfreeze/version_0"
    kinds = yaml.safe_load((run / "config.yaml").read_text())["trainer"]["callbacks"]
    assert [kind["class_path"].rpartition(".")[2] for kind in kinds] == [
        "CacheFeatures",
        "Unfreeze",
    ]
    main(["fit", *both, "--trainer.max_epochs", "1"])
    resumed = ["--ckpt_path", "last", "--trainer.max_epochs", "3"]
    main(["fit", *both, *resumed])
    whole, resumed = (
        tensors(f"runs/frozen+unfreeze/version_{n}/checkpoints/last.ckpt") for n in (0, 1)
    )
    assert same(resumed, whole)
    start = torch.load(weights)["conv5.0.weight"]
    assert not torch.equal(whole["network.backbone.model.conv5.0.weight"], start)


def test_k_fold_of_two_commands_shares_the_features(pets, weights):
    for fold in (0, 1):
        main(
            [
                *("fit", "--config", "frozen.yaml", "--data.val_size", "null"),
                *("--data.num_folds", "2", "--data.fold", str(fold)),
            ]
        )
    assert len(list((cache_dir() / "features").glob("*.pt"))) == 1
    losses = [history(pets / f"runs/frozen/version_{n}")["val_loss"] for n in (0, 1)]
    assert not np.allclose(*losses)
