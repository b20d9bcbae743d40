"""The user's own features: a class or function from data frame to data frame.

Only plain values of its state are kept with a run, and no code is named by a checkpoint: the class
itself is always given, by the config or by the program.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from dlp.errors import InputError, suggestion
from dlp.imports import imported

FeaturesArgument = str | Callable[..., Any]


class FeatureMaker:
    """A user's transformer of input columns, fitted on the training part.

    Args:
        given: A class with ``transform(frame) -> frame`` and, if it learns something,
            ``fit(frame)``; or a function of a frame; or the import path of either, such as
            ``my_features.Ratios``, looked for in the working directory too. A class is built
            without arguments; what `fit` learns stands in its attributes, as plain values (None,
            bool, int, float, str, and lists, tuples and dicts of these).

    Raises:
        InputError: It cannot be imported, or is neither such a class nor a function.
    """

    def __init__(self, given: FeaturesArgument) -> None:
        target = imported("features", given) if isinstance(given, str) else given
        self.name = str(getattr(target, "__qualname__", type(target).__qualname__))
        if inspect.isclass(target):
            if not callable(getattr(target, "transform", None)):
                raise InputError(
                    f"features: the class {self.name} has no method transform(self, frame) that "
                    "returns a data frame."
                )
            try:
                inspect.signature(target).bind()
            except TypeError as error:
                raise InputError(
                    f"features: the class {self.name} must be built without arguments: give them "
                    "defaults, or name a subclass that sets them."
                ) from error
        elif hasattr(target, "transform"):
            raise InputError(
                f"features: give the class {self.name} itself, not an object of it: it is built "
                "without arguments and fitted on the training part."
            )
        elif not callable(target):
            raise InputError(
                f"features: {given!r} is {self.name}; accepted: a class with transform(frame), or "
                "a function of a frame."
            )
        self._target = target
        self._transformer: Any = None

    def fit(self, frame: pd.DataFrame) -> None:
        """Build a fresh transformer and fit it on the input columns of the training part."""
        if not inspect.isclass(self._target):
            return
        self._transformer = self._target()
        if hasattr(self._transformer, "fit"):
            with self._missing_column_in_words(frame):
                self._transformer.fit(_lent(frame))
        self.state()

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame of features, one row for each row of `frame`.

        Raises:
            InputError: It looks for a column that is not there, or what comes back is no data
                frame, has other rows, or no or unclear columns.
        """
        function = self._transformer.transform if inspect.isclass(self._target) else self._target
        with self._missing_column_in_words(frame):
            result = function(_lent(frame))
        if not isinstance(result, pd.DataFrame):
            raise InputError(
                f"features: {self.name} returned {type(result).__name__}; it must return a data "
                "frame."
            )
        if len(result) != len(frame):
            raise InputError(
                f"features: {self.name} made {len(result)} rows of {len(frame)}; it must keep "
                "every row. To leave rows out, delete them from the file."
            )
        names = [str(column) for column in result.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            found = f"the column {twice[0]!r} more than once" if twice else "no column"
            raise InputError(f"features: {self.name} returned {found}.")
        if set(result.index) == set(range(len(frame))):  # sorted, say: back in the targets' order
            result = result.sort_index()
        return result.set_axis(names, axis=1).set_axis(frame.index, axis=0)

    @contextmanager
    def _missing_column_in_words(self, frame: pd.DataFrame) -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            names = [str(column) for column in frame.columns]
            raise InputError(
                f"features: {self.name} looks for {error}, which is no column of the table."
                f"{suggestion(str(error.args[0]), names)} The columns are {', '.join(names)}."
            ) from error

    def state(self) -> dict[str, Any]:
        """Return name and attributes as plain values.

        Raises:
            InputError: An attribute holds something else.
        """
        values = {} if self._transformer is None else vars(self._transformer)
        for attribute, value in values.items():
            _check_plain(f"self.{attribute} of {self.name}", value)
        return {"name": self.name, "values": copy.deepcopy(values)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned.

        Raises:
            InputError: It comes from a transformer of another name.
        """
        if state["name"] != self.name:
            raise InputError(
                f"this run was trained with features {state['name']}, not {self.name}: give "
                "that one."
            )
        if inspect.isclass(self._target):
            self._transformer = self._target.__new__(self._target)
            vars(self._transformer).update(copy.deepcopy(state["values"]))


def _lent(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy the user's code may change, its rows numbered from 0."""
    return frame.reset_index(drop=True).copy()


def _check_plain(what: str, value: Any) -> None:
    if type(value) in (list, tuple):
        for number, item in enumerate(value):
            _check_plain(f"{what}, item {number}", item)
    elif type(value) is dict:
        for key, item in value.items():
            _check_plain(f"{what}, a key", key)
            _check_plain(f"{what}, item {key!r}", item)
    elif value is not None and type(value) not in (bool, int, float, str):
        kind = type(value)
        raise InputError(
            f"features: {what} is {kind.__module__}.{kind.__qualname__}, which cannot be saved "
            "with the run. Accepted: None, bool, int, float, str, and lists, tuples and dicts of "
            "these. Write float(...), or .tolist() for arrays and columns."
        )
