"""A small convnet with all that a look at it could disturb."""

import torch
from torch import nn


class Awkward(nn.Module):
    """Convnet with batch normalisation, dropout, in-place ReLU, and a failure on demand."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(4, 5, 3)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.output = nn.Linear(5, 3)
        self.unused = nn.Conv2d(1, 1, 1)
        self.fails = False

    def forward(self, images):
        maps = self.pool(self.relu(self.norm(self.conv1(images))))
        maps = self.act(self.conv2(maps))
        if self.fails:
            raise RuntimeError("out of order")
        return self.output(self.drop(maps.mean((2, 3))))


IMAGES = torch.rand(2, 3, 14, 12, generator=torch.Generator().manual_seed(1))
