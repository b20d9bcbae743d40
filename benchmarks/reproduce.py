"""Run the book's experiments over several seeds and rewrite the rows of docs/results.md.

    python benchmarks/reproduce.py                  # every experiment, 5 seeds
    python benchmarks/reproduce.py imdb mnist --seeds 3

Each seed is one ``dlp fit`` in this process, in a run folder of its own. Seeds that have their
results are not run again, and one that was interrupted goes on from its last checkpoint: start the
script again after a kill. No seed is left out: the rows hold seeds 0 to N - 1 as they came.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlp.cli import main

RESULTS = Path(__file__).parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- rows: begin -->", "<!-- rows: end -->"


@dataclass(frozen=True)
class Measure:
    """One number of an experiment and where it should lie.

    Args:
        label: What it is.
        key: Where a run holds it: a path in results.json, or ``max:``, ``last:`` or ``mean10:``
            (of the last 10 epochs) and the name of a metric in history.json.
        published: The number in print, with its source.
        low: The least value in the band.
        high: The greatest value in the band.
        below: Another experiment, than whose median of the same key this must be lower...
        above: ...or higher...
        margin: ...by so much.
    """

    label: str
    key: str
    published: str
    low: float | None = None
    high: float | None = None
    below: str | None = None
    above: str | None = None
    margin: float = 0.0


@dataclass(frozen=True)
class Experiment:
    """A command of the book's settings and what it must show.

    Args:
        section: What it is, and where in the book.
        command: The options of ``dlp fit``.
        measures: The numbers it gives.
        download: Megabytes of weights it needs from torchvision's server; run when named alone.
    """

    section: str
    command: str
    measures: tuple[Measure, ...]
    download: int = 0


#: The weights that benchmarks/mobilenet_weights.py writes; see docs/results.md.
MOBILENET = "--config mobilenet --model.weights {mobilenet}"

EXPERIMENTS = {
    "mnist_dense": Experiment(
        "2.1 MNIST, dense 512, 5 epochs",
        "--config mnist_dense",
        (Measure("test acc", "test.test_acc", "0.9777 (notebook)", 0.976, 0.984),),
    ),
    "imdb": Experiment(
        "3.4 IMDB 16-16-1, 20 epochs, 10,000 held out",
        "--config imdb",
        (
            Measure("lowest val loss", "best.val_loss", "0.2735 (notebook)", 0.27, 0.30),
            Measure("at epoch", "best_epoch", "4 (notebook)", 3, 5),
            Measure("val loss after 20 epochs", "last.val_loss", "0.6796 (notebook)"),
            Measure("highest val acc", "max:val_acc", "0.8908 (notebook)"),
        ),
    ),
    "imdb_retrained": Experiment(
        "3.4 IMDB retrained on 25,000, 4 epochs",
        "--config imdb --config retrain --trainer.max_epochs 4",
        (Measure("test acc", "test.test_acc", "0.8850 (notebook), 0.8833 (book)", 0.872, 0.890),),
    ),
    "reuters": Experiment(
        "3.5 Reuters 64-64-46, 9 epochs, every wire with its own text",
        "--config reuters",
        (
            Measure(
                "test acc", "test.test_acc", "none (the book's texts are mispaired)", 0.855, 0.88
            ),
        ),
    ),
    "reuters_curve": Experiment(
        "3.5 the same, 20 epochs",
        "--config reuters --trainer.max_epochs 20",
        (
            Measure("highest val acc", "max:val_acc", "none", 0.89, 0.91),
            Measure("lowest val loss", "best.val_loss", "none"),
        ),
    ),
    "reuters_bottleneck": Experiment(
        "3.5 the same with a layer of 4 units, batch 128",
        "--config reuters --config bottleneck",
        (
            Measure(
                "highest val acc",
                "max:val_acc",
                "0.7110, 0.08 below (notebook, mispaired texts)",
                below="reuters_curve",
                margin=0.05,
            ),
        ),
    ),
    "reuters_as_published": Experiment(
        "3.5 Reuters with the published mispairing, 9 epochs",
        "--config reuters --config as_published",
        (
            Measure(
                "test acc", "test.test_acc", "0.7970 (book), 0.7769 at 8 (notebook)", 0.77, 0.80
            ),
            Measure("highest val acc", "max:val_acc", "0.8150 (notebook, 20 epochs)", 0.79, 0.83),
        ),
    ),
    "housing": Experiment(
        "3.6 Boston 64-64-1 on all 404, 80 epochs, batch 16",
        "--config housing",
        (Measure("test MAE, thousand dollars", "test.test_mae", "2.5532 (notebook)", 2.4, 2.9),),
    ),
    "mnist": Experiment(
        "5.1 MNIST convnet (93,322 parameters), 5 epochs",
        "--config mnist",
        (Measure("test acc", "test.test_acc", "0.9913 (notebook), 0.9908 (book)", 0.989, 0.993),),
    ),
    "cats_dogs": Experiment(
        "5.2 cats and dogs from scratch (3,453,121 parameters), 30 epochs, in bf16",
        "--config cats_dogs --trainer.precision bf16-mixed",
        (
            Measure("val acc, mean of the last 10 epochs", "mean10:val_acc", "0.7126", 0.69, 0.76),
            Measure("train acc of the last epoch", "last.train_acc", "0.9895"),
            Measure("lowest val loss", "best.val_loss", "0.5508 (notebook)"),
            Measure("val loss of the last epoch", "last.val_loss", "1.0139 (notebook)"),
        ),
    ),
    "cats_dogs_augmented": Experiment(
        "5.2 the same with augmentation and dropout, 160 passes, in bf16",
        "--config cats_dogs_augmented --trainer.precision bf16-mixed",
        (
            Measure(
                "val acc, mean of the last 10 epochs",
                "mean10:val_acc",
                "0.8303 (notebook)",
                above="cats_dogs",
                margin=0.08,
            ),
            Measure("train acc of the last epoch", "last.train_acc", "0.8491 (notebook)"),
            Measure("lowest val loss", "best.val_loss", "0.3518 (notebook)"),
        ),
    ),
    "cats_dogs_mobilenet": Experiment(
        "5.3 MobileNetV2 frozen, cached features, the book's dense net, 150 px",
        f"--config cats_dogs_features {MOBILENET}",
        (
            Measure("test acc", "test.test_acc", "0.97 val (2nd ed., VGG16)", 0.955, 0.975),
            Measure("val acc of the best epoch", "best.val_acc", "0.97 (2nd ed., VGG16)"),
        ),
    ),
    "cats_dogs_mobilenet_224": Experiment(
        "5.3 the same at 224 px",
        f"--config cats_dogs_features {MOBILENET} --data.image_size 224",
        (Measure("test acc", "test.test_acc", "none", 0.975),),
    ),
    "cats_dogs_mobilenet_retrained": Experiment(
        "5.3 the same, retrained on the training and validation pictures",
        f"--config cats_dogs_features {MOBILENET} --config retrain --data.image_size 224",
        (Measure("test acc", "test.test_acc", "none", 0.975),),
    ),
    "cats_dogs_linear_probe": Experiment(
        "5.3 at 224 px, without a hidden layer",
        f"--config cats_dogs_features {MOBILENET} --config linear_probe --data.image_size 224",
        (Measure("test acc", "test.test_acc", "none", 0.975),),
    ),
    "cats_dogs_mobilenet_frozen": Experiment(
        "5.3 MobileNetV2 frozen, with augmentation, 150 px",
        f"--config cats_dogs_frozen {MOBILENET}",
        (
            Measure(
                "test acc",
                "test.test_acc",
                "0.975 (2nd ed., VGG16)",
                above="cats_dogs_mobilenet",
                margin=-0.01,
            ),
        ),
    ),
    "cats_dogs_mobilenet_finetune": Experiment(
        "5.3 the deepest stage of it trained on, at a rate of 1e-5, for 15 epochs",
        f"--config cats_dogs_finetune {MOBILENET} --trainer.max_epochs 15 "
        "--init_from {root}/cats_dogs_mobilenet_frozen/seed_{seed}",
        (
            Measure("test acc", "test.test_acc", "0.985 (2nd ed., VGG16)"),
            Measure("val acc of the best epoch", "best.val_acc", "0.98 (notebook: all layers)"),
        ),
    ),
    "cats_dogs_vgg16": Experiment(
        "5.3 VGG16 frozen, cached features",
        "--config cats_dogs_features",
        (Measure("val acc, mean of the last 10 epochs", "mean10:val_acc", "0.97 (2nd ed.)", 0.96),),
        download=528,
    ),
    "cats_dogs_vgg16_unit": Experiment(
        "5.3 the same as the book feeds it: plain 1/255, the original weights",
        "--config cats_dogs_features --config unit_scaling --model.weights IMAGENET1K_FEATURES",
        (Measure("val acc, mean of the last 10 epochs", "mean10:val_acc", "0.9014", 0.89, 0.91),),
        download=528,
    ),
    "cats_dogs_vgg16_frozen": Experiment(
        "5.3 VGG16 frozen, with augmentation",
        "--config cats_dogs_frozen",
        (Measure("val acc, mean of the last 10 epochs", "mean10:val_acc", "0.98 (2nd ed.)", 0.96),),
        download=528,
    ),
    "cats_dogs_vgg16_as_printed": Experiment(
        "5.3 the same as it was printed: every layer trained, plain 1/255",
        "--config cats_dogs_frozen --config as_printed --model.weights IMAGENET1K_FEATURES",
        (Measure("val acc, mean of the last 10 epochs", "mean10:val_acc", "0.9642", 0.95, 0.98),),
        download=528,
    ),
    "cats_dogs_vgg16_finetune": Experiment(
        "5.3 VGG16, block 5 trained on, 100 epochs",
        "--config cats_dogs_finetune --init_from {root}/cats_dogs_vgg16_frozen/seed_{seed}",
        (
            Measure(
                "test acc", "test.test_acc", "0.9680 (from every layer trained), 0.985 (2nd ed.)"
            ),
        ),
        download=528,
    ),
    "quickstart": Experiment(
        "README's quickstart: 5,000 digits",
        "--config quickstart",
        (Measure("test acc", "test.test_acc", "none", 0.96, None),),
    ),
}


def run_seed(command: str, folder: Path, seed: int, mobilenet: Path = Path()) -> None:
    """Fit and test one seed in `folder`, unless it is done; go on where it was interrupted."""
    if _is_done(folder):
        return
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if checkpoint.exists():
        main(["fit", "--ckpt_path", str(checkpoint)])
        return
    if folder.exists():
        shutil.rmtree(folder)
    places = {"mobilenet": mobilenet, "root": folder.parents[1], "seed": seed}
    words = [word.format(**places) for word in command.split()]
    main(["fit", *words, "--seed_everything", str(seed), "--run_dir", str(folder)])


def _is_done(folder: Path) -> bool:
    results = folder / "results.json"
    if not results.exists():
        return False
    tested = "test_after_fit: null" in (folder / "config.yaml").read_text(encoding="utf-8")
    return tested or "test" in json.loads(results.read_text(encoding="utf-8"))


def read(folder: Path, key: str) -> float:
    """Return the number that `key` (see `Measure`) names in a run's folder."""
    kind, _, metric = key.partition(":")
    if metric:
        history = json.loads((folder / "history.json").read_text(encoding="utf-8"))[metric]
        if kind == "mean10":
            return statistics.mean(history[-10:])
        return float(max(history) if kind == "max" else history[-1])
    value = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for part in key.split("."):
        value = value[part]
    return float(value)


def rows(name: str, root: Path) -> list[str]:
    """Return the table rows of one experiment, from the seeds there are."""
    experiment = EXPERIMENTS[name]
    folders = sorted((root / name).glob("seed_*"), key=lambda path: int(path.name[5:]))
    folders = [folder for folder in folders if _is_done(folder)]
    if not folders and not experiment.download:
        return []
    lines = []
    for number, measure in enumerate(experiment.measures):
        if not folders:
            cells = [experiment.section, f"`dlp fit {_shown(experiment.command)}`", measure.label]
            wait = f"needs the download ({experiment.download} MB)"
            band = _band(measure.low, measure.high)
            cells += [measure.published, wait, "", band, "", ""]
            lines.append("| " + " | ".join(cells) + " |")
            continue
        values = [read(folder, measure.key) for folder in folders]
        median = statistics.median(values)
        low, high = measure.low, measure.high
        if (other := measure.below or measure.above) is not None:
            others = [
                read(folder, measure.key)
                for folder in (root / other).glob("seed_*")
                if _is_done(folder)
            ]
            if others and measure.below:
                high = statistics.median(others) - measure.margin
            elif others:
                low = statistics.median(others) + measure.margin
        digits = 0 if measure.key == "best_epoch" else 4
        shown = f"**{median:.{digits}f}** ({min(values):.{digits}f} to {max(values):.{digits}f})"
        head = ["", "", ""]
        if number == 0:
            head = [experiment.section, f"`dlp fit {_shown(experiment.command)}`", f"{len(values)}"]
        where = f"`{name}/seed_0` to `seed_{len(values) - 1}`" if number == 0 else ""
        cells = [
            *head[:2],
            measure.label,
            measure.published,
            shown,
            head[2],
            _band(low, high),
            _verdict(median, low, high),
            where,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _shown(command: str) -> str:
    """Return a command as a reader would type it."""
    return command.format(mobilenet="mobilenet_v2.pth", root="runs/reproduce", seed="N")


def _band(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"at most {high:.3f}"
    return f"at least {low:.4g}" if high is None else f"{low:g} to {high:g}"


def _verdict(value: float, low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    inside = (low is None or value >= low) and (high is None or value <= high)
    return "holds" if inside else "**misses**"


def write(root: Path) -> None:
    """Put the rows of every experiment that has results into docs/results.md; others stay."""
    head = (
        "| experiment | command | number | published | ours: median (min to max) | seeds | band | "
        "verdict | runs |\n|---|---|---|---|---|---|---|---|---|"
    )
    text = RESULTS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    standing, _, after = rest.partition(END)
    old = _by_section(standing)
    table = [head]
    for name, experiment in EXPERIMENTS.items():
        made = (root / name).is_dir()
        kept = [] if made else old.get(experiment.section, [])
        table += kept or rows(name, root)
    RESULTS.write_text(f"{before}{BEGIN}\n{chr(10).join(table)}\n{END}{after}", encoding="utf-8")


def _by_section(table: str) -> dict[str, list[str]]:
    """Return the rows of a table by experiment: those without a first cell go on with the last."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in table.strip().splitlines()[2:]:
        section = line.split("|")[1].strip()
        if section:
            lines = found.setdefault(section, [])
        lines.append(line)
    return found


def reproduce(args: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"default: all of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--root", type=Path, default=Path("runs") / "reproduce")
    parser.add_argument("--mobilenet", type=Path, default=Path("mobilenet_v2.pth"))
    given = parser.parse_args(args)
    by_default = [name for name, experiment in EXPERIMENTS.items() if not experiment.download]
    for name in given.names or by_default:
        if name not in EXPERIMENTS:
            parser.error(f"unknown experiment {name}; there are {', '.join(EXPERIMENTS)}")
        for seed in range(given.seeds):
            run_seed(
                EXPERIMENTS[name].command, given.root / name / f"seed_{seed}", seed, given.mobilenet
            )
            write(given.root)


if __name__ == "__main__":
    reproduce()
