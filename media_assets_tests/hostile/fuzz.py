"""Time-boxed, seeded fuzzing: pictures in the sandbox; URLs, CSV lines and every property in this process.

`python -m media_assets_tests.hostile.fuzz --seconds 300` prints one JSON document; inputs with an outcome outside of
the closed set are left in a folder that it names. A mutant with an outcome that was not seen yet becomes a seed itself.
"""

from __future__ import annotations

import argparse
import csv
import io
import ipaddress
import itertools
import json
import random
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from yarl import URL

from media_assets.engine.limits import WorkerLimits
from media_assets.engine.map_items import Engine, ProcessPoolEngine
from media_assets.engine.tasks import Task, Work
from media_assets.errors import ErrorCode, ItemError
from media_assets.ingest.csv_rows import BadRecord, Record, physical_lines, records
from media_assets.ingest.fetch.addresses import AddressPolicy, judge_address, judge_url
from media_assets.ingest.fetch.redaction import shown
from media_assets.ingest.open_images.image_rows import IMAGE_COLUMNS, item_of_row
from media_assets.ingest.open_images.image_urls import DEFAULT_IMAGE_URL
from media_assets.media.still import StillLimits, StillRead, StillRequest, frame_pixels, read_frame, read_still
from media_assets.media.tensors import TensorSpec
from media_assets_tests.hostile.corpus import corpus
from media_assets_tests.hostile.findings import MAX_SEEDS, Findings
from media_assets_tests.hostile.mutations import mutated, mutated_text
from media_assets_tests.hostile.properties import PROPERTIES, fuzz_property
from media_assets_tests.hostile.specimens import Specimen
from media_assets_tests.ingest.fetch.spellings import LOOPBACK_URLS, PRIVATE_ADDRESSES, PUBLIC_ADDRESSES
from media_assets_tests.ingest.open_images_files import IMAGE_HEADER, TITLES, Row, image_id

JUDGEMENTS = frozenset(
    {
        ErrorCode.EMPTY,
        ErrorCode.TOO_MANY_BYTES,
        ErrorCode.UNKNOWN_FORMAT,
        ErrorCode.UNSUPPORTED_FORMAT,
        ErrorCode.TOO_MANY_PIXELS,
        ErrorCode.TOO_MANY_FRAMES,
        ErrorCode.TRUNCATED,
        ErrorCode.CORRUPT,
        ErrorCode.DECODER_MEMORY,
    }
)
"""All that `read_still` may say of a file."""

SPEC = TensorSpec(size=(16, 16), resize_shorter_px=16)
REQUEST = StillRequest(
    specs=(SPEC,), wants_thumbnail=True, limits=StillLimits(max_pixels=4_000_000, max_total_pixels=16_000_000)
)
LIMITS = WorkerLimits(memory_bytes=2**30, cpu_seconds=10, wall_seconds=60, items_per_worker=2000)
_MAX_SEED_BYTES = 60_000


def read_and_compare(data: bytes, request: StillRequest) -> StillRead:
    """In a worker: read a picture, and hold the frame to what is promised of it. An AssertionError is a finding."""
    read = read_still(data, request)
    assert read.frame is not None
    blob = data if read.frame.data is None else read.frame.data
    shape = (read.frame.height_px, read.frame.width_px, 3)
    assert frame_pixels(blob).shape == shape, "the frame has another size than it is said to have"
    again = read_frame(blob, request)
    assert again.tensors == read.tensors, "the frame gives other tensors than its raw file"
    assert again.thumbnail == read.thumbnail, "the frame gives another thumbnail than its raw file"
    return StillRead(read.probe, None, (), None)


def seeds_of(specimens: Iterable[Specimen]) -> list[bytes]:
    """What mutants are made of: the small files, good ones twice as often."""
    small = [s for s in specimens if 0 < len(s.data) <= _MAX_SEED_BYTES]
    return [s.data for s in small] + [s.data for s in small if "accepted" in s.fates]


def fuzz_pictures(
    seconds: float, seed: int, folder: Path, small: Sequence[bytes], engine: Engine, n_at_most: int | None = None
) -> Findings:
    """Mutants of these files, decoded by an engine: the pool of confined workers, unless a test has another."""
    found, noise = Findings(folder), random.Random(f"pictures {seed}")
    seeds = list(small)
    deadline = time.monotonic() + seconds

    def works() -> Iterator[Work[bytes, StillRequest]]:
        for _ in itertools.count() if n_at_most is None else range(n_at_most):
            if time.monotonic() > deadline:
                return
            data = mutated(noise.choice(seeds), small, noise)
            yield Work(data, data, REQUEST)

    task = Task("media_assets_tests.hostile.fuzz:read_and_compare", StillRequest, StillRead)
    for outcome in engine.map_items(task, works()):
        error = outcome.error
        is_new = found.note("accepted" if error is None else f"{error.code.value}: {error.message}")
        if is_new and len(seeds) < MAX_SEEDS:
            seeds.append(outcome.key)
        if error is not None and error.code not in JUDGEMENTS:
            found.keep(outcome.key, f"{error.code.value}: {error.message}")
    return found


_URL_PIECES = (
    *(
        "http://",
        "https://",
        "//",
        "/",
        "\\",
        "?",
        "#",
        "@",
        ":",
        "::",
        "[",
        "]",
        "%",
        "%2e",
        "%00",
        ".",
        "..",
        "。",
        "．",
    ),
    *(
        "localhost",
        "127.0.0.1",
        "127.1",
        "0x7f",
        "0177",
        "2130706433",
        "①",
        "１",
        "xn--",
        "xn--a",
        "ß",
        "\u200d",
        "\u202e",
    ),
    *(
        "::ffff:",
        "64:ff9b::",
        "2002:7f00:1::",
        "fe80::1%25eth0",
        "80",
        "65536",
        "0",
        "\t",
        "\n",
        "\r\n",
        "\x00",
        " ",
        "é",
    ),
)


def fuzz_urls(seconds: float, seed: int, folder: Path) -> Findings:
    """Mutated URLs: judged or refused, and never to anything that the system reads as an address that is not public."""
    urls = [url.format(port=8080) for url in LOOPBACK_URLS]
    hosts = [f"[{a}]" if ":" in a else a for a in (*PRIVATE_ADDRESSES, *PUBLIC_ADDRESSES)]
    urls += [f"http://{host}/a/b.jpg?c=d" for host in hosts]
    policy = AddressPolicy(allowed_ports=None)

    def one(text: str) -> str:
        shown(text)
        try:
            url = judge_url(text, policy)
        except ItemError as error:
            refusal = error
        else:
            return accepted(text, url)
        assert refusal.code in (ErrorCode.URL_REFUSED, ErrorCode.ADDRESS_REFUSED), refusal.code
        assert refusal.message.isprintable(), "a message that cannot be printed"
        return f"{refusal.code.value}: {refusal.message.rpartition(':')[2]}"

    def accepted(text: str, url: URL) -> str:
        assert url.scheme in ("http", "https")
        assert url.host
        assert url.raw_user is None
        assert url.port is not None
        assert str(judge_url(str(url), policy)) == str(url), "its own text is judged otherwise"
        for address in _as_address(url.raw_host or ""):
            assert _is_public(address), f"{text!r} is read as {address}"
            judge_address(address, policy)
        return "judged"

    return _fuzz_texts(seconds, random.Random(f"urls {seed}"), Findings(folder), urls, _URL_PIECES, one)


def _is_public(address: str) -> bool:
    """As `ipaddress` has it, but of a 6to4 address what is inside: Python 3.13 calls no such address public."""
    parsed = ipaddress.ip_address(address)
    inside = parsed.sixtofour if isinstance(parsed, ipaddress.IPv6Address) else None
    return (inside or parsed).is_global


def _as_address(host: str) -> set[str]:
    """What the system's resolver makes of a host without asking anybody."""
    try:
        answers = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return set()
    return {str(answer[4][0]) for answer in answers}


_NO_BAD_ROW = {code.value for code in ErrorCode} - {ErrorCode.BAD_ROW.value}
_CSV_PIECES = (
    ",",
    '"',
    '""',
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\ud8ff",
    "\udcff",
    "\ufeff",
    "é",
    "x" * 300,
    '"a\n',
    "0.0",
    "90",
    "nan",
    "inf",
    "-1",
)


def fuzz_csv(seconds: float, seed: int, folder: Path) -> Findings:
    """Mutated image lists: every record has the right width or a reason, and every row is an item or `bad_row`."""
    lists = []
    for first in range(0, 32, 4):
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(IMAGE_HEADER.split(","))
        writer.writerows(Row(image_id(first + n), title=TITLES[(first + n) % len(TITLES)]).fields() for n in range(4))
        lists.append(buffer.getvalue())

    def one(text: str) -> str:
        kinds, lines = [], []
        for record in records(physical_lines(io.StringIO(text, newline="")), len(IMAGE_COLUMNS)):
            lines.append(record.line)
            if isinstance(record, BadRecord):
                kinds.append(record.message)
                continue
            assert isinstance(record, Record)
            assert len(record.fields) == len(IMAGE_COLUMNS)
            try:
                item = item_of_row(record.fields, "validation", DEFAULT_IMAGE_URL)
            except ItemError as error:
                kinds.append(f"{error.code.value}: {error.message.partition(',')[0]}")
            else:
                kinds.append("passed over" if item is None else "item")
        assert lines == sorted(set(lines)), "lines out of order, or twice"
        assert not any(kind.partition(":")[0] in _NO_BAD_ROW for kind in kinds), "a row has another fault than bad_row"
        return " | ".join(sorted(set(kinds)))

    return _fuzz_texts(seconds, random.Random(f"csv {seed}"), Findings(folder), lists, _CSV_PIECES, one)


def _fuzz_texts(
    seconds: float,
    noise: random.Random,
    found: Findings,
    seeds: list[str],
    pieces: tuple[str, ...],
    one: Callable[[str], str],
) -> Findings:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        text = mutated_text(noise.choice(seeds), pieces, noise)
        try:
            is_new = found.note(one(text))
        except Exception:
            is_new = found.note("outside")
            found.keep(text.encode("utf-8", "surrogatepass"), traceback.format_exc(limit=-3))
        if is_new and len(seeds) < MAX_SEEDS:
            seeds.append(text[:4000])
    return found


def fuzz(seconds: float, seed: int, folder: Path) -> dict[str, Any]:
    """All targets, one after another: half of the time for pictures, a quarter for properties.

    `executions` and `outside` are the sums over all targets. A property runs at least once, however little time it has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    seeds = seeds_of(corpus().values())
    targets = {
        "pictures": fuzz_pictures(seconds / 2, seed, folder, seeds, ProcessPoolEngine(limits=LIMITS)).summary(),
        "urls": fuzz_urls(seconds / 8, seed, folder).summary(),
        "csv": fuzz_csv(seconds / 8, seed, folder).summary(),
    }
    for name in PROPERTIES:
        targets[name] = fuzz_property(name, seconds / 4 / len(PROPERTIES), seed, folder).summary()
    return {
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "executions": sum(target["executions"] for target in targets.values()),
        "outside": sum(target["outside"] for target in targets.values()),
        "targets": targets,
    }


def main() -> int:
    """Fuzz for a while; 0 when nothing was outside of the closed set."""
    parser = argparse.ArgumentParser(prog="python -m media_assets_tests.hostile.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where inputs are left; default: a new temporary folder")
    options = parser.parse_args()
    folder = options.directory or Path(tempfile.mkdtemp(prefix="media-assets-fuzz-"))
    result = fuzz(options.seconds, options.seed, folder)
    print(json.dumps(result, indent=2))
    return int(bool(result["outside"]))


if __name__ == "__main__":
    sys.exit(main())
