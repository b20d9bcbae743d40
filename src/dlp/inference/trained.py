"""Trained network from encoded rows to probabilities or values."""

import copy

import torch
from torch import Tensor, nn

from dlp.bag_of_words import BagOfWords
from dlp.errors import reading
from dlp.modules.heads import Head
from dlp.modules.serialization import build, spec_in
from dlp.modules.weights import Checkpoint
from dlp.reader.encoder import Array, Bags, Encoded
from dlp.reader.spec import ModelSpec


class InferenceModule(nn.Module):
    """Network with its head.

    Args:
        spec: Description of the model.
        network: Network that returns logits.
        head: Head of the network.
    """

    def __init__(self, spec: ModelSpec, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.spec = spec
        self.network = network
        self.head = head
        self.temperature = spec.answer.temperature

    def forward(self, inputs: Tensor | BagOfWords) -> Tensor:
        """Return probabilities (N, C) or values (N, T)."""
        return self.predict(self.network(inputs))

    def predict(self, logits: Tensor) -> Tensor:
        """Return the predictions of logits."""
        return self.head.predict(logits / self.temperature)

    @torch.no_grad()
    def run(self, encoded: Encoded) -> Array:
        """Return the predictions of encoded rows; of a table by one thread."""
        num_threads = torch.get_num_threads()
        is_table = self.spec.encoder.path.endswith(("TableEncoder", "FeatureEncoder"))
        if is_table:  # a second thread takes longer to wait
            torch.set_num_threads(1)
        try:
            predictions: Array = self(network_inputs(encoded)).numpy()
            return predictions
        finally:
            torch.set_num_threads(num_threads)


def network_inputs(encoded: Encoded) -> Tensor | BagOfWords:
    """Return encoded rows as tensors."""
    if isinstance(encoded, Bags):
        return BagOfWords(*map(torch.from_numpy, encoded))
    return torch.from_numpy(encoded)


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
