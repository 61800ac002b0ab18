"""One command, measured whole: `python -m benchmarks.measured RESULT.json LOG -- COMMAND …`, and `run` to start that.

The measuring process is a child sub-reaper: daemons that a command leaves behind become its children, are ended, and
count. CPU time is the larger of what the kernel says of all reaped children and what was sampled from `/proc`, because
a program that ignores SIGCHLD loses its own children's. Linux only.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.process_tree import ProcessTree, descendants

_PR_SET_CHILD_SUBREAPER = 36
MAX_SECONDS = 3600


@dataclass(frozen=True)
class Measurement:
    """What one command took, from its start to the end of its last child."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    started_at: float  # seconds since 1970


def run(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Measurement:
    """Run a command in a fresh measuring process; its output goes to `log`.

    Raises:
        SystemExit: the command failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    result = log.with_suffix(".measured.json")
    measuring = [sys.executable, "-m", "benchmarks.measured", str(result), str(log), "--", *command]
    variables = dict(environment or os.environ)
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # or every start compiles what it imports
    code = subprocess.run(measuring, env=variables, check=False).returncode
    if code != 0:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
        raise SystemExit(f"{' '.join(command)} exited with {code}; its last words ({log}):\n{tail}")
    return Measurement(**json.loads(result.read_bytes()))


def main(result: str, log: str, *command: str) -> int:
    """Run and measure; the command's exit status."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with Path(log).open("ab") as output:
        started_at, started = time.time(), time.monotonic()
        with ProcessTree(os.getpid(), with_root=False) as tree:
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
            code = process.wait(timeout=MAX_SECONDS)
            seconds = time.monotonic() - started
        _reap_the_rest()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = max(tree.cpu_seconds, usage.ru_utime + usage.ru_stime)
    measured = Measurement(seconds, cpu_seconds, tree.peak_bytes, started_at)
    Path(result).write_text(json.dumps(asdict(measured)), "utf-8")
    return code


def _reap_the_rest() -> None:
    for pid in descendants(os.getpid())[1:]:
        os.kill(pid, signal.SIGKILL)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], *sys.argv[4:]))
