"""Small versions of the files that the pages in docs mention."""

import shutil

import numpy as np
import pandas as pd

from helpers.sets import image_folder

RANDOM = np.random.default_rng(0)


def houses(folder):
    """Write a table in the format of European spreadsheets, and rows without a price."""
    n = 120
    frame = pd.DataFrame(
        {"nr": np.arange(n), "area": RANDOM.uniform(30, 150, n).round(1)}
    )
    frame["rooms"] = np.where(np.arange(n) % 30 == 7, np.nan, np.arange(n) % 5 + 1)
    frame["city"] = RANDOM.choice(["Köln", "Ulm", "Bonn"], n)
    frame["built"] = pd.date_range("1990-01-15", periods=n, freq="MS").strftime(
        "%d.%m.%Y"
    )
    frame["owner"] = [f"owner {number}" for number in range(n)]
    frame["price"] = (3 * frame["area"] + 40 * (frame["city"] == "Köln")).round(1)
    frame.to_csv(folder / "houses.csv", sep=";", decimal=",", index=False)
    new = frame.drop(columns="price").head(4).replace("Ulm", "Jena")
    new.to_csv(folder / "new.csv", sep=";", decimal=",", index=False)


def reviews(folder):
    """Write texts with quotes and emoji, and their stars."""
    words = ("good", "bad")
    texts = [
        f'a "{word}" film, seen {n % 7} times 🎬' for n in range(30) for word in words
    ]
    stars = [5 if "good" in text else i % 2 + 1 for i, text in enumerate(texts)]
    frame = pd.DataFrame({"review": texts, "stars": stars})
    frame.to_csv(folder / "reviews.csv", index=False)
    frame[["review"]].head(3).to_csv(folder / "new.csv", index=False)


def flowers(folder):
    """Write images of three classes, a table of ages, and one more image."""
    image_folder(folder / "flowers", ("daisy", "rose", "tulip"), count=8, side=32)
    shutil.copy(folder / "flowers/rose/0.png", folder / "new.jpg")
    paths = sorted(path.relative_to(folder) for path in folder.glob("flowers/*/*.png"))
    frame = pd.DataFrame(
        {"file": paths, "age": np.arange(24), "person": np.arange(24) // 2}
    )
    frame.to_csv(folder / "photos.csv", index=False)


def visits(folder):
    """Write visits of patients with their dates."""
    frame = pd.DataFrame(
        {"patient": np.arange(60) // 3, "pulse": RANDOM.normal(70, 9, 60)}
    )
    frame["date"] = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    frame["ill"] = np.where(frame["pulse"] > 70, "yes", "no")
    frame.to_csv(folder / "visits.csv", index=False)


#: Pages whose commands are run in order, and the functions that write their files.
SAMPLES = {
    "docs/start.md": lambda folder: None,  # its digits come with a package
    "docs/data/table.md": houses,
    "docs/data/texts.md": reviews,
    "docs/data/images.md": flowers,
    "docs/how_to/groups_and_time.md": visits,
}
