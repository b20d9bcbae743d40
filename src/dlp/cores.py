"""How many processors there are for this process."""

import os


def num_cores() -> int:
    """Return how many processors this process may use: taskset or a cluster may give it some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
