"""Tiny data sets in the original formats."""

import numpy as np
import pandas as pd
from PIL import Image

from dlp import datamodules

POINTS_RECIPE = """\
data:
  class_path: TableDataModule
  init_args: {path: points.csv, target: label, test_size: 0.2}
model:
  class_path: DenseModule
  init_args: {head: sigmoid, hidden: [8], dropout: 0.2}
trainer: {max_epochs: 3, enable_progress_bar: false, enable_model_summary: false}
"""
ROWS = 40
LABELS = np.array(["no", "yes"], object)[np.arange(ROWS) % 2]
GROUPS = np.array([f"owner {number // 4}" for number in range(ROWS)], object)
TIMES = np.random.default_rng(2).permutation(ROWS)


def points_table(path, rows=120, seed=0):
    """Write a CSV with two numbers, a category, and a class that depends on them."""
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, rows))
    kind = generator.choice(["red", "green", "blue"], rows)
    label = np.where(x + y + (kind == "red") > 0.3, "yes", "no")
    lines = [
        f"{a:.4f},{b:.4f},{k},{c}" for a, b, k, c in zip(x, y, kind, label, strict=True)
    ]
    path.write_text("\n".join(["x,y,kind,label", *lines]) + "\n", encoding="utf-8")
    return path


def write_points(folder):
    """Write the table of points and its recipe, points.yaml."""
    points_table(folder / "points.csv")
    (folder / "points.yaml").write_text(POINTS_RECIPE, encoding="utf-8")


def image_folder(path, classes=("cats", "dogs"), count=6, side=12, seed=0):
    """Write a folder of noisy PNGs with one subfolder per class; the second class is brighter."""
    generator = np.random.default_rng(seed)
    for label, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 100, (side, side, 3)) + 100 * (label % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(path / name / f"{number}.png")
    return path


def numbers(changed=False):
    """Return 40 rows of 3 numbers. The last two equal the first two unless these are changed."""
    x = np.random.default_rng(0).normal(3, 2, (ROWS, 3)).round(3)
    x[-2:] = x[:2]
    x[:10] += 100 * changed
    return x


def write_rows(folder, columns, changed=False):
    """Write columns of the set to rows.csv, and five rows without labels to new.csv."""
    x = numbers(changed)
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame["text"] = [" ".join(f"word{int(value * 2)}" for value in row) for row in x]
    frame["image"] = [f"{number}.png" for number in range(ROWS)]
    frame[columns].head(5).to_csv(folder / "new.csv", index=False)
    frame = frame[columns].assign(label=LABELS, owner=GROUPS, sold=TIMES)
    frame.to_csv(folder / "rows.csv", index=False)


def _options(folder, grouped, timed, predict):
    return {
        "group_column": "owner" if grouped else None,
        "time_column": "sold" if timed else None,
        "predict_path": str(folder / "new.csv") if predict else None,
    }


def array_data(
    folder, changed=False, grouped=False, timed=False, predict=False, **arguments
):
    """Return the set as arrays."""
    arguments.setdefault("scaling", "standard")
    arguments["x_predict"] = numbers()[:5] if predict else None
    arguments["groups"] = GROUPS if grouped else None
    return datamodules.ArrayDataModule(numbers(changed), LABELS, **arguments)


def table_data(
    folder, changed=False, grouped=False, timed=False, predict=False, **arguments
):
    """Return the set as a table."""
    write_rows(folder, ["a", "b", "c"], changed)
    arguments = _options(folder, grouped, timed, predict) | arguments
    arguments["drop_columns"] = ["owner"] * (not grouped) + ["sold"] * (not timed)
    return datamodules.TableDataModule(folder / "rows.csv", "label", **arguments)


def text_data(
    folder, changed=False, grouped=False, timed=False, predict=False, **arguments
):
    """Return the set as texts."""
    write_rows(folder, ["text"], changed)
    options = {"num_words": 30, "encoding": "tfidf", "label_column": "label"}
    options |= _options(folder, grouped, timed, predict) | arguments
    return datamodules.TextDataModule(str(folder / "rows.csv"), **options)


def image_data(
    folder, changed=False, grouped=False, timed=False, predict=False, **arguments
):
    """Return the set as images of one colour."""
    write_rows(folder, ["image"], changed)
    for number, row in enumerate(numbers(changed)):
        colour = tuple(int(9 * value) % 256 for value in row)
        Image.new("RGB", (8, 8), colour).save(folder / f"{number}.png")
    options = {"target": "label", "image_size": 8}
    options |= _options(folder, grouped, timed, predict) | arguments
    return datamodules.ImageFolderDataModule(folder / "rows.csv", **options)


#: Functions ``(folder, changed, grouped, timed, predict, **arguments)`` that return this set.
#: `changed` changes the inputs of the first ten rows; `predict` adds the first five rows without
#: labels.
DATA_MODULES = {
    "arrays": array_data,
    "table": table_data,
    "text": text_data,
    "images": image_data,
}
