"""Tiny data sets in the true format of their origin."""

import numpy as np


def points_table(path, rows=120, seed=0):
    """Write a CSV with two numbers, a category and a class that follows from them."""
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, rows))
    kind = generator.choice(["red", "green", "blue"], rows)
    label = np.where(x + y + (kind == "red") > 0.3, "yes", "no")
    lines = [f"{a:.4f},{b:.4f},{k},{c}" for a, b, k, c in zip(x, y, kind, label, strict=True)]
    path.write_text("\n".join(["x,y,kind,label", *lines]) + "\n", encoding="utf-8")
    return path
