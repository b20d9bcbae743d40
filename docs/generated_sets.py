"""Larger copies of the reference sets, on which the notebooks run without a network.

Reviews, newswires and photographs here are noise with a pattern in it: networks learn, overfit and
disagree on them as on real ones, only sooner.
"""

from pathlib import Path

import numpy as np
from helpers.reference_sets import write_reviews, write_wires
from PIL import Image

from dlp.datamodules.text.reuters import CLASS_NAMES

NUM_WORDS = 2000
#: Number of words that one class prefers.
NUM_SIGNS = 20


def write_sets(folder: Path) -> str:
    """Write reviews, cats and dogs, and newswires; return the SHA-256 of these."""
    rng = np.random.default_rng(0)
    write_imdb(folder / "imdb/plain_text", rng)
    write_cats_dogs(folder / "cats_vs_dogs/train", rng)
    return write_reuters(folder / "reuters21578", rng)


def draw_text(rng: np.random.Generator, label: int, num_words: int, share: float) -> str:
    """Draw words by Zipf's law; `share` of them are signs of the class."""
    words = np.minimum(rng.zipf(1.3, num_words), NUM_WORDS)
    signs = NUM_WORDS + NUM_SIGNS * label + rng.integers(0, NUM_SIGNS, num_words)
    is_sign = rng.random(num_words) < share
    return " ".join(f"word{number}" for number in np.where(is_sign, signs, words))


def write_imdb(folder: Path, rng: np.random.Generator) -> None:
    """Write 8,000 and 2,000 reviews, sorted by label as on the Hub."""
    for part, count in (("train", 8000), ("test", 2000)):
        labels = np.arange(count) * 2 // count
        # One review in ten has the signs of the other class.
        classes = labels ^ (rng.random(count) < 0.1)
        texts = [draw_text(rng, label, 60, share=0.04) for label in classes]
        write_reviews(folder, part, texts, labels)


def write_reuters(folder: Path, rng: np.random.Generator) -> str:
    """Write 4,646 newswires of 46 topics, at least 16 of each."""
    frequencies = 1 / np.arange(1, len(CLASS_NAMES) + 1)
    frequencies /= frequencies.sum()
    topics = rng.choice(len(CLASS_NAMES), 4600 - 15 * len(CLASS_NAMES), p=frequencies)
    topics = rng.permutation(np.concatenate([topics, np.repeat(np.arange(len(CLASS_NAMES)), 15)]))
    # Topics are numbered by their first appearance.
    topics = np.concatenate([np.arange(len(CLASS_NAMES)), topics])
    wires = [(CLASS_NAMES[topic], draw_text(rng, topic, 60, share=0.1)) for topic in topics]
    return write_wires(folder, wires)


def write_cats_dogs(folder: Path, rng: np.random.Generator) -> None:
    """Write 1,000 photographs per class: stripes that lean to the left or to the right."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[:64, :64]
    for label, name in enumerate(("cat", "dog")):
        direction = x + y if label else x - y
        for number in range(1000):
            stripes = np.sin(direction * rng.uniform(0.3, 0.6) + rng.uniform(0, 6))
            noise = rng.normal(128, 50, (64, 64, 3))
            pixels = np.clip(noise + rng.uniform(10, 40) * stripes[..., None], 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.{number}.jpg")
