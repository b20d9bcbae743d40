"""Encode texts as word ids, decode them to words, and encode them as a sparse bag of words.

`python examples/words_and_ids.py` writes pets.csv into the working directory. The most frequent
words have the smallest ids.
"""

from pathlib import Path

from dlp.datamodules import TextDataModule

Path("pets.csv").write_text(
    "text,label\n"
    "the cat sat on the mat,cat\n"
    "the cat saw the bird,cat\n"
    "the dog sat by the door,dog\n"
    "the dog ran after the ball,dog\n",
    encoding="utf-8",
)
# 10 ids leave room for 6 words: id 0 is padding, 1 starts each text, 2 is an unknown word, and 3 is
# unused.
data = TextDataModule("pets.csv", num_words=10, val_size=None)
data.fit()
texts = data.examples("train").inputs
ids, lengths = data.encoder.ids(texts[:1].raw())
print("first text:", texts[:1].raw()[0])
print("ids:", ids.tolist())
print("words:", data.encoder.decode(ids))

bag, targets = next(iter(data.train_dataloader()))
print("sparse:", len(bag.ids), "entries in", len(bag.offsets), "texts; targets", targets.tolist())
print(bag.to_dense(data.input_shape[0]).int())  # the multi-hot matrix of the book
