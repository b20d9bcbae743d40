"""Time the patterns of a layer's filters, all together and one by one, and write the table.

    python benchmarks/filter_speed.py --rounds 5

The networks are torchvision's with random weights, which take as long as trained ones. Both ways
make the book's images: no jitter, no border, and the network runs no further than the layer.
They are measured in turn, round after round, so that a machine whose speed drifts drifts for both.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from dlp.cli import keep_freed_memory
from dlp.visualization import filter_patterns

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def one_by_one(model: nn.Module, layer: str, filters: Sequence[int], steps: int) -> Tensor:
    """Return the patterns as section 5.4 makes them: an ascent for each filter in turn."""
    layers = model.features[: int(layer.removeprefix("features.")) + 1]
    patterns = []
    for number in filters:
        image = torch.rand(1, 3, 64, 64) * 20 + 128
        for _ in range(steps):
            image = image.detach().requires_grad_()
            loss = layers(image / 255)[:, number].mean()
            (gradient,) = torch.autograd.grad(loss, image)
            image = image + gradient / (gradient.square().mean().sqrt() + 1e-12)
        image = image.detach() - image.mean()
        patterns.append((image / (image.std() + 1e-5) * 0.1 + 0.5).clamp(0, 1))
    return torch.cat(patterns)


def together(model: nn.Module, layer: str, filters: Sequence[int], steps: int) -> Tensor:
    """Return the patterns of `filter_patterns`, with the book's settings."""
    return filter_patterns(model, layer, filters, size=64, steps=steps, jitter=0, border=0)


def row(model: nn.Module, name: str, layer: str, count: int, steps: int, rounds: int) -> str:
    """Return the table's line for one layer."""
    taken: dict[str, list[float]] = {"together": [], "one by one": []}
    for _ in range(rounds):
        for way, make in (("together", together), ("one by one", one_by_one)):
            start = time.perf_counter()
            make(model, layer, range(count), steps)
            taken[way].append(time.perf_counter() - start)
    ratios = [slow / fast for fast, slow in zip(*taken.values(), strict=True)]
    return f"| {name} | {_spread(taken['one by one'])} | {_spread(taken['together'])} | " + (
        f"{_spread(ratios)} |"
    )


def _spread(values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def put(name: str, table: str) -> None:
    """Put a table between its markers in docs/benchmarks.md."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = PAGE.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise SystemExit(f"{PAGE} has no markers {begin} and {end}.\n\n{table}")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    PAGE.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    keep_freed_memory()
    lines = [
        "| layer | one by one, s: median (min to max) | together, s | ratio |",
        "|---|---|---|---|",
    ]
    chosen = {
        "vgg16": {"block2_conv1": "features.5", "block4_conv1": "features.17"},
        "mobilenet_v2": {"features.4": "features.4", "features.14": "features.14"},
    }
    sizes = (options.filters, options.steps, options.rounds)
    for network, layers in chosen.items():
        model = torchvision.models.get_model(network).eval().requires_grad_(False)
        for name, layer in layers.items():
            lines.append(row(model, f"{network}, `{name}`", layer, *sizes))
    lines += [
        "",
        f"{options.rounds} interleaved rounds, {options.filters} filters, {options.steps} steps, "
        f"64 x 64, torch {torch.__version__}, {torch.get_num_threads()} threads.",
    ]
    put("filters", "\n".join(lines))


if __name__ == "__main__":
    main()
