"""What a text becomes: ids by frequency, words again, and the sparse row of a bag of words.

python examples/words_and_ids.py: writes pets.csv into the working directory.
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
data = TextDataModule("pets.csv", num_words=10, val_size=None)  # 10 ids: room for 6 words

ids = data.encode_text("The cat sat on the sofa")
print("ids:", ids)  # 1 begins each text, 2 is a word the vocabulary lacks, words start at 4
print("words:", data.decode(ids))
print("the first training text:", data.decode(data.sequence("train", 0)))

bag, targets = next(iter(data.train_dataloader()))
print("sparse:", len(bag.ids), "entries for", len(bag.offsets), "texts; targets", targets.tolist())
print(bag.to_dense(data.input_shape[0]).int())  # the multi-hot matrix the book builds
