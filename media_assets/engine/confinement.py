"""What a worker process takes from itself before it opens untrusted bytes.

Lives here: resource limits, ties to the parent, and the order in which everything is laid on. The kernel's
own access rules are in `landlock.py` and `syscall_filter.py`. All of it is for good: nothing here can be
undone by the process. Not here: the wall clock, which only the parent can hold (`worker_process.py`).
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
from pathlib import Path

from media_assets.engine import landlock, syscall_filter
from media_assets.errors import SetupError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_N_OPEN_FILES = 64


def die_with_parent(parent_pid: int) -> list[str]:
    """Have the kernel kill this process when the thread that started it ends; returns what it cannot."""
    missing = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, "death with the parent")
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(1)
    return missing


def confine(memory_bytes: int) -> list[str]:
    """Lay on every limit. Returns the names of protections that this machine does not offer.

    Raises:
        SetupError: more address space is in use already than `memory_bytes` allows.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _N_OPEN_FILES)
    missing = _prctl(_PR_SET_NO_NEW_PRIVS, 1, "no new privileges")
    missing += landlock.restrict(readable_paths())
    missing += syscall_filter.restrict()
    missing += _limit_memory(memory_bytes)
    return missing


def limit_cpu(cpu_seconds: float) -> None:
    """Let this process use so much more CPU time, then be killed by SIGXCPU.

    The kernel counts whole seconds: between `cpu_seconds` and one second more will pass.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + cpu_seconds)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def readable_paths() -> list[Path]:
    """What a decoder may still read: the interpreter, system libraries, imported packages, CPU facts."""
    packages = {
        Path(place)
        for name, module in list(sys.modules.items())
        if "." not in name
        for place in getattr(module, "__path__", [])
    }
    system = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/proc/cpuinfo"]
    machine = ["/proc/self/statm", "/proc/meminfo", "/sys/devices/system/cpu"]
    interpreter = {Path(sys.prefix), Path(sys.base_prefix)}
    wanted = packages | interpreter | {Path(place) for place in system + machine}
    return sorted(place for place in wanted if place != Path("/") and place.exists())


def _limit_memory(memory_bytes: int) -> list[str]:
    try:
        n_pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return ["memory limit"]  # not Linux: RLIMIT_AS is not held there
    used = n_pages * resource.getpagesize()
    if used >= memory_bytes:
        raise SetupError(
            f"the worker's modules take {used} bytes of address space, the limit is {memory_bytes}; "
            "raise WorkerLimits.memory_bytes"
        )
    _limit(resource.RLIMIT_AS, memory_bytes)
    return []


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _prctl(option: int, value: int, name: str) -> list[str]:
    if sys.platform != "linux":
        return [name]
    failed = ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)
    return [name] if failed else []
