"""Texts of one's own: a CSV of reviews, a bag of words, and new sentences judged.

python examples/own_texts.py: writes reviews.csv and new.txt into the working directory.
"""

import csv
from itertools import product
from pathlib import Path

import torch
from lightning import Trainer

from dlp.datamodules import TextDataModule
from dlp.modules import DenseModule

torch.manual_seed(0)
torch.set_num_threads(1)  # the fastest for models this small
NOUNS = ["film", "plot", "cast", "music", "ending", "script"]
GOOD = ["wonderful", "moving", "brilliant", "charming"]
BAD = ["dull", "awful", "tedious", "clumsy"]
NEW = ["What a charming and moving film!", "An awful script, and the ending is dull."]

with Path("reviews.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["review", "opinion"])
    for opinion, words in (("good", GOOD), ("bad", BAD)):
        for noun, other, word in product(NOUNS, NOUNS, words):
            writer.writerow([f"The {noun} was {word}, as was the {other}.", opinion])
Path("new.txt").write_text("\n".join(NEW), encoding="utf-8")

data = TextDataModule("reviews.csv", "review", "opinion", predict_path="new.txt", test_size=0.2)
model = DenseModule(data.input_shape, data.num_outputs, head="sigmoid", hidden=[8])
trainer = Trainer(max_epochs=30, logger=False, enable_checkpointing=False)
trainer.fit(model, data)
trainer.test(model, data)
for batch in trainer.predict(model, data):
    for index, row in zip(batch["index"], batch["probabilities"], strict=True):
        print(f"{data.class_names[row.argmax()]:>4} ({row.max():.2f}): {NEW[index]}")
