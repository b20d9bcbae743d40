"""Seeds made of seeds: one number for each (run, epoch, layer) with nothing in common."""

import numpy as np


def derived_seed(seed: int, *numbers: int) -> int:
    """Return a seed of 63 bits, a pure function of `seed` and the `numbers` (all 0 or more)."""
    state = np.random.SeedSequence([seed, *numbers]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
