"""Command ``init``: a commented config for people's own table, texts or images."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import mode
from typing import Any

import yaml

import dlp.datamodules
from dlp.console import muted, say
from dlp.datamodules.describe import describe_inputs
from dlp.datamodules.tables.files import read_table
from dlp.errors import InputError
from dlp.files import write_text
from dlp.lightning_cli.configs import config_folder

_ADVICE = re.compile(r"(?:(\w+): )?(\{.*?\}+|(?<=: )(?:\[.*?\]|true|null|skip|classification))")
_FLOW: dict[str, Any] = {"default_flow_style": True, "allow_unicode": True, "width": 10**6}
Column = str | None
Columns = list[str] | str | None


def init(
    path: Path, target: Columns = None, text_column: Column = None, image_column: Column = None
) -> None:
    """Write a commented config for a file or folder; what would be refused is settled in it.

    Args:
        path: Table, or folder with a folder of images or of .txt files per class.
        target: Column of the table to predict, or several as one word, [a,b].
        text_column: Column of the table with texts, if they are the inputs.
        image_column: Column of the table with paths of images, if they are the inputs.
    """
    file = Path(f"{path.resolve().name.split('.')[0]}.yaml")
    if file.exists():
        raise InputError(f"{file} exists and is not overwritten; move it.")
    if target is None and not path.is_dir():
        args, _ = _settle(lambda args: read_table(path, **args), {})
        say(describe_inputs(read_table(path, **args)))
        raise InputError(
            "give --target, the column to predict; if the inputs are texts or images also "
            "--text_column or --image_column."
        )
    is_text = text_column or mode([p.suffix for p in path.rglob("*.*")] or [""]) == ".txt"
    kind = "texts" if is_text else "images" if image_column or path.is_dir() else "table"
    template = (config_folder() / f"own/{kind}.yaml").read_text("utf-8")
    data = yaml.safe_load(template)["data"]
    make = getattr(dlp.datamodules, data["class_path"])
    names: dict[str, Any] = {
        "path": str(path),
        "text_column": text_column,
        "image_column": image_column,
    }
    names["label_column" if is_text else "target"] = target
    args = data["init_args"] | {key: name for key, name in names.items() if name}
    args, reasons = _settle(lambda args: make(**args).fit(), args)
    module = make(**args)
    say(module.describe())
    args["task"] = args["head"] = module.targets.task
    head = "sigmoid" if module.num_outputs == 2 else "softmax"
    if module.targets.task != "multilabel":
        args |= {"head": head} if module.class_names else {"loss": "mae"}
    lines = []
    for line in template.replace(f"--config {kind}", f"--config {file}").splitlines():
        indent, key, comment = re.findall(r"^(#? *)(?:# )?(\w*)(?:: [^#]*)?(.*)", line)[0]
        pair = yaml.safe_dump({key: args.get(key)}, **_FLOW)[1:-2]
        for reason in (reason for reason, name in reasons.items() if name == key):
            say(f"\nrefused: {reason}\nsettled by {pair}")
            lines += [f"{indent}# {part}" for part in textwrap.wrap(reason, 90)]
        lines.append(f"{indent + pair:33} {comment}".rstrip() if key in args else line)
    write_text(file, "\n".join(lines) + "\n")
    say(f"\nwrote {file}. Read it, then: dlp fit --config {file}")


def _settle(load: Callable[..., Any], args: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """Load with the fewest arguments that the sentences of refusals advise.

    Braces alone belong to read_csv. Return the arguments, and sentence -> its argument.
    """
    ways: list[Any] = [(args, {})]
    for args, reasons in ways:  # grows
        try:
            with muted(True):
                load(args)
            return args, reasons
        except InputError as error:
            sentence = str(error)
        # Cells with digits may be numbers in another notation, which a person decides.
        is_open = re.search(r"na_values: .*\[[^\]]*\d", sentence)
        advice = [] if is_open else _ADVICE.findall(sentence)
        for key, value in [pair for pair in advice if pair[0] != "drop_columns"] or advice:
            merged = _merge(args, {key or "read_csv": yaml.safe_load(value)})
            if merged != args:
                ways.append((merged, {**reasons, sentence: key or "read_csv"}))
    raise InputError(" Then: ".join([*[*reasons][:1], sentence]))


def _merge(old: Any, new: Any) -> Any:
    if isinstance(old, dict):
        return old | {key: _merge(old.get(key), value) for key, value in new.items()}
    return [*dict.fromkeys([*old, *new])] if isinstance(old, list) else new
