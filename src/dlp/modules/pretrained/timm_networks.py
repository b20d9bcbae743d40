"""Networks from timm as chains of stages. timm's ``feature_info`` says where stages end."""

from functools import partial
from typing import Any

import torch
from torch import nn

from dlp.errors import check_choice, extra, reading
from dlp.modules.pretrained.staged import StagedNetwork

with extra("timm"):
    import timm


def timm_network(name: str, weights: str | None) -> StagedNetwork:
    """Return a network from timm.

    Args:
        name: Name of the network in timm, without a tag.
        weights: Tag of published weights, or ``DEFAULT``, which are loaded. With None or any other
            text the network has random weights.
    """
    check_choice("backbone", name, timm.list_models())
    default: Any = timm.get_pretrained_cfg(name)
    scalings = {"DEFAULT": (default.mean, default.std)}
    published = timm.models.get_arch_pretrained_cfgs(name)
    for full_name, config in published.items():
        scalings[full_name.partition(".")[2]] = (config.mean, config.std)
    full_name = f"{name}.{weights}"
    with reading(full_name, "weights from timm (the path of a file is also accepted)"):
        network: Any = timm.create_model(
            full_name if full_name in published else name,
            pretrained=weights in scalings,
        )
    network.reset_classifier(0)
    with torch.device("meta"):  # only the order of the modules is needed
        stages = _stages(timm.create_model(name).eval())
    return StagedNetwork(network, stages, scalings)


def _stages(network: Any) -> dict[str, list[str]]:
    """Return the names of the modules in each stage.

    The modules are those that ``forward_features`` calls one after another, and a stage ends where
    ``feature_info`` has an entry. A network that computes something between its modules, such as a
    vision transformer, is a single stage.
    """
    ends = [stage["module"] for stage in network.feature_info]
    containers = {end.rpartition(".")[0] for end in ends} | {""}
    values: Any = [torch.zeros(1, *network.pretrained_cfg["input_size"])]
    stages = {}
    steps: list[str] = []

    def record(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        values.append(output if inputs[0] is values[-1] else None)
        steps.append(name)
        if name in ends:
            stages[name] = list(steps)
            steps.clear()

    for name, module in network.named_modules():
        if name not in containers and name.rpartition(".")[0] in containers:
            module.register_forward_hook(partial(record, name))
    features = network.forward_features(values[0])
    if values[-1] is not features or features.shape[1] != network.num_features:
        return {"network": [""]}
    stages[list(stages)[-1]] += steps
    return stages
