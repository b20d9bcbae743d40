import pytest
import torch
from torch import nn

from dlp.errors import InputError
from dlp.modules import Backbone
from dlp.modules.weights import load_weights, read_state_dict


def network(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))


def loaded(tensors, **arguments):
    with torch.device("meta"):
        target = network()
    load_weights(target, tensors, **arguments)
    return target.state_dict()


def test_a_state_dict_and_a_checkpoint_are_read_alike(tmp_path):
    state = network().state_dict()
    torch.save(state, tmp_path / "state.pth")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "run.ckpt")
    torch.save({"model": state, "epoch": 3}, tmp_path / "timm.pth")
    for name in ("state.pth", "run.ckpt", "timm.pth"):
        tensors = read_state_dict(tmp_path / name)
        assert all(torch.equal(tensors[key], state[key]) for key in state)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"PK\x03\x04 cut short", torch.zeros(2), {"epoch": 3}]
)
def test_a_file_of_something_else_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=r"weights.pth cannot be read|of another network") as error:
        Backbone("squeezenet1_1", path)
    assert "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)  # torch advises to run the file's code


@pytest.mark.parametrize("prefix", ["", "model.", "network.backbone.model."])
def test_names_below_a_prefix_are_taken(prefix):
    state = network().state_dict()
    tensors = {f"{prefix}{name}": value for name, value in state.items()}
    tensors |= {"head.weight": torch.zeros(2)} if prefix else {}
    assert all(torch.equal(value, state[name]) for name, value in loaded(tensors).items())


def test_half_precision_becomes_that_of_the_network_and_batches_need_no_count():
    state = {name: value.half() for name, value in network().state_dict().items()}
    del state["1.num_batches_tracked"]
    assert loaded(state)["0.weight"].dtype == torch.float32
    assert loaded(state)["1.num_batches_tracked"] == 0


def test_modules_of_the_file_alone_are_left_out_if_they_are_named():
    state = {**network().state_dict(), "fc.weight": torch.zeros(2)}
    assert "fc.weight" not in loaded(state, ignored=["fc"])
    for tensors, names in ((state, "fc.weight"), (network(5).state_dict(), "0.bias, 0.weight")):
        with pytest.raises(InputError, match=f"another network; see {names}"):
            loaded(tensors)


@pytest.mark.parametrize("content", [None, b"PK\x03\x04"])
def test_a_failed_download_names_the_file_and_its_place(tmp_path, monkeypatch, content):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    if content is not None:
        folder.mkdir(parents=True)
        (folder / "squeezenet1_1-b8a52dc0.pth").write_bytes(content)
    with pytest.raises(InputError, match=rf"^https://.*cannot be downloaded.*{folder}.*a complete"):
        Backbone("squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1")
