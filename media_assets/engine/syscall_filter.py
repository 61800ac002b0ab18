"""A seccomp filter: no sockets, no new processes, no new programs, no reaching into other processes.

It is a short deny list beside Landlock, not a full allow list: decoders may use whatever else their libraries
need. The program follows the kernel's `Documentation/userspace-api/seccomp_filter.rst`; classic BPF over
`seccomp_data` (number at offset 0, architecture at 4, low half of the first argument at 16 on little-endian
machines).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass

_PR_SET_SECCOMP, _FILTER_MODE = 22, 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_CLONE_THREAD = 0x00010000
_X32_NUMBERS = 0x40000000  # a second numbering on x86-64 that would slip through
# the same on both architectures: io_uring_setup and clone3 (libc falls back to clone, which can be judged)
_IO_URING_SETUP, _CLONE3 = 425, 435


@dataclass(frozen=True)
class _Architecture:
    audit_number: int
    clone: int
    # socket, connect, bind, execve, execveat, ptrace, process_vm_readv, process_vm_writev, (fork, vfork)
    refused: tuple[int, ...]


_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, 56, (41, 42, 49, 59, 322, 101, 310, 311, 57, 58)),
    "aarch64": _Architecture(0xC00000B7, 220, (198, 203, 200, 221, 281, 117, 270, 271)),
}


class _Program(ctypes.Structure):
    _fields_ = (("n_instructions", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict() -> list[str]:
    """Lay the filter on this thread and its later children. Returns what this machine cannot hold."""
    missing = ["sockets, processes (seccomp)"]
    architecture = _ARCHITECTURES.get(os.uname().machine)
    if sys.platform != "linux" or architecture is None or sys.maxsize < 2**32:
        return missing
    code = _program(architecture)
    program = _Program(len(code) // 8, code)
    failed = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0)
    return missing if failed else []


def _program(architecture: _Architecture) -> bytes:
    """The filter: every refused call fails with EPERM (clone3: ENOSYS), everything else is allowed."""
    refuse = _REFUSE | errno.EPERM
    steps = [_step(_LOAD, _ARCHITECTURE_AT)]
    steps += [_step(_JUMP_IF_EQUAL, architecture.audit_number, if_true=1), _step(_RETURN, refuse)]
    steps += [_step(_LOAD, _NUMBER_AT)]
    steps += [_step(_JUMP_IF_AT_LEAST, _X32_NUMBERS, if_false=1), _step(_RETURN, refuse)]
    for number in (*architecture.refused, _IO_URING_SETUP):
        steps += [_step(_JUMP_IF_EQUAL, number, if_false=1), _step(_RETURN, refuse)]
    steps += [_step(_JUMP_IF_EQUAL, _CLONE3, if_false=1), _step(_RETURN, _REFUSE | errno.ENOSYS)]
    steps += [_step(_JUMP_IF_EQUAL, architecture.clone, if_false=3), _step(_LOAD, _FIRST_ARGUMENT_AT)]
    steps += [_step(_JUMP_IF_ANY_BIT, _CLONE_THREAD, if_true=1), _step(_RETURN, refuse)]
    steps += [_step(_RETURN, _ALLOW)]
    return b"".join(steps)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction (struct sock_filter); the jumps count instructions to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
