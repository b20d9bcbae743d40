"""The book's networks in Keras 3, trained as the book does: one measurement of against_keras.py.

    KERAS_BACKEND=jax .venv-jax/bin/python benchmarks/keras_way.py '{"network": "imdb", ...}'

Runs in an environment that has Keras and a backend, and nothing of dlp. All arrays are float32 and
in memory before a clock starts; the compiler is used where Keras uses it by itself; augmentation
runs in tf.data, on all cores, where the backend is TensorFlow (its guide's way), else in the model.
The bar is shown where the book shows one; `Job.tuned` is what a user would try who wants speed.
Prints one line of JSON.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from jobs import Job
from keras import layers, ops

#: Steps of a tuned fit in one call of the compiled function.
STEPS_A_CALL = 32


class BookRMSprop(keras.optimizers.RMSprop):
    """RMSprop as in the book's Keras 2.0.8 and in torch, for the check alone.

    Keras 3 steps by ``lr * g / sqrt(v + 1e-7)``, the book's by ``lr * g / (sqrt(v) + 1e-8)``.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Step one variable."""
        average = self._velocities[self._get_variable_index(variable)]
        self.assign(average, self.rho * average + (1 - self.rho) * ops.square(gradient))
        self.assign_sub(variable, learning_rate * gradient / (ops.sqrt(average) + 1e-8))


def network(job: Job) -> keras.Sequential:
    """Return the network of a job, with the first weights that dlp's has."""
    hidden, outputs, last = {
        "imdb": ((16, 16), 1, "sigmoid"),
        "reuters": ((64, 64), 46, "softmax"),
        "boston": ((64, 64), 1, "linear"),
        "mnist": ((64,), 10, "softmax"),
        "cats_dogs": ((512,), 1, "sigmoid"),
        "vgg16_head": ((256,), 1, "sigmoid"),
        "vgg16": ((256,), 1, "sigmoid"),
    }[job.network]
    shapes = {"imdb": (10000,), "reuters": (10000,), "boston": (13,), "mnist": (28, 28, 1)}
    shape = shapes.get(job.network, (150, 150, 3))
    model = keras.Sequential([keras.Input((8192,) if job.network == "vgg16_head" else shape)])
    if job.augment and job.kind == "fit" and keras.backend.backend() != "tensorflow":
        for layer in augmentation():
            model.add(layer)
    for layer in base(job, shape):
        model.add(layer)
    dropout = [layers.Dropout(job.dropout)] if job.dropout and job.kind == "fit" else []
    before = dropout if job.network != "vgg16_head" else []
    dense = [layers.Dense(units, activation="relu") for units in hidden]
    end = [layers.Dense(outputs, activation=last, dtype="float32")]  # Keras's advice for 16 bits
    for layer in [*before, *dense, *(dropout if not before else []), *end]:
        model.add(layer)
    model.set_weights(job.first_weights())
    return model


def base(job: Job, shape: Sequence[int]) -> list[Any]:
    """Return the convolutional layers, ending in a vector; none for a dense net."""
    if job.network == "vgg16":
        vgg = keras.applications.VGG16(weights=None, include_top=False, input_shape=tuple(shape))
        for layer in vgg.layers:
            layer.trainable = layer.name.startswith("block5")
        return [vgg, layers.Flatten()]
    channels, pools = {
        "mnist": ((32, 64, 64), (2, 2, 0)),
        "cats_dogs": ((32, 64, 128, 128), (2, 2, 2, 2)),
    }.get(job.network, ((), ()))
    made: list[Any] = []
    for filters, pool in zip(channels, pools, strict=True):
        made.append(layers.Conv2D(filters, 3, activation="relu"))
        made += [layers.MaxPooling2D(pool)] if pool else []
    return [*made, layers.Flatten()] if made else []


def augmentation() -> list[Any]:
    """Return the layers of section 5.2's augmentation: 40 degrees, 0.2 of shift, shear and zoom."""
    fill = {"fill_mode": "nearest", "interpolation": "nearest"}
    return [
        layers.RandomRotation(40 / 360, **fill),
        layers.RandomTranslation(0.2, 0.2, **fill),
        layers.RandomShear(0.2, 0.2, **fill),
        layers.RandomZoom(0.2, 0.2, **fill),
        layers.RandomFlip("horizontal"),
    ]


def compiled(job: Job, optimizer: Any = keras.optimizers.RMSprop) -> keras.Sequential:
    """Return the network, ready to train."""
    model, loss = network(job), "binary_crossentropy"
    if job.network in ("reuters", "mnist"):
        loss = "sparse_categorical_crossentropy"
    is_regression = job.network == "boston"
    model.compile(
        optimizer=optimizer(job.lr),
        loss="mse" if is_regression else loss,
        metrics=["mae" if is_regression else "accuracy"],
        steps_per_execution=STEPS_A_CALL if job.tuned else 1,
    )
    return model


class EpochTimes(keras.callbacks.Callback):
    """Notes when each epoch begins, and when the last one has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    def on_train_end(self, logs: Any = None) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())


def fit(job: Job) -> dict[str, Any]:
    """Train; return the seconds of the fit and of each epoch, and the losses."""
    x, y, model = job.inputs("train")[: job.rows], job.targets("train")[: job.rows], compiled(job)
    data: dict[str, Any] = {"x": x, "y": y, "batch_size": job.batch}
    if job.augment and keras.backend.backend() == "tensorflow":
        data = {"x": augmented(x, y, job.batch)}
    if job.validates:
        data["validation_data"] = job.inputs("val"), job.targets("val")
    is_silent = job.tuned or job.network == "boston"  # so is the book's cross-validation
    times, begun = EpochTimes(), time.perf_counter()
    verbose = 0 if is_silent else "auto"
    history = model.fit(**data, epochs=job.epochs, callbacks=[times], verbose=verbose).history
    seconds = time.perf_counter() - begun
    epochs, share = np.diff(times.times).tolist(), len(x) / len(job.targets("train"))
    return {"fit": seconds, "epochs": epochs, "losses": history["loss"], "share": share}


def augmented(x: Any, y: Any, batch: int) -> Any:
    """Return batches that tf.data augments."""
    import tensorflow as tf

    change = keras.Sequential(augmentation())
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(batch)
    data = data.map(lambda a, b: (change(a, training=True), b), num_parallel_calls=-1)
    return data.prefetch(-1)


def check(job: Job) -> dict[str, Any]:
    """Return the losses of single steps on dlp's batches, by the book's RMSprop and Keras's own."""
    if job.kind == "check" and (Path(job.folder) / "features.npy").exists():
        given = base_of(job).predict(job.inputs("batch000"), verbose=0)
        return {"features": np.asarray(given).reshape(len(given), -1).tolist()}
    losses: dict[str, Any] = {}
    for name, optimizer in (("losses", BookRMSprop), ("own losses", keras.optimizers.RMSprop)):
        model, losses[name] = compiled(job, optimizer), []
        for number in range(job.num_checked()):
            batch = f"batch{number:03d}"
            model.reset_metrics()
            values = model.train_on_batch(job.inputs(batch), job.targets(batch))
            losses[name].append(float(values[0]))
    return losses


def base_of(job: Job) -> Any:
    """Return the convolutional base alone."""
    return next(layer for layer in network(job).layers if layer.name == "vgg16")


def features(job: Job) -> dict[str, Any]:
    """Return the seconds of a first batch, and those of all images after it."""
    x, model, times = job.inputs("train"), base_of(job), [time.perf_counter()]
    for images in (x[: job.batch], x):
        model.predict(images, batch_size=job.batch)
        times.append(time.perf_counter())
    return {"fit": times[-1] - times[0], "epochs": np.diff(times).tolist(), "rows": len(x)}


def read(job: Job) -> dict[str, Any]:
    """Return the seconds of passes over JPEG files."""
    if keras.backend.backend() != "tensorflow":
        raise SystemExit("Keras reads files through TensorFlow")
    data = keras.utils.image_dataset_from_directory(
        Path(job.folder) / "jpegs", image_size=(150, 150), batch_size=job.batch, verbose=False
    )
    scale, change = layers.Rescaling(1 / 255), keras.Sequential(augmentation())
    data = data.map(lambda x, _: scale(x), num_parallel_calls=-1)
    data = data.cache() if job.tuned else data
    if job.augment:
        data = data.map(lambda x: change(x, training=True), num_parallel_calls=-1)
    data, times, rows = data.prefetch(-1), [time.perf_counter()], 0
    for _ in range(job.epochs):
        rows = sum(len(batch) for batch in data)
        times.append(time.perf_counter())
    return {"fit": times[-1] - times[0], "epochs": np.diff(times).tolist(), "rows": rows}


def main() -> None:
    """Do one job."""
    job = Job.read(sys.argv[1])
    keras.utils.set_random_seed(0)
    if job.bf16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    result = {"fit": fit, "check": check, "features": features, "input": read}[job.kind](job)
    print(json.dumps({**result, "version": keras.__version__}))


if __name__ == "__main__":
    main()
