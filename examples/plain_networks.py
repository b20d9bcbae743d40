"""A network of dlp as a plain nn.Module, in a hand-written training loop without Lightning.

`python examples/plain_networks.py` trains a convnet on the digits that come with scikit-learn.
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from dlp.modules import ConvNet, KerasRMSprop

torch.manual_seed(0)
torch.set_num_threads(1)  # one thread is fastest for a small model
pixels, digits = load_digits(return_X_y=True)
order = torch.randperm(len(pixels))
images = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)[order] / 16
labels = torch.tensor(digits)[order]
images, test_images = images[:1400], images[1400:]
labels, test_labels = labels[:1400], labels[1400:]

network = ConvNet((1, 8, 8), num_outputs=10, channels=[16, 32], padding="same", dense=[32])
optimizer = KerasRMSprop(network.parameters())
for epoch in range(1, 11):
    network.train()
    total = 0.0
    for batch in torch.randperm(len(images)).split(32):
        loss = F.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    print(f"epoch {epoch}: training loss {total / len(images):.3f}")

network.eval()
with torch.no_grad():
    right = network(test_images).argmax(dim=1) == test_labels
print(f"test accuracy {right.float().mean():.3f}")
