"""Landlock: the kernel takes file, network and signal rights from this process, root included.

Structures, numbers and rights follow the kernel's `include/uapi/linux/landlock.h` and its userspace
documentation. Rights that a kernel does not know yet are left out and reported. Descriptors that are open
already keep
working.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

# system call numbers are the same on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# version -> number of file rights that it knows, lowest bits first
_N_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_BIND_AND_CONNECT_TCP = 0b11  # since version 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # since version 6


def version() -> int:
    """The kernel's Landlock version, 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, _syscall(_CREATE_RULESET, None, 0, _ASK_VERSION))


def restrict(readable: Iterable[Path]) -> list[str]:
    """From now on only read, and only at or below these paths; no TCP, no signals to others.

    Needs no-new-privileges or the right to administer. Returns what this kernel cannot hold.
    """
    known = version()
    if not known:
        return ["file access (landlock)", "tcp (landlock)", "signals (landlock)"]
    ruleset = _create_ruleset(known)
    if ruleset < 0:
        return ["file access (landlock)", "tcp (landlock)", "signals (landlock)"]
    try:
        for path in readable:
            _allow_reading(ruleset, path)
        is_held = _syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)
    missing = [] if is_held else ["file access (landlock)"]
    missing += ["tcp (landlock)"] if known < 4 or not is_held else []
    missing += ["signals (landlock)"] if known < 6 or not is_held else []
    # rules reach the calling thread and its later children only
    missing += ["threads started while importing (landlock)"] if _n_threads() > 1 else []
    return missing


def _create_ruleset(known: int) -> int:
    file_rights = (1 << _N_FILE_RIGHTS.get(known, 16)) - 1
    attributes = struct.pack("=Q", file_rights)
    if known >= 4:
        attributes += struct.pack("=Q", _BIND_AND_CONNECT_TCP)
    if known >= 6:
        attributes += struct.pack("=Q", _ABSTRACT_SOCKETS_AND_SIGNALS)
    return _syscall(_CREATE_RULESET, attributes, len(attributes), 0)


def _allow_reading(ruleset: int, path: Path) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what cannot be opened stays closed
    try:
        rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        _syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _n_threads() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return threading.active_count()


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *wide))
