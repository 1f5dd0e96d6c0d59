"""How much of the machine this process may use, which is less than all of it under a scheduler such as SLURM."""

import os


def n_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_threads() -> int:
    """Threads to compute with: one for each core, or what OMP_NUM_THREADS says if that is less."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(n_cores(), int(limit)) if limit.isdigit() and int(limit) else n_cores()
