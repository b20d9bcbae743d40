"""The workloads of against_keras.py: what is compared, and at what size."""

import json
from dataclasses import dataclass, replace

from jobs import Job

#: Section 5.3's base with random weights: nothing is downloaded, and a step costs the same.
RANDOM_BASE = ("--model.weights", "null", "--test_after_fit", "null")
#: 500 images to train on, where each takes long.
FEW_IMAGES = ("--data.per_class", "350", "--data.val_size", "100", "--data.test_size", "100")
NO_VALIDATION = ("--trainer.limit_val_batches", "0")
#: The sizes of a trial.
FEW_ROWS = ("--data.train_size", "2000", "--data.val_size", "1000")
FEW_CATS = ("--data.per_class", "80", "--data.val_size", "40", "--data.test_size", "40")


@dataclass(frozen=True)
class Workload:
    """One comparison.

    Args:
        title: What it is called in the tables.
        job: What Keras and Lightning do; its folder is filled in.
        command: What dlp does: ``fit``, ``crossval``, or nothing (`dlp_way.py` reads files).
        words: The options of that command.
        measures: What the table shows: ``epoch`` (seconds, the median of all after the first),
            ``fit`` and ``whole`` (seconds in fit, and of the whole process), ``peak`` (MB),
            ``rate`` and ``first`` (rows a second, after the first pass and in it).
        steps: Steps of the check.
        folds: How many fits of `epochs` there are; the others make one, and take in proportion.
        epochs: Epochs of a fit where the others make fewer (those of the job), in proportion.
        lightning_epochs: Epochs of Lightning's measurement, where it needs fewer.
        quick: Options of a trial.
        tolerance: How far losses may lie apart, relative to their mean.
        tuned: Whether Keras on TensorFlow is measured in a further way, with `Job.tuned`.
    """

    title: str
    job: Job
    words: tuple[str, ...] = ()
    command: str = "fit"
    measures: tuple[str, ...] = ("epoch",)
    steps: int = 20
    folds: int = 1
    epochs: int | None = None
    lightning_epochs: int | None = None
    quick: tuple[str, ...] = ()
    tolerance: float = 1e-3
    tuned: bool = False

    def words_for(self, quick: bool) -> list[str]:
        """Return the options of a recipe, and for files read those of their DataModule, as JSON."""
        if not self.command:
            return [json.dumps({"per_class": 80, "val_size": 40, "test_size": 40} if quick else {})]
        epochs = self.epochs or self.job_for(quick).epochs
        few = self.quick if quick else ()
        return [*self.words, "--trainer.max_epochs", str(epochs), *few]

    def command_words(self, quick: bool) -> list[str]:
        """Return the words of dlp's command."""
        more = ["--repeats", str(self.folds // 4)] if self.command == "crossval" else []
        return [self.command, *self.words_for(quick), *more]

    def job_for(self, quick: bool, folder: str = "") -> Job:
        """Return the job of the other ways."""
        fewer = min(self.job.epochs, 2)
        return replace(self.job, folder=folder, epochs=fewer if quick else self.job.epochs)


def _boston(repeats: int) -> Workload:
    """Return the cross-validation of section 3.6."""
    return Workload(
        f"Boston, {'' if repeats == 1 else f'{repeats} x '}K=4 x 100 epochs, batch 1",
        Job("boston", "", epochs=10, batch=1),
        ("--config", "housing_kfold"),
        command="crossval",
        measures=("whole", "peak"),
        folds=4 * repeats,
        epochs=100,
        lightning_epochs=3,
        tuned=True,
    )


def _convnet(title: str, job: Job, words: tuple[str, ...], quick: tuple[str, ...]) -> Workload:
    """Return an epoch of a convolutional network."""
    return Workload(
        title,
        job,
        (*words, *NO_VALIDATION),
        measures=("epoch", "peak"),
        steps=4,
        lightning_epochs=2,
        quick=quick,
    )


def _sixteen_bits(workload: Workload) -> Workload:
    """Return a workload in mixed precision, whose rounding is 1 / 256."""
    return replace(
        workload,
        title=f"{workload.title}, bf16",
        job=replace(workload.job, bf16=True),
        words=(*workload.words, "--trainer.precision", "bf16-mixed"),
        tolerance=0.02,
    )


MNIST = _convnet(
    "MNIST convnet, an epoch",
    Job("mnist", "", epochs=2, batch=64),
    ("--config", "mnist", "--test_after_fit", "null"),
    ("--data.train_size", "2000"),
)
CATS = _convnet(
    "cats/dogs convnet, an epoch of 2,000",
    Job("cats_dogs", "", epochs=3, batch=20, lr=1e-4),
    ("--config", "cats_dogs"),
    FEW_CATS,
)
AUGMENTED = _convnet(
    "cats/dogs convnet, augmented, an epoch of 2,000",
    Job("cats_dogs", "", epochs=3, batch=32, lr=1e-4, dropout=0.5, augment=True),
    ("--config", "cats_dogs_augmented"),
    FEW_CATS,
)
VGG16 = Workload(
    "VGG16 features, images a second",
    Job("vgg16", "", "features", epochs=2, batch=64, lr=2e-5, dropout=0.5),  # dlp's batches
    ("--config", "cats_dogs_features", *RANDOM_BASE, *FEW_IMAGES),
    measures=("rate", "peak"),
    steps=1,
    quick=FEW_CATS,
)
WORKLOADS = {
    "imdb": Workload(
        "IMDB, 20 epochs with validation",
        Job("imdb", "", epochs=20, validates=True),
        ("--config", "imdb"),
        measures=("fit", "whole", "peak"),
        quick=FEW_ROWS,
        tuned=True,
    ),
    "reuters": Workload(
        "Reuters, 9 epochs with validation",
        Job("reuters", "", epochs=9, validates=True),
        ("--config", "reuters", "--test_after_fit", "null"),
        measures=("fit", "whole", "peak"),
        quick=FEW_ROWS,
        tuned=True,
    ),
    "boston": _boston(1),
    "boston_repeated": _boston(10),
    "mnist": MNIST,
    "mnist_bf16": _sixteen_bits(MNIST),
    "cats_dogs": CATS,
    "cats_dogs_bf16": _sixteen_bits(CATS),
    "cats_dogs_augmented": AUGMENTED,
    "cats_dogs_augmented_bf16": _sixteen_bits(AUGMENTED),
    "vgg16_features": VGG16,
    "vgg16_features_bf16": _sixteen_bits(VGG16),
    "cached_head": Workload(
        "dense net on cached features, an epoch of 2,000 + 1,000 x 8,192",
        Job("vgg16_head", "", epochs=6, batch=20, lr=2e-5, dropout=0.5, validates=True),
        ("--config", "cats_dogs_features", *RANDOM_BASE),
        measures=("epoch", "peak"),
        quick=FEW_CATS,
        tuned=True,
    ),
    "finetune": Workload(
        "VGG16's deepest stage trained, not augmented, 2 epochs of 500",
        Job("vgg16", "", epochs=2, batch=20, lr=1e-5, rows=200),
        (
            *("--config", "cats_dogs_finetune", *RANDOM_BASE, *FEW_IMAGES, "--init_from", "null"),
            *("--data.augmentation", "null", *NO_VALIDATION),
        ),
        measures=("fit", "epoch", "peak"),
        steps=3,
        quick=FEW_CATS,
    ),
    "image_input": Workload(
        "JPEG files read, images a second",
        Job("cats_dogs", "", "input", epochs=4, batch=20),
        command="",
        measures=("first", "rate", "peak"),
        steps=0,
        tuned=True,
    ),
    "image_input_augmented": Workload(
        "JPEG files read and augmented, images a second",
        Job("cats_dogs", "", "input", epochs=4, batch=20, augment=True),
        command="",
        measures=("first", "rate", "peak"),
        steps=0,
        tuned=True,
    ),
}

#: What is started to see how long it takes: in the tables -> the words after python.
#: ``{quickstart}`` and ``{imdb}`` are runs of an epoch, whose configs name the callback that notes
#: the first batch; ``{tests}`` is a folder with a test.
STARTS = {
    "`import torch`": ("-c", "import torch"),
    "`import torch, lightning`": ("-c", "import torch, lightning"),
    "`dlp fit --config quickstart --trainer.fast_dev_run true`": (
        *("-m", "dlp", "fit", "--config", "quickstart", "--trainer.fast_dev_run", "true"),
        *("--trainer.callbacks+", "epoch_times.EpochTimes"),
    ),
    "`dlp test`": ("-m", "dlp", "test", "--ckpt_path", "{quickstart}/checkpoints/best.ckpt"),
    "`dlp predict` of one text": (
        *("-m", "dlp", "predict", "--ckpt_path", "{imdb}/checkpoints/best.ckpt"),
        *("--text", "A film to remember"),
    ),
    "pytest, a test with `fast_dev_run`": ("-m", "pytest", "--noconftest", "{tests}"),
    "the same with the two lines in conftest.py": ("-m", "pytest", "{tests}"),
    "`dlp fit --config quickstart`": (
        *("-m", "dlp", "fit", "--config", "quickstart", "--run_dir", "run"),
        *("--trainer.callbacks+", "epoch_times.EpochTimes"),
    ),
}
