"""What one worker process may use. The figures live here; `confinement.py` lays them on the process."""

from __future__ import annotations

from dataclasses import dataclass

from media_assets.errors import SetupError

_MIB = 1024 * 1024


@dataclass(frozen=True)
class WorkerLimits:
    """Limits of one worker process, and of one item in it.

    Attributes:
        memory_bytes: address space of the whole worker, modules included (RLIMIT_AS).
        cpu_seconds: CPU time of one item; the kernel counts in whole seconds, so up to one more may pass.
        wall_seconds: time of one item from handing it over to its answer, whatever the worker does meanwhile.
        max_source_bytes: size of one source, checked before a byte is read.
        max_reply_bytes: size of one answer as it travels back.
        items_per_worker: after so many items a worker is replaced, so that leaks stay bounded.
        start_seconds: time for a worker to start and import the task's module.
    """

    memory_bytes: int = 2048 * _MIB
    cpu_seconds: float = 30.0
    wall_seconds: float = 60.0
    max_source_bytes: int = 256 * _MIB
    max_reply_bytes: int = 512 * _MIB
    items_per_worker: int = 5000
    start_seconds: float = 120.0

    def __post_init__(self) -> None:
        """Refuse figures under which no item could ever pass."""
        for name, value in vars(self).items():
            if not value > 0:
                raise SetupError(f"WorkerLimits.{name} must be above 0, got {value}")
