"""What each layer of the convnet for cats and dogs takes of a training step, and of the peak.

    python benchmarks/layer_profile.py

A step on random images, as the recipes' batches are (20 of 150 x 150), with torch's profiler: the
least of some steps for each operation. Both gradients of a convolution, by its inputs and by its
weights, are one operation; the first one has no gradient by its inputs.
"""

from typing import Any

import torch
import torch.nn.functional as F
from machine_limits import machine_peaks
from tables import number, put, table
from torch.profiler import ProfilerActivity, profile

from dlp.cli import keep_freed_memory
from dlp.modules import ConvNetModule

STEPS = 12
BATCH = 20
GRADIENTS = "gradients of convolution"
#: Operation of the profiler -> what it does; all others are one row.
KINDS = {
    "aten::mkldnn_convolution": "convolution",
    "aten::convolution_backward": GRADIENTS,
    "aten::mkldnn_max_pool2d": "max pooling",
    "aten::mkldnn_max_pool2d_backward": "gradient of max pooling",
}


def convolution_flops(kind: str, shapes: list[list[int]]) -> int:
    """Return the operations of a convolution, or of its gradients, from the profiler's shapes."""
    inputs, weight = (shapes[1], shapes[2]) if kind == GRADIENTS else (shapes[0], shapes[1])
    count, channels, height, width = inputs
    filters, _, *kernel = weight
    places = (height - kernel[0] + 1) * (width - kernel[1] + 1)
    products = 2 if kind == GRADIENTS and channels > 3 else 1
    return 2 * products * count * places * filters * channels * kernel[0] * kernel[1]


def profiled(bf16: bool) -> dict[tuple[str, str], tuple[float, int]]:
    """Return (operation, shape) -> milliseconds and operations, of a training step."""
    model = ConvNetModule((3, 150, 150), 1, "sigmoid", channels=(32, 64, 128, 128), dense=(512,))
    model.train()
    optimizer: Any = model.configure_optimizers()
    images, targets = torch.rand(BATCH, 3, 150, 150), torch.randint(0, 2, (BATCH, 1)).float()
    found: dict[tuple[str, str], tuple[float, int]] = {}
    for step in range(STEPS):
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(images)
            F.binary_cross_entropy_with_logits(logits.float(), targets).backward()
            optimizer.step()
            optimizer.zero_grad()
        rest = 0.0
        for event in seen.key_averages(group_by_input_shape=True) if step > 2 else ():
            took, kind = event.self_cpu_time_total / 1000, KINDS.get(event.key)
            if kind is None:
                rest += took
                continue
            flops = convolution_flops(kind, event.input_shapes) if "conv" in event.key else 0
            maps = event.input_shapes[1 if kind == GRADIENTS else 0]
            key = kind, " x ".join(map(str, maps[1:]))
            found[key] = min(took, found.get(key, (took, 0))[0]), flops
        if step > 2:
            key = "all the rest", ""
            found[key] = min(rest, found.get(key, (rest, 0))[0]), 0
    return found


def main() -> None:
    """Profile both precisions, print and write the table."""
    keep_freed_memory()
    torch.manual_seed(0)
    peak = machine_peaks(torch.get_num_threads())
    rows = []
    plain, mixed = profiled(False), profiled(True)
    for (kind, maps), (took, flops) in sorted(plain.items(), key=lambda item: -item[1][0]):
        cells = [f"{kind} of {maps}" if maps else kind, number(flops / 1e9) if flops else "-"]
        for milliseconds, name in ((took, "float32"), (mixed[kind, maps][0], "bfloat16")):
            share = f"{flops / milliseconds / 1e-3 / peak[name]:.0%}" if flops else "-"
            cells += [number(milliseconds), share]
        rows.append(cells)
    sums = [sum(took for took, _ in found.values()) for found in (plain, mixed)]
    rows.append(["their sum", "-", number(sums[0]), "-", number(sums[1]), "-"])
    header = ["operation", "GFLOP", "float32, ms", "of the peak", "bf16, ms", "of the peak"]
    written = table(header, rows)
    print(written)
    put("layer profile", written)


if __name__ == "__main__":
    main()
