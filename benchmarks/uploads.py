"""Small images sent to `media-assets serve-uploads` at a steady rate: latency to the acknowledgement, memory, loss.

Open loop: requests begin when they are due, whether or not earlier ones were answered, so that a slow server shows in
the latency, which counts from the moment a request was due. The server is a process of its own; the load shares its
cores.
With `--kills` it is killed over and over meanwhile, and what was acknowledged is looked for afterwards. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.machine import machine
from benchmarks.process_tree import cpu_seconds_now
from benchmarks.result_files import RESULTS, judge_and_keep
from media_assets_tests.ingest.uploads.site import OFFSETS, SECRET
from media_assets_tests.services.upload_server import UploadServer

_BEARER = {"Authorization": f"Bearer {SECRET}"}
_SAMPLE_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0  # for one upload, its repeats included
_BARS = {"p99_below_s": 1.0, "memory_slope_mib_per_min": 2.0}


@dataclass
class _Load:
    """What was sent and answered. `acknowledged`: SHA-256 → id."""

    url: str
    image_bytes: int
    how: str
    latencies: list[float] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)

    async def send(self, session: aiohttp.ClientSession, i: int, due: float) -> None:
        """One upload, again and again until it is acknowledged."""
        data = hashlib.shake_128(i.to_bytes(8, "big")).digest(self.image_bytes)
        while time.monotonic() - due < _PATIENCE_SECONDS:
            try:
                status, receipt = await self._once(session, i, data)
            except (aiohttp.ClientError, TimeoutError) as error:
                self.answers[type(error).__name__] += 1
                await asyncio.sleep(0.2)
                continue
            self.answers[str(status)] += 1
            if receipt:
                self.latencies.append(time.monotonic() - due)
                self.acknowledged[hashlib.sha256(data).hexdigest()] = receipt
                return
            await asyncio.sleep(1.0)
        self.answers["given up"] += 1

    async def _once(self, session: aiohttp.ClientSession, i: int, data: bytes) -> tuple[int, str]:
        if self.how == "put":
            asked = session.put(f"{self.url}upload/{i}.jpg", data=data, headers=_BEARER)
        elif self.how == "form":
            form = aiohttp.FormData()
            form.add_field("file", data, filename=f"{i}.jpg", content_type="image/jpeg")
            asked = session.post(f"{self.url}upload", data=form, headers=_BEARER)
        else:
            tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Content-Type": OFFSETS}
            asked = session.post(f"{self.url}files", data=data, headers={**_BEARER, **tus})
        async with asked as answer:
            await answer.read()
            return answer.status, answer.headers.get("Upload-Receipt", "")


async def _offer(load: _Load, rate: float, seconds: float) -> None:
    """Begin `rate` uploads a second, then wait for all of them."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        begun = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        for i in range(int(rate * seconds)):
            due = begun + i / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            task = asyncio.create_task(load.send(session, i, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)


async def _watch(server: UploadServer, samples: list[tuple[float, int]]) -> None:
    begun = time.monotonic()
    while True:
        try:
            samples.append((time.monotonic() - begun, server.resident_bytes()))
        except (OSError, AssertionError):
            samples.append((time.monotonic() - begun, 0))  # killed just now
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _kill(server: UploadServer, n_kills: int, seconds: float) -> None:
    for _ in range(n_kills):
        await asyncio.sleep(seconds / (n_kills + 1))
        server.kill()
        await asyncio.to_thread(server.start)


async def _measured(server: UploadServer, load: _Load, options: argparse.Namespace) -> list[tuple[float, int]]:
    samples: list[tuple[float, int]] = []
    watching = asyncio.create_task(_watch(server, samples))
    killing = asyncio.create_task(_kill(server, options.kills, options.seconds))
    await _offer(load, options.rate, options.seconds)
    await killing
    watching.cancel()
    return samples


def _slope_mib_per_min(samples: list[tuple[float, int]]) -> float:
    """Of memory over the second half: what start-up takes is no growth."""
    later = samples[len(samples) // 2 :]
    if len(later) < 3:
        return 0.0
    return statistics.linear_regression(*zip(*later, strict=True)).slope * 60 / 2**20


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Serve, send, look what is there."""
    with tempfile.TemporaryDirectory(prefix="media-assets-uploads-", dir=options.directory) as folder:
        server = UploadServer(Path(folder))
        server.start()
        try:
            load = _Load(server.url, options.image_bytes, options.how)
            before, started, load_before = cpu_seconds_now(server.pid), time.monotonic(), time.process_time()
            samples = asyncio.run(_measured(server, load, options))
            seconds = time.monotonic() - started
            cpu_seconds = cpu_seconds_now(server.pid) - (before if not options.kills else 0.0)
        finally:
            server.stop()
        landed = Counter(
            (hashlib.sha256(path.read_bytes()).hexdigest(), path.name[:32])
            for path in server.inbox.rglob("*")
            if path.is_file()
        )
    lost = [key for key in load.acknowledged.items() if landed[key] != 1]
    n_doubled = sum(landed.values()) - len({sha256 for sha256, _ in landed})
    latencies = sorted(load.latencies)
    n = len(latencies)
    row: dict[str, Any] = {
        "how": options.how,
        "rate_per_s": options.rate,
        "seconds": round(seconds, 1),
        "acknowledged": n,
        "acknowledged_per_s": round(n / seconds, 1),
        "p50_ms": round(latencies[n // 2] * 1000, 1),
        "p99_ms": round(latencies[min(n * 99 // 100, n - 1)] * 1000, 1),
        "max_ms": round(latencies[-1] * 1000, 1),
        "server_cpu_ms_per_upload": round(cpu_seconds / n * 1000, 2) if not options.kills else None,
        "load_cpu_ms_per_upload": round((time.process_time() - load_before) / n * 1000, 2),
        "memory_mib_first": round(samples[min(5, len(samples) - 1)][1] / 2**20, 1),
        "memory_mib_last": round(samples[-1][1] / 2**20, 1),
        "memory_slope_mib_per_min": round(_slope_mib_per_min(samples), 2) if not options.kills else None,
        "kills": options.kills,
        "lost": len(lost),
        "doubled": n_doubled,
        "answers": dict(sorted(load.answers.items())),
    }
    print(row, flush=True)
    return {
        "machine": machine(),
        "command": f"python -m benchmarks.uploads --rate {options.rate:g} --seconds {options.seconds:g} "
        f"--image-bytes {options.image_bytes} --how {options.how} --kills {options.kills}",
        "images": f"{options.image_bytes} random bytes, all distinct; the server does not look at them",
        "disk": _disk(options.directory),
        "rows": [row],
        "bars": _bars(row, options),
    }


def _bars(row: dict[str, Any], options: argparse.Namespace) -> dict[str, bool]:
    bars = {
        "no_acknowledged_upload_lost": not row["lost"],
        "none_twice": not row["doubled"],
        "all_acknowledged": row["acknowledged"] == int(options.rate * options.seconds),
    }
    if not options.kills:
        bars[f"p99_below_{_BARS['p99_below_s']:g}_s"] = row["p99_ms"] < _BARS["p99_below_s"] * 1000
        bars[f"memory_slope_below_{_BARS['memory_slope_mib_per_min']:g}_mib_per_min"] = (
            row["memory_slope_mib_per_min"] < _BARS["memory_slope_mib_per_min"]
        )
    return bars


def _disk(directory: Path | None) -> str:
    """Median time of a small write and its flush, where the server keeps its files."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(50):
            started = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return f"write of 4 KiB and fsync: {statistics.median(times) * 1000:.2f} ms"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.uploads", description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="uploads a second")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--image-bytes", type=int, default=60_000)
    parser.add_argument("--how", choices=("put", "form", "tus"), default="put")
    parser.add_argument("--kills", type=int, default=0, help="kill the server so often meanwhile, and start it again")
    parser.add_argument("--directory", type=Path, help="where the working folder is made; default: the system's")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result is written")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and keep the result."""
    options = arguments(words)
    name = "uploads" if not options.kills else "uploads-kills"
    judge_and_keep(name, measure(options), options.results)


if __name__ == "__main__":
    main()
