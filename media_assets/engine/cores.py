"""How many processor cores this process may really use: affinity and container quota, not all there are."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def n_usable_cores(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Cores that this process may use, at least 1: the smaller of CPU affinity and cgroup v2 quota."""
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    n_allowed = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(n_allowed, _n_in_quota(quota_file) or n_allowed))


def _n_in_quota(quota_file: Path) -> int | None:
    """`cpu.max` holds `"<quota> <period>"` in microseconds, or `"max <period>"` (kernel, cgroup-v2)."""
    try:
        quota, period = quota_file.read_text().split()[:2]
        return None if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
