"""Check heat maps: blur the hot part of an image, and measure how far the score falls.

    python benchmarks/heatmap_check.py squeezenet1_0.pth [--images 100]

For each test image of the cats and dogs (below DLP_DATA_DIR), Grad-CAM computes the map of the
class that SqueezeNet considers most likely. The script blurs the hottest fifth of the image. For
comparison, it blurs the same shape after moving it by half an image down, to the right, and both.
A second check: the maps of a network with random weights should differ from the maps of the trained
one (Adebayo et al. 2018). The script writes the table to docs/results.md.
"""

import argparse
import statistics
from pathlib import Path

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn
from torchvision.models import SqueezeNet1_0_Weights, squeezenet1_0
from torchvision.transforms.v2.functional import gaussian_blur, normalize

from dlp.datamodules import CatsVsDogsDataModule
from dlp.visualization import GradCAM

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- heatmaps: begin -->", "<!-- heatmaps: end -->"
SIZE, HOT = 224, 0.2


class Normalised(nn.Module):
    """A network that standardises images in [0, 1] as its weights require.

    Args:
        network: Network that takes standardised images.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        made = SqueezeNet1_0_Weights.IMAGENET1K_V1.transforms()
        self.mean, self.std = made.mean, made.std

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, (N, 1000)."""
        logits: Tensor = self.network(normalize(images, self.mean, self.std))
        return logits


def test_images(count: int) -> Tensor:
    """Return test images, half of each class, (count, 3, 224, 224)."""
    data = CatsVsDogsDataModule(image_size=SIZE)
    targets = data.test_dataloader().targets
    assert targets is not None
    rows = torch.cat([torch.where(targets == kind)[0][: count // 2] for kind in (0, 1)])
    images: Tensor = data.inputs("test")[rows]
    return images


@torch.no_grad()
def probability(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """Return the probability of one given class for each image, (N,)."""
    return model(images).softmax(1).gather(1, classes.unsqueeze(1))[:, 0]


def falls(model: nn.Module, images: Tensor) -> tuple[list[float], list[float], Tensor]:
    """Return how far each score falls if the hot part or a moved shape is blurred, and the maps."""
    with torch.no_grad():
        classes = model(images).argmax(1)
    with GradCAM(model, "network.features") as cam:
        maps = cam(images, classes)
    large = F.interpolate(maps.unsqueeze(1), (SIZE, SIZE), mode="bilinear")[:, 0]
    cut = large.flatten(1).quantile(1 - HOT, dim=1)
    hot = (large > cut[:, None, None]).unsqueeze(1).float()
    blurred = gaussian_blur(images, [61, 61], [15.0, 15.0])
    before = probability(model, images, classes)

    def fall(mask: Tensor) -> Tensor:
        return before - probability(model, images.lerp(blurred, mask), classes)

    half = SIZE // 2
    moved = [fall(hot.roll(shift, (2, 3))) for shift in ((half, 0), (0, half), (half, half))]
    return fall(hot).tolist(), torch.stack(moved).mean(0).tolist(), maps


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", type=int, default=100)
    given = parser.parse_args()
    torch.manual_seed(0)
    network = squeezenet1_0()
    random = Normalised(squeezenet1_0()).eval()
    network.load_state_dict(torch.load(given.weights, weights_only=True))
    model = Normalised(network).eval()
    images = test_images(given.images)
    hot, moved, maps = falls(model, images)
    _, _, other = falls(random, images)
    more = [one - two for one, two in zip(hot, moved, strict=True)]
    alike = [
        float(spearmanr(one, two).statistic)
        for one, two in zip(maps.flatten(1), other.flatten(1), strict=True)
        if one.std() > 0 and two.std() > 0
    ]
    lines = ["| number | mean | standard error |", "|---|---|---|"]
    for label, values in (
        ("fall of the score, hottest fifth blurred", hot),
        ("fall of the score, the same shape moved", moved),
        ("the first less the second", more),
        ("rank correlation of the maps with those of random weights", alike),
    ):
        error = statistics.stdev(values) / len(values) ** 0.5
        lines.append(f"| {label} | {statistics.fmean(values):.3f} | {error:.3f} |")
    count = f"{len(images)} images; the hot part counted more in "
    lines += ["", f"{count}{sum(value > 0 for value in more)} of them."]
    table = "\n".join(lines)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
