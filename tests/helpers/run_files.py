"""The files of a run as text, with their keys, columns and kinds of values."""

import json

import pandas as pd
import torch
import yaml

#: Keys of a checkpoint that Lightning writes.
LIGHTNING = {
    "callbacks",
    "datamodule_hparams_name",
    "datamodule_hyper_parameters",
    "epoch",
    "global_step",
    "hparams_name",
    "loops",
    "lr_schedulers",
    "optimizer_states",
    "pytorch-lightning_version",
    "state_dict",
}
KINDS = {
    str: "text",
    bool: "true or false",
    int: "number",
    float: "number",
    type(None): "null",
}


def describe(folder):
    """Return the files below a folder, with the content of those that dlp writes."""
    lines = []
    seen = {}
    for path in sorted(folder.rglob("*"), key=lambda each: each.as_posix()):
        if path.is_dir() or path.name == ".lock":
            continue
        name = path.relative_to(folder).as_posix()
        inside = tuple(contents(path))
        if inside in seen and inside:
            inside = [f"as in {seen[inside]}"]
        else:
            seen[inside] = name
        lines += [name, *(f"    {line}" for line in inside)]
    return "\n".join(lines)


def contents(path):
    """Return a line for each key or column of a file."""
    if path.suffix == ".csv":
        return list(pd.read_csv(path).columns)
    if path.suffix == ".json":
        return keys(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".jsonl":
        first, *_ = path.read_text(encoding="utf-8").splitlines()
        return keys(json.loads(first))
    if path.suffix == ".yaml":
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        config["trainer"] = "of Lightning"
        return keys(config)
    if path.suffix == ".ckpt":
        checkpoint = torch.load(path, weights_only=True)
        return keys({name: checkpoint[name] for name in checkpoint.keys() - LIGHTNING})
    return []


def keys(value, prefix=""):
    """Return a line ``key: kind`` for each value. The first item of a list shows its keys."""
    if isinstance(value, list | tuple) and value:
        return keys(value[0], f"{prefix}[]")
    if not isinstance(value, dict):
        return [f"{prefix}: {KINDS.get(type(value), type(value).__name__)}"]
    lines = []
    for name in sorted(value, key=str):
        lines += keys(value[name], f"{prefix}.{name}".strip("."))
    return lines or [f"{prefix}: no keys"]
