"""Ctrl-C: the run in hand ends at once and is nobody's failure, and no other one is begun.

Dagster turns a signal into an exception inside an asset and into nothing elsewhere, so whoever starts runs has to watch
the signals as well. Not here: what is tried again (`retries.py`), or what is said about it (`cli.py`).
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from media_assets.defs.dead_runs import is_from_command_line

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Somebody asked this process to end. `signal_number` says how."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"ended by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


@contextmanager
def watched_signals() -> Iterator[None]:
    """Raise `Interrupted` at the end if SIGINT or SIGTERM came meanwhile, whoever handled them.

    Only the main thread can watch; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    with reader, writer:
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        except dg.DagsterExecutionInterruptedError as error:
            raise Interrupted(signal.SIGINT) from error
        finally:
            signal.set_wakeup_fd(before)
        came = _received(reader)
    for number in _ENDING:
        if number in came:
            raise Interrupted(number)


def _received(reader: socket.socket) -> bytes:
    try:
        return reader.recv(4096)
    except BlockingIOError:
        return b""


@contextmanager
def interrupted_runs_are_canceled(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Inside an asset: end an interrupted run of the command line as canceled, not as failed.

    Automation leaves failed batches alone; a batch whose run was interrupted is to be done by the next one.
    """
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:  # once is enough; Dagster puts its own handlers back when the asset is left
                signal.signal(number, signal.SIG_IGN)
        if is_from_command_line(context.run):
            context.instance.report_run_canceling(context.run, "Interrupted; the run ends, what is done stays done.")
        raise
