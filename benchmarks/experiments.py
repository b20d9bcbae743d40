"""The book's experiments: the command of each, what it must show, and where that was printed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One number of an experiment and where it should lie.

    Args:
        label: What it is.
        key: Where a run holds it: a path in results.json (of a cross-validation, in
            crossval.json), or ``max:``, ``last:``, ``mean10:`` (of the last 10 epochs) or
            ``rise:`` (last less lowest) and the name of a metric in history.json.
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
        command: The options of ``dlp fit``, or of the `tool`.
        measures: The numbers it gives.
        download: Megabytes of weights it needs from torchvision's server; run when named alone.
        tool: ``fit`` or ``crossval``.
    """

    section: str
    command: str
    measures: tuple[Measure, ...]
    download: int = 0
    tool: str = "fit"


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
            Measure("rise of val loss from its lowest", "rise:val_loss", "0.4867 (notebook)"),
        ),
    ),
    "imdb_smaller": Experiment(
        "4.4 IMDB 4-4-1: a smaller network",
        "--config imdb --config smaller",
        (
            Measure(
                "val loss after 20 epochs",
                "last.val_loss",
                "0.4744 (notebook)",
                below="imdb_dropout",
            ),
            Measure("rise of val loss from its lowest", "rise:val_loss", "0.1972 (notebook)"),
        ),
    ),
    "imdb_bigger": Experiment(
        "4.4 IMDB 512-512-1: a bigger network",
        "--config imdb --config bigger",
        (
            Measure(
                "val loss after 20 epochs",
                "last.val_loss",
                "0.8896 (notebook)",
                above="imdb_dropout",
            ),
            Measure("rise of val loss from its lowest", "rise:val_loss", "0.6154 (notebook)"),
        ),
    ),
    "imdb_l2": Experiment(
        "4.4 IMDB with an L2 penalty of 0.001",
        "--config imdb --config l2",
        (
            Measure("val loss after 20 epochs, with penalty", "last.val_loss", "0.4200 (notebook)"),
            Measure(
                "rise of val loss from its lowest",
                "rise:val_loss",
                "0.0894 (notebook)",
                below="imdb_smaller",
            ),
        ),
    ),
    "imdb_smaller_33": Experiment(
        "4.4 IMDB 4-4-1 for 33 epochs, as many steps as the book takes",
        "--config imdb --config smaller --trainer.max_epochs 33",
        (Measure("rise of val loss from its lowest", "rise:val_loss", "0.1972 (notebook)"),),
    ),
    "imdb_l2_33": Experiment(
        "4.4 IMDB with the L2 penalty for 33 epochs",
        "--config imdb --config l2 --trainer.max_epochs 33",
        (
            Measure(
                "rise of val loss from its lowest",
                "rise:val_loss",
                "0.0894 (notebook)",
                below="imdb_smaller_33",
            ),
        ),
    ),
    "imdb_dropout": Experiment(
        "4.4 IMDB with dropout of 0.5",
        "--config imdb --config dropout",
        (
            Measure("val loss after 20 epochs", "last.val_loss", "0.5358 (notebook)", below="imdb"),
            Measure("rise of val loss from its lowest", "rise:val_loss", "0.2586 (notebook)"),
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
    "housing_kfold": Experiment(
        "3.6 Boston, 4 contiguous folds, 100 epochs, batch 1",
        "--config housing_kfold",
        (
            Measure(
                "mean of the folds' MAE",
                "mean.val_mae",
                "2.3838 (notebook), 2.9948 (book)",
                2.2,
                3.0,
            ),
            Measure("standard deviation over the folds", "std.val_mae", "0.38 (notebook)"),
        ),
        tool="crossval",
    ),
    "housing_kfold_leaky": Experiment(
        "3.6 the same, scaled by all rows as in the book",
        "--config housing_kfold --leaky_scaling",
        (
            Measure(
                "mean of the folds' MAE",
                "mean.val_mae",
                "2.3838 (notebook), 2.9948 (book)",
                2.2,
                3.0,
            ),
        ),
        tool="crossval",
    ),
    "housing_kfold_500": Experiment(
        "3.6 the same folds for 500 epochs",
        "--config housing_kfold --trainer.max_epochs 500",
        (
            Measure("epoch of the lowest smoothed MAE", "best_epoch", "80 (book)", 40, 130),
            Measure("the lowest smoothed MAE", "best_value", "none"),
            Measure("mean of the folds' MAE at epoch 500", "mean.val_mae", "none"),
        ),
        tool="crossval",
    ),
    "housing_repeated": Experiment(
        "4.2 Boston, 10 repeats of 4 shuffled folds",
        "--config housing_kfold --data.split_seed 0 --repeats 10",
        (
            Measure("mean of 40 folds' MAE", "mean.val_mae", "none", 2.2, 3.0),
            Measure("standard deviation over the folds", "std.val_mae", "none"),
        ),
        tool="crossval",
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
    "cats_dogs_repeated": Experiment(
        "4.2 MobileNetV2's cached features, 3 repeats of 4 folds of the 3,000 images, 150 px",
        f"--config cats_dogs_features {MOBILENET} --data.split_seed 0 --repeats 3",
        (
            Measure("mean of 12 folds' val acc", "mean.val_acc", "none"),
            Measure("standard deviation over the folds", "std.val_acc", "none"),
        ),
        tool="crossval",
    ),
    "cats_dogs_mobilenet_224": Experiment(
        "5.3 the same at 224 px",
        f"--config cats_dogs_features {MOBILENET} --data.image_size 224",
        (Measure("test acc", "test.test_acc", "none", 0.975),),
    ),
    "cats_dogs_mobilenet_retrained": Experiment(
        "5.3 the same, retrained on the training and validation images",
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
