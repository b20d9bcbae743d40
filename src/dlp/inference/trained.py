"""Trained network from the arrays of a reader to probabilities or values."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from dlp.datamodules import Encoder
from dlp.errors import InputError, reading
from dlp.modules.heads import Head
from dlp.modules.serialization import build, imported_class, spec_in
from dlp.modules.weights import Checkpoint
from dlp.reader.rows import Spec
from dlp.reader.spec import ModelSpec


class InferenceModule(nn.Module):
    """Network between the arrays of a reader and the predictions of a head.

    Args:
        spec: Description of the model.
        network: Network that returns logits.
        head: Head of the network.
    """

    def __init__(self, spec: ModelSpec, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.spec = spec
        self.encode: nn.Module = encoder_of(spec.inputs).module(spec.inputs)
        self.network = network
        self.head = head
        self.temperature = spec.answer.temperature

    def forward(self, *arrays: Tensor) -> Tensor:
        """Return probabilities (N, C) or values (N, T)."""
        return self.predict(self.network(self.encode(*arrays)))

    def predict(self, logits: Tensor) -> Tensor:
        """Return the predictions of logits."""
        return self.head.predict(logits / self.temperature)

    @torch.no_grad()
    def run(self, arrays: list[Any]) -> Any:
        """Return the predictions of NumPy arrays; those of a table by one thread."""
        num_threads = torch.get_num_threads()
        if self.spec.inputs["kind"] == "table":  # a second thread takes longer to wait
            torch.set_num_threads(1)
        try:
            return self(*map(torch.from_numpy, arrays)).numpy()
        finally:
            torch.set_num_threads(num_threads)


def load(
    checkpoint: Checkpoint, network: nn.Module | None = None, head: Head | None = None
) -> InferenceModule:
    """Return the model in a checkpoint."""
    with reading(checkpoint.path, "a checkpoint"):
        spec = spec_in(checkpoint.content)
        with torch.device("meta"):  # no random numbers to overwrite
            network = copy.deepcopy(network) or build(spec.network, "network")
            head = copy.deepcopy(head) or build(spec.head, "head")
        model = nn.ModuleDict({"network": network, "head": head})
        own_names = model.state_dict().keys()
        weights = copy.copy(checkpoint.content["state_dict"])  # with the versions of its modules
        for name in list(weights):
            is_of_loss = name.startswith("head.loss_function.") and name not in own_names
            if is_of_loss or not name.startswith(("network.", "head.")):
                del weights[name]  # predictions do not need it
        model.load_state_dict(weights, assign=True)
        # Weights of --trainer.precision 64-true or bf16-true are so in the file.
        return InferenceModule(spec, network.float(), head.float()).eval()


def encoder_of(inputs: Spec) -> type[Encoder]:
    """Return the encoder that a spec names: one of dlp's, or one that the program has imported."""
    path = inputs["encoder"]
    encoder: type[Encoder] | None = imported_class(path, Encoder)
    if encoder is None:
        raise InputError(
            f"the rows are encoded by {path}, whose code a file cannot bring; import "
            f"{path.rpartition('.')[0]} first."
        )
    return encoder
