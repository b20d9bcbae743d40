"""Small image files, each of other pixels, for the tests of the image DataModules."""

import numpy as np
from PIL import Image


def pixels(seed, size=(8, 10)):
    """Return noise, uint8 (H, W, 3): another one for every seed."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def write_image(path, seed=0, size=(8, 10)):
    """Write noise as a file without loss (by its ending: PNG, BMP ...) and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, size)).save(path)
    return path


def write_classes(folder, counts, start=0, size=(8, 10), ending=".png"):
    """Write ``folder/<class>/<seed>.png``, so many of each class, and return the folder."""
    seed = start
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            write_image(folder / name / f"{seed:03}{ending}", seed, size)
            seed += 1
    return folder


def rows_of(data, part):
    """Return pixels (N, C, H, W) as uint8 and targets of a part, in the order of the files."""
    examples = data.examples(part)
    stored = examples.rows
    return np.asarray(stored.pixels[stored.rows]).transpose(0, 3, 1, 2), examples.targets
