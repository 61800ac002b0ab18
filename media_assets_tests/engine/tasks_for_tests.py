"""Functions for worker processes to run in tests: well-behaved, broken and hostile ones."""

from __future__ import annotations

import ctypes
import hashlib
import io
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from media_assets.engine.protocol import Reply
from media_assets.errors import ErrorCode, ItemError


class Ask(msgspec.Struct, frozen=True):
    """What to do with the bytes: the name of a behaviour below, and its argument."""

    behaviour: str = "digest"
    argument: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What was found out."""

    text: str
    n_bytes: int = 0
    pid: int = 0
    raw: bytes = b""


class Other(msgspec.Struct, frozen=True):
    """Not an Answer."""

    something: int = 1


def behave(data: bytes, request: Ask) -> Answer:
    """Do what the request names."""
    return _BEHAVIOURS[request.behaviour](data, request.argument)


def behave_on_file(file: io.BufferedIOBase, request: Ask) -> Answer:
    """Look at a file without reading all of it; `request.argument` is a path to shorten meanwhile."""
    if request.behaviour == "ends":
        head = file.read(3)
        n_bytes = file.seek(0, os.SEEK_END)
        file.seek(-min(3, n_bytes), os.SEEK_END)
        return Answer((head + file.read()).hex(), n_bytes, raw=head)
    if request.behaviour == "shorten":
        os.truncate(request.argument, 1)
        return Answer("")
    return behave(file.read(), request)


def of_files(files: Sequence[tuple[str, bytes]]) -> Callable[[bytes, Ask], Answer]:
    """Makes a function that tells what it was made of, by which process, and its how manieth call this is."""
    made_by, n_calls = os.getpid(), 0

    def told(data: bytes, request: Ask) -> Answer:
        nonlocal n_calls
        n_calls += 1
        return Answer(f"{n_calls} {dict(files)}", len(data), pid=made_by)

    return told


def nothing(data: bytes, request: Ask) -> Answer:
    """As little as possible, to measure the engine."""
    return Answer("", len(data))


def pid_only(data: bytes, request: Ask) -> Answer:
    """Which process it is."""
    return Answer("", pid=os.getpid())


def _digest(data: bytes, argument: str) -> Answer:
    return Answer(hashlib.sha256(data).hexdigest(), len(data), raw=data[:10])


def _segfault(data: bytes, argument: str) -> Answer:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError("unreachable")


def _leave(data: bytes, argument: str) -> Answer:
    os._exit(int(argument or "3"))


def _sleep(data: bytes, argument: str) -> Answer:
    time.sleep(float(argument or "600"))
    return Answer("slept", len(data), pid=os.getpid())


def _stop(data: bytes, argument: str) -> Answer:
    os.kill(os.getpid(), signal.SIGSTOP)
    return Answer("continued")


def _spin(data: bytes, argument: str) -> Answer:
    while True:
        pass


def _allocate(data: bytes, argument: str) -> Answer:
    held = bytearray(int(argument))
    return Answer("held", len(held))


def _refuse(data: bytes, argument: str) -> Answer:
    raise ItemError(ErrorCode.CORRUPT, argument or "the bytes are corrupt")


def _fail(data: bytes, argument: str) -> Answer:
    raise ValueError(argument or "a defect")


def _exit(data: bytes, argument: str) -> Answer:
    raise SystemExit(5)


def _wrong_type(data: bytes, argument: str) -> Answer:
    return Other()  # type: ignore[return-value]


def _lie(data: bytes, argument: str) -> Answer:
    return Answer(text=7)  # type: ignore[arg-type]


def _print(data: bytes, argument: str) -> Answer:
    print("to stdout" * 10_000)
    os.write(1, b"raw stdout\n" * 20_000)
    print("to stderr", file=sys.stderr)
    return Answer("printed", len(data))


def _print_and_die(data: bytes, argument: str) -> Answer:
    print("the last words \x1b[31m\x00", flush=True)
    os.kill(os.getpid(), signal.SIGABRT)
    raise AssertionError("unreachable")


def _large(data: bytes, argument: str) -> Answer:
    return Answer("large", raw=bytes(int(argument)))


def _channel_fd() -> int:
    return int(sys.argv[1])


def _garbage(data: bytes, argument: str) -> Answer:
    """Answer in place of the worker, with a whole frame of no meaning; then carry on."""
    body = bytes.fromhex(argument or "ff" * 40)
    os.write(_channel_fd(), struct.pack("<QQ", len(body), 0) + body)
    return Answer("garbage was sent")


def _answer_another(data: bytes, argument: str) -> Answer:
    """Give a perfect answer to an item that was never asked."""
    response = msgspec.Raw(msgspec.msgpack.encode(Answer("forged")))
    body = msgspec.msgpack.encode(Reply(10**6, 0.0, response))
    os.write(_channel_fd(), struct.pack("<QQ", len(body), 0) + body)
    return Answer("forged")


def _announce(data: bytes, argument: str) -> Answer:
    """Announce an answer of absurd size."""
    os.write(_channel_fd(), struct.pack("<QQ", 2**62, 0))
    return Answer("announced")


def _half(data: bytes, argument: str) -> Answer:
    """Die in the middle of an answer."""
    os.write(_channel_fd(), struct.pack("<QQ", 1000, 0) + b"half")
    os._exit(0)


def _answer_twice(data: bytes, argument: str) -> Answer:
    """Leave an unasked frame behind the real answer."""
    pid, channel = os.getpid(), _channel_fd()
    answer = Answer("first", pid=pid)

    def later() -> None:
        time.sleep(0.05)
        os.write(channel, struct.pack("<QQ", 4, 0) + b"\x00" * 4)

    threading.Thread(target=later).start()
    return answer


def _close_channel(data: bytes, argument: str) -> Answer:
    os.close(_channel_fd())
    time.sleep(600)
    return Answer("unreachable")


def _environment(data: bytes, argument: str) -> Answer:
    return Answer("\n".join(f"{name}={value}" for name, value in os.environ.items()))


def _limits(data: bytes, argument: str) -> Answer:
    kinds = ("AS", "CORE", "FSIZE", "NOFILE", "CPU")
    found = {kind: resource.getrlimit(getattr(resource, f"RLIMIT_{kind}"))[0] for kind in kinds}
    status = Path("/proc/self/status").read_text() if argument else ""
    no_new_privileges = ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)  # PR_GET_NO_NEW_PRIVS
    here = {"cwd": str(Path.cwd()), "sid": os.getsid(0) == os.getpid(), "no_new_privileges": no_new_privileges}
    return Answer(repr(found | here) + status)


def _tried(action: Callable[[], object]) -> Answer:
    try:
        action()
    except OSError as error:
        return Answer(f"refused: {type(error).__name__}")
    return Answer("done")


def _read_file(data: bytes, argument: str) -> Answer:
    return _tried(lambda: Path(argument).read_bytes())


def _write_file(data: bytes, argument: str) -> Answer:
    return _tried(lambda: Path(argument).write_bytes(b"x" * 10))


def _delete_file(data: bytes, argument: str) -> Answer:
    return _tried(lambda: Path(argument).unlink())


def _make_directory(data: bytes, argument: str) -> Answer:
    return _tried(lambda: Path(argument).mkdir())


def _connect(data: bytes, argument: str) -> Answer:
    return _tried(lambda: socket.create_connection(("127.0.0.1", int(argument)), timeout=2))


def _datagram(data: bytes, argument: str) -> Answer:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", int(argument)))

    return _tried(send)


def _fork(data: bytes, argument: str) -> Answer:
    def fork() -> None:
        if os.fork() == 0:
            time.sleep(600)

    return _tried(fork)


def _execute(data: bytes, argument: str) -> Answer:
    return _tried(lambda: os.execv("/bin/true", ["true"]))


def _signal_parent(data: bytes, argument: str) -> Answer:
    return _tried(lambda: os.kill(os.getppid(), 0))


def _thread(data: bytes, argument: str) -> Answer:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(threading.get_ident()))
    thread.start()
    thread.join()
    return Answer(str(len(seen)))


def _late_import(data: bytes, argument: str) -> Answer:
    __import__(argument)
    return Answer("imported")


def _die_if_used(data: bytes, argument: str) -> Answer:
    """Fine as a worker's first item, a crash as a later one: so looks what a neighbour has corrupted."""
    _die_if_used.n_calls = getattr(_die_if_used, "n_calls", 0) + 1  # type: ignore[attr-defined]
    if _die_if_used.n_calls > 1:  # type: ignore[attr-defined]
        os.kill(os.getpid(), signal.SIGSEGV)
    return Answer("fresh", len(data))


_BEHAVIOURS = {
    name.removeprefix("_"): thing for name, thing in list(globals().items()) if name.startswith("_") and callable(thing)
}
