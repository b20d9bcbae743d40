"""A run as a report speaks of it: its key numbers, and its model on rows of the test part.

Where there is no test part, the validation part takes its place, and the page says so.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningModule
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from dlp.commands.next_steps import after_fit, command
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.known_rows import places
from dlp.datamodules.loader import BatchLoader
from dlp.decisions import decide, decision_rule
from dlp.directions import Mode, direction
from dlp.errors import InputError
from dlp.evaluation.baselines import best_baseline
from dlp.evaluation.fitted_baselines import EvaluatedPart, fitted_baselines
from dlp.evaluation.mistake_files import ending, read_mistakes
from dlp.evaluation.mistakes import Mistakes
from dlp.reports import page
from dlp.reports.page import Block, Tile, number
from dlp.runs.record import RunRecord
from dlp.visualization.comparison import metric_words
from dlp.visualization.curves import panels_of

#: Rows of the test part that are predicted, to be shown and to find right ones among them.
_PREDICTED = 64


@dataclass(frozen=True)
class Prediction:
    """What the model says of a row of the part, called by its path, id or number in the file.

    `confidence` is the probability of the predicted class; labels and values have none. Of values
    nobody says whether they are right: `right` is None.
    """

    row: int
    name: str
    true: str
    predicted: str
    confidence: float | None
    right: bool | None

    @property
    def label(self) -> page.Label:
        """Truth and prediction, how sure the model is and of which row, and whether it is right."""
        title = self.predicted if self.right else f"{self.true} → {self.predicted}"
        sure = "" if self.confidence is None else f"{min(self.confidence, 0.999):.1%} sure, "
        tones: dict[bool | None, page.Tone] = {None: "", True: "good", False: "bad"}
        return page.Label(title, f"{sure}{self.name}", tones[self.right])


@dataclass
class Trained:
    """A run, with its model and data where they can be had; else `problem` says why not.

    The model is on the CPU, in evaluation mode, with the weights of the checkpoint.
    """

    run: RunRecord
    checkpoint: Path | None = None
    model: LightningModule | None = None
    data: SupervisedDataModule | None = None
    problem: str = ""

    @cached_property
    def part(self) -> Literal["test", "val"]:
        """The part that the page looks at: validation, where there is no test part."""
        if self.data is not None:
            with suppress(InputError):  # the data have moved: what was evaluated tells
                return "test" if self.data.has_test else "val"
        results = self.run.results
        return "val" if "validation" in results and "test" not in results else "test"

    @property
    def next_steps(self) -> list[Block]:
        """The commands that go on from here: an evaluation that is missing, what curves advise."""
        steps: list[Block] = []
        if self.evaluation is None and self._has_rows:
            missing = f"Not evaluated on the {self.part_name} yet; this does it:"
            steps.append(page.Paragraph(missing, self.test_command))
        epochs = self.run.epochs
        if (found := epochs.verdict(self.run.monitor)) is not None:
            last = self.run.checkpoint("last")
            going_on = after_fit(found, epochs.num_epochs, [self.run.config], last)
            steps.append(page.Paragraph("The next step:", going_on))
        return steps

    @property
    def _has_rows(self) -> bool:
        """Whether there is anything to evaluate on."""
        if self.data is None:
            return not self.problem
        with suppress(InputError):
            return len(self.data.examples(self.part).rows) > 0
        return False

    @property
    def part_name(self) -> str:
        """The part in words."""
        return "test part" if self.part == "test" else "validation part (there is no test part)"

    @property
    def evaluation(self) -> dict[str, Any] | None:
        """What ``results.json`` says of that part; None if it was not evaluated yet."""
        name = "test" if self.part == "test" else "validation"
        found: dict[str, Any] | None = self.run.results.get(name)
        return found

    @cached_property
    def mistakes(self) -> Mistakes | None:
        """What the last evaluation of that part got wrong, if it was written down."""
        path = self.run.folder / f"mistakes{ending(self.part)}.json"
        return read_mistakes(path) if path.is_file() and self.evaluation is not None else None

    @cached_property
    def baselines(self) -> dict[str, dict[str, Any]]:
        """What simple models do on the same split (see ``results.json``); fitted for own data."""
        kept: dict[str, dict[str, Any]] = self.run.results.get("baselines", {})
        parts: list[EvaluatedPart] = ["val", "test"] if "test" in self.run.results else ["val"]
        if self.model is None or self.data is None or self.data.dry_run or not self.data.own_data:
            return kept
        if kept and all(part in record for record in kept.values() for part in parts[1:]):
            return kept
        found = fitted_baselines(self.model, self.data, parts)
        return {name: each.record() for name, each in found.items()}

    def baseline_numbers(self, part: EvaluatedPart) -> dict[str, dict[str, float]]:
        """Return simple model -> metric -> number on a part."""
        records = self.baselines.values()
        return {record["model"]: record[part] for record in records if part in record}

    @property
    def test_command(self) -> str:
        """What evaluates this run on that part."""
        name = "test" if self.part == "test" else "validate"
        return command(name, "--ckpt_path", self.checkpoint or self.run.folder)

    def ready(self) -> tuple[LightningModule, SupervisedDataModule]:
        """Return model and data.

        Raises:
            InputError: There is no model.
        """
        if self.model is None or self.data is None:
            raise InputError(self.problem)
        return self.model, self.data

    def loader(self) -> BatchLoader:
        """Return the batches of the part that the page looks at.

        Raises:
            InputError: There is no model, or no such part.
        """
        _, data = self.ready()
        return data.test_dataloader() if self.part == "test" else data.loader("val")

    @cached_property
    def predictions(self) -> list[Prediction]:
        """What the model says of some rows, drawn at random, always the same ones."""
        drawn = np.random.default_rng(0).permutation(len(self.loader().inputs))[:_PREDICTED]
        return self.predict(drawn.astype(np.int64))

    def predict(self, rows: NDArray[np.int64]) -> list[Prediction]:
        """Return what the model says of some rows of the test part.

        Raises:
            InputError: Its `predict_step` gives neither probabilities nor values.
        """
        model, data = self.ready()
        loader, index = self.loader(), torch.from_numpy(rows)
        if loader.targets is None:
            raise InputError(f"the {self.part_name} has no targets.")
        targets, found = loader.targets[index], None
        if type(model).predict_step is not LightningModule.predict_step:  # Lightning's own guesses
            with torch.no_grad():
                found = model.predict_step((loader.inputs_of(index, 0), targets), 0)
        examples = data.examples(self.part)
        named, index = ["" for _ in rows], places(examples)[rows].tolist()
        for known in (examples.ids, examples.names):
            named = named if known is None else [str(known[row]) for row in rows]
        named = [name or f"row {number}" for name, number in zip(named, index, strict=True)]
        if isinstance(found, dict) and "probabilities" in found:
            return self._classes(rows, named, found["probabilities"], targets)
        if isinstance(found, dict) and "values" in found:
            facts = zip(rows.tolist(), named, targets, found["values"], strict=True)
            return [
                Prediction(row, name, _numbers(true), _numbers(value), None, None)
                for row, name, true, value in facts
            ]
        raise InputError(
            f"{type(model).__name__} has no predict_step that gives a dict with probabilities or "
            "values."
        )

    def _classes(
        self, rows: NDArray[np.int64], named: Sequence[str], chances: Tensor, targets: Tensor
    ) -> list[Prediction]:
        model, data = self.ready()
        names = data.class_names or [str(n) for n in range(chances.shape[1])]
        threshold, labels = decision_rule(model, data.targets.task == "multilabel")
        said = decide(chances, threshold, labels)
        sure: list[float | None] = [None] * len(rows)
        if labels:
            true = targets > 0.5
            words = [
                [", ".join(compress(names, row)) or "none" for row in part] for part in (true, said)
            ]
        else:
            true = targets.argmax(dim=1) if targets.ndim == 2 else targets
            words = [[names[int(kind)] for kind in part] for part in (true, said)]
            sure = chances.gather(1, said[:, None])[:, 0].tolist()
        right = (true == said).reshape(len(rows), -1).all(dim=1).tolist()
        facts = zip(rows.tolist(), named, *words, sure, right, strict=True)
        return [Prediction(*each) for each in facts]


def _numbers(values: Tensor) -> str:
    return ", ".join(map(number, values.flatten().tolist()))


# The key numbers --------------------------------------------------------------------------------


def tiles(trained: Trained) -> list[Tile]:
    """Return the key numbers: the best epoch, and the test beside its baseline."""
    run, monitor, epochs = trained.run, trained.run.monitor, trained.run.epochs
    best, made = epochs.best_epoch(monitor), []
    if best is None:
        made.append(Tile("Epochs", epochs.num_epochs, "without validation"))
        for name, value in epochs.at(epochs.num_epochs).items():
            made.append(Tile(_words(name), value, "at the last epoch"))
    else:
        made.append(Tile("Best epoch", best, f"of {epochs.num_epochs}, by {monitor}"))
        at_best = {monitor: 0.0, **epochs.at(best)}
        for name, value in at_best.items():
            if name.startswith("val_") or name == monitor:
                made.append(Tile(_words(name), value, f"at epoch {best}"))
    test, learned = run.results.get("test", {}), trained.baseline_numbers("test")
    return made + test_tiles(test, run.epochs.directions, learned)


def test_tiles(
    test: Mapping[str, Any],
    directions: Mapping[str, Mode],
    learned: Mapping[str, Mapping[str, float]],
) -> list[Tile]:
    """Return a tile for each number of a test, the best baseline below it, guessed or learned."""
    baselines = {**(test.get("baseline") or {}), **learned}
    names = [name for name, value in test.items() if isinstance(value, int | float)]
    return [
        Tile(_words(name), test[name], *against_baseline(name, test[name], baselines, directions))
        for name in sorted(names, key=lambda name: name.endswith("loss"))
    ]


def against_baseline(
    name: str,
    value: float,
    baselines: Mapping[str, Mapping[str, float]],
    directions: Mapping[str, Mode],
) -> tuple[str, page.Tone]:
    """Return the best baseline of a metric in words, and whether the model's value beats it.

    The baselines have the names of metrics without a stage, `name` and `directions` with it.
    Nothing is said of a metric of which nobody knows whether less or more is better.
    """
    mode = direction(name, directions)
    best = best_baseline(baselines, name.partition("_")[2], mode)
    if best is None:
        return "", ""
    kind, base = best
    beaten = value < base if mode == "min" else value > base
    return f"baseline {number(base)} ({kind.replace('_', ' ')})", "good" if beaten else "bad"


def _words(name: str) -> str:
    words = metric_words(name)
    return words[:1].upper() + words[1:]


def curve_drawings(
    curves: Mapping[str, Sequence[float]],
    draw: Callable[[Mapping[str, Sequence[float]]], Figure],
    of: str = "",
) -> list[page.Drawing]:
    """Return a figure of the loss and of each metric by epoch; words say where its curves end."""
    drawings = []
    for name in panels_of(curves):
        chosen = {key: curves[key] for key in (f"train_{name}", f"val_{name}") if key in curves}
        ends = "; ".join(
            f"{metric_words(key)} from {number(values[0])} to {number(values[-1])}"
            for key, values in chosen.items()
        )
        if chosen:
            drawings.append(page.drawing(draw(chosen), f"{name}{of} by epoch: {ends}"))
    return drawings


def config_blocks(folder: Path, command: str) -> list[Block]:
    """Return the complete config of a run, folded, and the command that runs it again.

    Raises:
        InputError: There is none.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise InputError("the run's folder has no config.yaml.")
    text = path.read_text(encoding="utf-8")
    again = page.Paragraph("All of it, to be run again:", f"dlp {command} --config {path}")
    return [again, page.Folded("config.yaml", [page.Code(text)])]
