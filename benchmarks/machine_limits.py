"""How fast this machine multiplies, moves and decodes, and how long a step takes it at least."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from dlp.dense_product import linear

#: Bytes that RMSprop moves for each weight of 4: it reads the weight, its gradient and the average
#: of squares, and writes the weight and the average.
MOVED = 5 * 4
#: Bytes up to which the operands of a product stay in a processor's cache.
CACHED = 8 << 20


def rate(work: float, step: Callable[[], Any]) -> float:
    """Return the most work a second of several rounds."""
    took = []
    step()
    while len(took) < 3 or sum(took) < 0.5:
        begun = time.perf_counter()
        step()
        took.append(time.perf_counter() - begun)
    return work / min(took)


@torch.inference_mode()
def machine_peaks(threads: int) -> dict[str, float]:
    """Return operations a second of each number type, by the best way, and bytes a second."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    found: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        name, ways = str(dtype).removeprefix("torch."), []
        for side in (1024, 2048):
            a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
            ways.append(rate(2 * side**3, lambda a=a, b=b: a @ b))
            ways.append(rate(2 * side**3, lambda a=a, b=b: linear(a, b)))
        for kernel in (1, 3):  # oneDNN, whose products may be others than those of `@`
            images = torch.randn(8, 256, 56, 56).to(dtype, memory_format=torch.channels_last)
            layer = torch.nn.Conv2d(256, 256, kernel, padding=kernel // 2)
            layer = layer.to(dtype=dtype).to(memory_format=torch.channels_last)
            flops = 2 * 8 * 56 * 56 * 256 * 256 * kernel**2
            ways.append(rate(flops, lambda layer=layer, images=images: layer(images)))
        found[name] = max(ways)
    for place, size in (("memory", 256 << 20), ("cache", 1 << 19)):
        a, b = torch.ones(size, dtype=torch.uint8), torch.ones(size, dtype=torch.uint8)
        found[place] = rate(2 * size, lambda a=a, b=b: b.copy_(a))
    torch.set_num_threads(before)
    return found


def limit(noted: dict[str, Any], peak: dict[str, float], times: float = 1.0) -> tuple[float, float]:
    """Return the operations of a step and the seconds that the machine needs for it at least."""

    def moving(size: float) -> float:
        return size / peak["cache" if size < CACHED else "memory"]

    flops = sum(one[0] for one in noted["products"]) + noted["sparse"]
    seconds = noted["sparse"] / peak["float32"] + moving(MOVED * noted["trained"])
    for operations, size, kind in noted["products"]:
        seconds += max(operations / peak[kind], moving(size))
    return times * flops, times * seconds


def decoding_rate(files: Sequence[Path], threads: int) -> float:
    """Return how many files a second Pillow decodes at their full size, on all threads."""

    def decode(file: Path) -> None:
        with Image.open(file) as image:
            image.convert("RGB")

    with ThreadPoolExecutor(threads) as pool:
        return rate(len(files), lambda: [*pool.map(decode, files)])
