"""Command ``init``: write a commented config for your own table, texts or images."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import median, mode
from typing import Any, NamedTuple, cast

import pandas as pd
import yaml

import dlp.datamodules
from dlp.callbacks.mistakes import RARE
from dlp.configs import config_folder
from dlp.console import command_text, muted, say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.encodings import settle_encoding
from dlp.datamodules.tables.conversion import convert_columns
from dlp.datamodules.tables.files import is_csv, read_table
from dlp.datamodules.tables.kinds import check_inputs
from dlp.datamodules.tables.rows import TableRows
from dlp.datamodules.text.corpus import Texts
from dlp.errors import InputError, inline
from dlp.files import write_text
from dlp.modules.pretrained import Backbone
from dlp.reader.files import CSVArguments

_MIN_ROWS = 50
_WIDE_RANGE = 100
_BINS_OF_CLASSES = 8
#: In classification, tables with fewer rows than this are overfitted after a few epochs.
_FEW_ROWS_OF_CLASSES = 3000
_SHORT_TRAINING = {
    "bins": 0,
    "max_epochs": 15,
    "callbacks": [],
    "scheduler": {"class_path": "CosineAnnealingLR", "init_args": {"T_max": 15}},
}
_FEW_ROWS = (
    f"a test part would have fewer than {_MIN_ROWS // 5} rows per class or target; "
    "cross-validation evaluates the model on every row instead."
)
#: Line of a template, with groups for the indent, the key of an argument and its comment.
_LINE = re.compile(r"(#? *)(?:# )?(\w*)(?:: [^#]*)?(.*)")
#: Arguments of a DataModule or of a reader.
Arguments = dict[str, Any]
Column = str | None
#: Number of training rows, followed by the shape of the inputs.
Size = tuple[int, ...]


class Settled(NamedTuple):
    """Arguments of a DataModule or reader, and the errors that some of them resolve.

    Args:
        args: Arguments by name.
        reasons: Message of each resolved error -> names of the arguments that resolve it.
    """

    args: Arguments
    reasons: dict[str, list[str]]


def init(
    path: Path,
    target: list[str] | str | None = None,
    text_column: Column = None,
    image_column: Column = None,
    weights: str | None = None,
    read_csv: CSVArguments | None = None,
    positive_class: str | None = None,
    output: Path | None = None,
) -> None:
    """Write a commented config for your own table, texts or images.

    The command reads your file or folder, decides what each column contains, and writes a config
    that ``dlp fit`` accepts. If a file or column cannot be read with the defaults, the config
    contains the argument that solves the problem, and a comment that explains it. Without `target`,
    the command writes nothing and only describes the columns of the table. Read the config before
    you run the next command, which is printed.

    Args:
        path: Table, or folder that contains one folder of images or of .txt files per class.
        target: Column of the table to predict. Several columns are given as one word, [a,b].
        text_column: Column of the table that contains the texts, if the inputs are texts.
        image_column: Column of the table that contains the paths of the images, if the inputs are
            images.
        weights: File with the weights of the pretrained network for images. null downloads them.
        read_csv: Arguments of ``pandas.read_csv``, such as those that an error message names. If
            the file is not encoded in UTF-8, the command finds the encoding and writes it to the
            config.
        positive_class: With two classes, the class to find. None means the rarer one.
        output: File to which the config is written. None means the name of the table or folder,
            with the ending .yaml, in the working directory.
    """
    targets = [target] if isinstance(target, str) else target or []
    names = [name for name in (*targets, text_column, image_column) if name]
    start = _with_encoding(path, {"read_csv": read_csv}, names)
    if target is None and not path.is_dir():
        _describe(path, start)
        return
    file = output or Path(f"{path.resolve().name.split('.')[0]}.yaml")
    if file.exists():
        raise InputError(f"{file} exists and will not be overwritten. Move it, or give --output.")
    kind = _kind(path, text_column, image_column)
    if kind == "images" and not _has_weights(weights):
        kind = "images_from_scratch"
    template = _template(kind)
    data = yaml.safe_load(template)["data"]
    make = getattr(dlp.datamodules, data["class_path"])
    target_name = "label_column" if kind == "texts" else "target"
    typed: Arguments = {"text_column": text_column, "image_column": image_column}
    typed |= {target_name: target, "positive_class": positive_class, **start.args}
    args = {**data["init_args"], "path": str(path)}
    args |= {name: value for name, value in typed.items() if value}

    def load(args: Arguments) -> Size:
        module = make(**args)
        shape = module.input_shape
        return len(module.labelled.parts["train"]), *shape

    settled = resolve_refusals(load, start._replace(args=args))
    module = make(**settled.args)
    say(module.labelled.describe())
    arguments = settled.args | _training(module, kind, positive_class)
    if weights is not None:
        arguments["weights"] = weights
    command = f"dlp {command_text('fit', '--config', file)}"
    parts = module.labelled.parts
    if len(parts) == 1 and len(parts["train"]) < _MIN_ROWS * module.num_outputs:
        command = f"dlp {command_text('crossval', '--config', file, '--num_folds', 5)}"
        arguments |= {"test_size": None, "test_after_fit": None}
        settled.reasons[_FEW_ROWS] = ["test_size"]
    template = template.replace(f"dlp fit --config {kind}", command)
    template = template.replace(f"--config {kind}", command_text("--config", file))
    _say_reasons(arguments, settled.reasons)
    write_text(file, "\n".join(_fill(template, arguments, settled.reasons)) + "\n")
    say(f"\nwrote {file}. Read it, then: {command}")


def _describe(path: Path, start: Settled) -> None:
    """Print the columns of a table, so that the user can choose the target among them."""
    settled = resolve_refusals(lambda args: _inputs(path, args).shape, start)
    say(TableRows(_inputs(path, settled.args).drop(columns=_others(settled.args))).describe())
    _say_reasons(settled.args, settled.reasons)
    say(
        "\nrun the command again with --target, the column to predict. If the inputs are texts or "
        "images, also give --text_column or --image_column"
    )


def _inputs(path: Path, args: Arguments) -> pd.DataFrame:
    """Read a table.

    Raises:
        InputError: If a column cannot be an input, and no argument says how to treat it.
    """
    options = args["read_csv"]
    frame = read_table(path, options)
    settled = [*_others(args), *args.get("categorical_columns", ())]
    columns = [name for name in map(str, frame) if name not in settled]
    frame = convert_columns(frame, options or {}, str(path), columns)
    texts = frame.columns[frame.dtypes == "str"]
    check_inputs(frame[columns], texts, options or {})
    return frame


def _others(args: Arguments) -> list[str]:
    """Return the columns that the arguments declare as ids or as texts, or drop."""
    columns = [*args.get("text_columns", ()), *args.get("drop_columns", ())]
    if "id_column" in args:
        columns.append(args["id_column"])
    return columns


def _with_encoding(path: Path, args: Arguments, names: list[str]) -> Settled:
    """Add the encoding of a CSV that is not in UTF-8: one in which the CSV contains all names."""
    is_given = "encoding" in (args["read_csv"] or {})
    if is_given or not path.is_file() or not is_csv(path):
        return Settled(args, {})
    refusal = settle_encoding(path, names)
    if refusal is None:
        return Settled(args, {})
    if not refusal.fixes:
        raise refusal
    [fix] = refusal.fixes
    return Settled(_merge(args, fix), {str(refusal): ["read_csv"]})


def _training(module: SupervisedDataModule, kind: str, positive_class: str | None) -> Arguments:
    """Choose arguments that suit the rows and targets of the training part."""
    task = module.targets.task
    train = module.labelled.parts["train"]
    arguments: Arguments = {"task": task, "head": task}
    # The lengths of the texts, in words and pairs of words.
    if kind == "texts" and median(cast(Texts, train.inputs).tokens()[1]) < 200:
        arguments["char_ngrams"] = 4  # longer ones cost time and gain nothing
    if task == "regression":
        arguments["loss"] = "mae"
        least = _WIDE_RANGE * train.labels.min(axis=0)
        is_wide = (least > 0) & (train.labels.max(axis=0) > least)
        if kind == "table" and is_wide.all():
            say("\nthe largest target is over 100 times the smallest, so the logarithm is learned")
            arguments["target_transform"] = "log"
    elif task == "classification":
        shares = pd.Series(module.class_frequencies, module.class_names)
        arguments |= {"head": "softmax", "bins": _BINS_OF_CLASSES}
        metrics = ["acc", "recall"]
        if len(shares) == 2:
            found = positive_class or str(shares.idxmin())
            say(f"\nthe class to find is {found}; choose the other one with --positive_class")
            arguments |= {"head": "sigmoid", "positive_class": found}
            metrics = ["acc", "auroc"]
        if shares.min() < RARE / len(shares):
            arguments["metrics"] = metrics
        if kind == "table" and len(train) < _FEW_ROWS_OF_CLASSES:
            arguments |= _SHORT_TRAINING
    return arguments


def _kind(path: Path, text_column: Column, image_column: Column) -> str:
    """Return the kind of the inputs, which is the name of the template."""
    suffixes = [file.suffix for file in path.rglob("*.*")]
    if text_column or (suffixes and mode(suffixes) == ".txt"):
        return "texts"
    if image_column or path.is_dir():
        return "images"
    return "table"


def _template(kind: str) -> str:
    """Return the text of the template for a kind of inputs."""
    return (config_folder() / f"own/{kind}.yaml").read_text("utf-8")


def _has_weights(weights: str | None) -> bool:
    """Return True if pretrained weights for images can be loaded.

    Args:
        weights: File with the weights. None means the published weights, which are downloaded.
    """
    arguments = yaml.safe_load(_template("images"))["model"]["init_args"]
    try:
        Backbone(arguments["backbone"], weights or arguments["weights"])
    except InputError as error:
        if weights is not None:
            raise
        say(f"{error} Without --weights PATH, the config trains a convnet from scratch.")
        return False
    return True


def _say_reasons(arguments: Arguments, reasons: dict[str, list[str]]) -> None:
    """Print the errors, and then the arguments that resolve all of them."""
    if not reasons:
        return
    names = []
    for reason, settled in reasons.items():
        say(f"\n{reason}")
        names += settled
    say("\nresolved by")
    for name in dict.fromkeys(names):
        say(f"  {inline({name: arguments[name]})}")


def _fill(template: str, arguments: Arguments, reasons: dict[str, list[str]]) -> list[str]:
    """Return the lines of a template with the arguments, below comments with resolved errors."""
    lines = []
    for line in template.splitlines():
        match = _LINE.match(line)
        assert match is not None
        indent, key, comment = match.groups()
        if key not in arguments:
            lines.append(line)
            continue
        pair = inline({key: arguments[key]})
        for reason, names in reasons.items():
            if names[0] == key:
                lines += [f"{indent}# {part}" for part in textwrap.wrap(reason, 90)]
        lines.append(f"{indent + pair:33} {comment}".rstrip())
    return lines


def resolve_refusals(load: Callable[[Arguments], Size], start: Settled) -> Settled:
    """Find the fewest additional arguments with which the data can be loaded.

    If loading raises an `InputError`, the fixes that the error contains are tried, in a
    breadth-first search. If several combinations with the same number of fixes succeed, the one
    that keeps the most rows is returned and, among these, the one with the widest inputs.

    Args:
        load: Function that loads the data with some arguments. It returns the number of training
            rows, followed by the shape of the inputs.
        start: Arguments to begin with, and the errors that they resolve.

    Raises:
        InputError: If no combination of fixes succeeds. The message contains the first error, and
            the error that remains after its fixes.
    """
    level = [start]
    tried = [start.args]
    while True:
        loaded: dict[Size, Settled] = {}
        ends = []
        following = []
        for attempt in level:
            try:
                with muted(True):
                    loaded.setdefault(load(attempt.args), attempt)
            except InputError as refusal:
                first = list(attempt.reasons)[:1]
                ends.append(" Then: ".join([*first, str(refusal)]))
                following += _fixed(attempt, refusal, tried)
        if loaded:
            return loaded[max(loaded)]
        if not following:
            raise InputError(ends[0])
        level = following


def _fixed(attempt: Settled, refusal: InputError, tried: list[Arguments]) -> list[Settled]:
    """Return one attempt per untried fix of the error, and add the arguments to `tried`."""
    fixed = []
    for fix in refusal.fixes:
        args = _merge(attempt.args, fix)
        if args not in tried:
            tried.append(args)
            reasons = {**attempt.reasons, str(refusal): list(fix)}
            fixed.append(Settled(args, reasons))
    return fixed


def _merge(old: Arguments, new: Arguments) -> Arguments:
    """Return old arguments, overridden by new ones. Dictionaries and lists are merged."""
    merged = dict(old)
    for name, value in new.items():
        before = old.get(name)
        if isinstance(before, dict):
            value = _merge(before, value)
        elif isinstance(before, list):
            value = list(dict.fromkeys(before + value))
        merged[name] = value
    return merged
