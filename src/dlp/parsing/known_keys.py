"""Keys are checked before anything is parsed, against the signatures of the classes they are for.

A misspelt key, a key of another project's habit, a class that is not there: each is answered with
the next step, which is a key or an option that is accepted here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from dlp.config_files import read_config
from dlp.errors import InputError
from dlp.named_configs import find_config, recipes, variations
from dlp.parsing.signatures import Place, argument, find_class, own_arguments, takes_anything
from dlp.parsing.typed_words import read_words

#: What others call it -> what it may be called here, the first one that is accepted.
KEY_HABITS: dict[str, tuple[str, ...]] = {
    "accuracy": ("model.metrics",),
    "backbone_name": ("model.backbone",),
    "batch": ("data.batch_size",),
    "bs": ("data.batch_size",),
    "checkpoint": ("ckpt_path",),
    "ckpt": ("ckpt_path",),
    "csv": ("data.path",),
    "cv": ("num_folds", "data.num_folds"),
    "dataset": ("data",),
    "device": ("trainer.accelerator",),
    "drop_rate": ("model.dropout",),
    "early_stopping": ("trainer.callbacks",),
    "epoch": ("trainer.max_epochs",),
    "epochs": ("trainer.max_epochs",),
    "file": ("data.path",),
    "folds": ("num_folds", "data.num_folds"),
    "gpu": ("trainer.accelerator",),
    "gpus": ("trainer.devices",),
    "hidden_size": ("model.hidden",),
    "hidden_units": ("model.hidden",),
    "img_size": ("data.image_size",),
    "input": ("data.predict_path", "data.path"),
    "k": ("num_folds", "data.num_folds"),
    "label": ("data.label_column", "data.target"),
    "layers": ("model.hidden", "model.channels"),
    "learning_rate": ("model.optimizer.lr",),
    "lr_scheduler": ("model.scheduler",),
    "metric": ("monitor",),
    "n_epochs": ("trainer.max_epochs",),
    "n_folds": ("num_folds", "data.num_folds"),
    "n_splits": ("num_folds", "data.num_folds"),
    "n_trials": ("trials",),
    "name": ("run_dir",),
    "num_epochs": ("trainer.max_epochs",),
    "num_gpus": ("trainer.devices",),
    "optim": ("model.optimizer",),
    "out": ("output", "run_dir"),
    "output_dir": ("run_dir",),
    "random_state": ("seed_everything",),
    "resume": ("ckpt_path",),
    "save_dir": ("run_dir",),
    "seed": ("seed_everything",),
    "test_split": ("data.test_size",),
    "units": ("model.hidden",),
    "val_split": ("data.val_size",),
    "validation_split": ("data.val_size",),
    "wd": ("model.optimizer.weight_decay", "model.l2"),
    "weight_decay": ("model.optimizer.weight_decay", "model.l2"),
}
#: Keys of a config that name a class and hold its arguments.
_OF_A_CLASS = ("class_path", "init_args", "dict_kwargs")


@dataclass
class KnownKeys:
    """The keys of a command, as far as options and the classes that were given say them.

    Args:
        options: Each option's name, without dashes -> how many values it takes, as argparse has it.
        roots: The keys below which arguments of a class stand: ``data``, ``model``, ``trainer``.
        linked: Dotted keys that other keys give.

    Attributes:
        classes: Dotted key -> the class that was given there.
        configs: The configs that were named, in their order.
        typed: The options that were typed, in their order.
        given: Dotted key -> value.
        problems: What gives an error for each thing that is wrong.
    """

    options: Mapping[str, Any]
    roots: Mapping[str, Place]
    linked: frozenset[str] = frozenset()
    classes: dict[str, type] = field(default_factory=dict)
    configs: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    problems: list[Callable[[], InputError]] = field(default_factory=list)

    def read(self, words: Sequence[str], before: Mapping[str, Any]) -> None:
        """Read the words of a command line, and the configs that they name, in their order.

        Args:
            words: The words after the command's name.
            before: A config that the words change; empty if there is none.

        Raises:
            InputError: A config cannot be read, or a word is no option.
        """
        for key in self.roots.keys() & before.keys():
            self._inside(self.roots[key], [], before[key], "")
        self.problems.clear()  # what has been parsed is right
        for word in read_words(words, self.options):
            self.typed.append(word.key)
            found = len(self.problems)
            if word.key == "config" and not word.lacks_value:
                self._read_config(str(word.value))
            else:
                self._root(word.key, word.value, "")
            if word.lacks_value and len(self.problems) == found:
                said = f"--{word.key} needs a value: --{word.key} VALUE."
                self.problems.append(partial(InputError, said))

    def _read_config(self, name: str) -> None:
        path = find_config(name)
        if not (tree := read_config(path)):
            raise InputError(
                f"{path} is empty: a config holds keys such as data and model. A recipe to begin "
                f"with is shown by: dlp fit --config {next(iter(recipes()), 'NAME')} --print_config"
            )
        self.configs.append(name)
        for key, value in tree.items():
            self._root(str(key), value, str(path))

    def check(self, required: Iterable[str]) -> None:
        """Raise the first thing that was found wrong.

        Raises:
            InputError: A key is not accepted, or one of `required` or of a class is missing.
        """
        for problem in self.problems:
            raise problem()
        for key in sorted(required):
            if f"{key}.class_path" not in self.given:
                has_arguments = any(f"{one}.".startswith(f"{key}.") for one in self.given)
                raise _missing(key, self.configs, has_arguments)
        there = {key for key, value in self.given.items() if value is not None} | self.linked
        for key, kind in self.classes.items():
            place = self.place_of(key)
            for name, parameter in ({} if place is None else own_arguments(place, kind)).items():
                full = f"{key}.{name}"
                if parameter.default is parameter.empty and full not in there:
                    raise InputError(f"{full} is missing: give --{full}, or put it in a config.")

    def class_at(self, place: Place) -> type | None:
        """Return the class whose arguments stand at a place; None if it is not known."""
        default = place.default if isinstance(place.default, type) else None
        return place.itself or self.classes.get(place.key) or default or place.record

    def place_of(self, key: str) -> Place | None:
        """Return what is known of a dotted key; None where no signature says it."""
        first, *rest = [part for part in key.split(".") if part not in _OF_A_CLASS]
        place = self.roots.get(first)
        for name in rest:
            found = None if place is None else self.class_at(place)
            place = None if place is None or found is None else argument(place, found, name)
        return place

    # Reading -----------------------------------------------------------------------------------

    def _root(self, key: str, value: Any, source: str) -> None:
        """Read one key with its value; `source` is the config it stands in, if it is in one."""
        first, *rest = key.rstrip("+").split(".")
        if first in self.roots:
            if rest[-1:] != ["help"]:
                self._inside(self.roots[first], rest, value, source)
        elif key in self.options:
            self.given[key] = value
        else:
            self.problems.append(partial(self._unknown, key, source))

    def _inside(self, place: Place, parts: Sequence[str], value: Any, source: str) -> None:
        """Read what is given at a place, or below it."""
        while place.itself is None and parts and parts[0] in ("init_args", "dict_kwargs"):
            parts = parts[1:]
        if not parts:
            self.given[place.key] = value
            if place.key in self.linked and value is not None:
                self._refuse(
                    place, ": the data say it, and nothing else is heeded. Leave it out.", source
                )
            self._value(place, value, source)
            return
        name, *rest = parts
        if name == "class_path" and place.itself is None:
            self._set_class(place, value, is_class=True)
        elif (found := self.class_at(place)) is None:
            self.given[f"{place.key}.{name}"] = value
            if place.classes and not place.takes_texts and place.key not in self.roots:
                said = f": {name} is an argument, of which class? Give --{place.key} CLASS first."
                self._refuse(place, said, source)
        elif (inner := argument(place, found, name.rstrip("+"))) is not None:
            self._inside(inner, rest, value, source)
        elif not takes_anything(found):
            self.problems.append(partial(self._unknown, f"{place.key}.{name}", source, place))

    def _value(self, place: Place, value: Any, source: str) -> None:
        """Read a value: a class by its name, a mapping of a class and its arguments, or a list."""
        if place.itself is not None and not isinstance(value, Mapping | None):
            if not (isinstance(value, str) and Path(value).is_file()):
                said = f" holds keys, not {value!r}: give --{place.key}.KEY VALUE"
                self._refuse(place, f"{said}, or {place.key}: {{KEY: VALUE}}.", source)
            return
        if not place.classes or value is None:
            return
        if isinstance(value, list):
            for each in value:
                self._value(place, each, source)
        elif isinstance(value, str):
            self._set_class(place, value, is_class=not place.takes_texts)
        elif isinstance(value, Mapping):
            beside = [str(key) for key in value if key not in _OF_A_CLASS]
            if "class_path" in value:
                self._set_class(place, value["class_path"], is_class=True)
                if beside:
                    said = (
                        f": {beside[0]} stands beside class_path. Arguments of the class belong "
                        f"below init_args: {place.key}: {{class_path: ..., init_args: "
                        f"{{{beside[0]}: ...}}}}"
                    )
                    self._refuse(place, said, source)
                    return
            for key, inner in value.items():
                if key != "class_path":
                    self._inside(place, str(key).split("."), inner, source)

    def _set_class(self, place: Place, name: Any, is_class: bool) -> None:
        """Note the class at a place; one that is not there is a problem, if it has to be one."""
        found = None
        try:
            found = find_class(place, name, is_class) if isinstance(name, str) else None
        except InputError as error:
            if is_class:
                self.problems.append(partial(InputError, str(error)))
        for key in [key for key in self.classes if f"{key}.".startswith(f"{place.key}.")]:
            del self.classes[key]
        self.given[f"{place.key}.class_path"] = name
        if found is not None:
            self.classes[place.key] = found

    def _refuse(self, place: Place, said: str, source: str) -> None:
        """Note what is wrong at a place; `said` follows the key and the config it stands in."""
        where = f" in {source}" if source else ""
        self.problems.append(partial(InputError, f"{place.key}{where}{said}"))

    # Suggesting --------------------------------------------------------------------------------

    def accepted(self) -> list[str]:
        """Return every key that is accepted, as it is typed."""
        known = [name for name in self.options if name.partition(".")[0] not in self.roots]
        waiting = list(self.roots.values())
        while waiting:
            place = waiting.pop(0)
            known.append(place.key)
            if (found := self.class_at(place)) is not None:
                arguments = (argument(place, found, name) for name in own_arguments(place, found))
                waiting += [each for each in arguments if each is not None]
        return [key for key in dict.fromkeys(known) if key not in self.linked]

    def nearest(self, key: str) -> str | None:
        """Return the accepted key that is meant by one that is not; None where nothing is near."""
        known = self.accepted()
        plain = ".".join(part for part in key.lower().split(".") if part not in _OF_A_CLASS)
        plain = plain.replace("-", "_")
        parent, _, last = plain.rpartition(".")
        siblings = [other for other in known if other.rpartition(".")[0] == parent]
        options = [other for other in known if "." not in other]
        if not parent and (near := get_close_matches(last, options, n=1, cutoff=0.9)):
            return near[0]
        if same := [other for other in known if _last(other) == last]:
            return min(same, key=lambda other: (other not in siblings, other.count(".")))
        if habit := next((habit for habit in KEY_HABITS.get(last, ()) if habit in known), None):
            return habit
        holding = [other for other in siblings if last in _last(other).split("_")]
        if len(holding) == 1:
            return holding[0]
        for pool, cutoff in ((siblings, 0.65), (known, 0.75)):
            for name in get_close_matches(last, map(_last, pool), cutoff=cutoff):
                if _shares_more_than_a_word(last, name):
                    return next(other for other in pool if _last(other) == name)
        others = [
            other
            for other in known
            if not plain.startswith(f"{other}.") and other.rpartition(".")[0] != parent
        ]
        return next(iter(get_close_matches(plain, others, n=1, cutoff=0.75)), None)

    def _unknown(self, key: str, source: str, place: Place | None = None) -> InputError:
        """Return the error for a key that is not accepted."""
        if key == "data.predict_texts":
            return InputError(
                "--text is for models of texts, and the data here are none: give "
                "--data.predict_path FILE (an image, a folder, a table)."
            )
        dashes = "" if source else "--"
        said = f"unknown key {key} in {source}." if source else f"unknown option --{key}."
        if _last(key) == "init_args":
            above = key.rpartition(".")[0]
            return InputError(f"{said} It belongs to a class_path; {above} holds its keys itself.")
        if (near := self.nearest(key)) is not None:
            return InputError(f"{said} Did you mean {dashes}{near}?")
        owner = None if place is None else self.class_at(place)
        if place is not None and owner is not None:
            names = [
                name
                for name in own_arguments(place, owner)
                if f"{place.key}.{name}" not in self.linked
            ]
            return InputError(f"{said} {owner.__name__} accepts {', '.join(names)}.")
        names = [name for name in self.options if name.partition(".")[0] not in self.roots]
        names += [f"{root}.KEY" for root in self.roots]
        return InputError(f"{said} Accepted: {', '.join(dashes + name for name in names)}.")


def _last(key: str) -> str:
    return key.rpartition(".")[2].lower()


def _shares_more_than_a_word(one: str, other: str) -> bool:
    """Whether two names are alike without the words of both: ``num_workers``, ``num_folds``."""
    words, others = one.split("_"), other.split("_")
    rest = "_".join(word for word in words if word not in others)
    other_rest = "_".join(word for word in others if word not in words)
    return not (rest and other_rest) or SequenceMatcher(None, rest, other_rest).ratio() >= 0.5


def _missing(key: str, configs: Sequence[str], has_arguments: bool) -> InputError:
    """Return the error for data or model whose class no config and no option gives."""
    overlays = [config for config in configs if config in variations()]
    if overlays and len(overlays) == len(configs):
        words = " ".join(f"--config {config}" for config in configs)
        return InputError(
            f"{' and '.join(configs)} changes a recipe, and none is given: --config NAME {words}, "
            f"with one of {', '.join(recipes())}."
        )
    if has_arguments:
        return InputError(
            f"{key}.class_path is missing: give --{key} CLASS, or put it in a config."
        )
    return InputError(f"{key} is missing: give --config NAME, or --{key} CLASS (see dlp --help).")
