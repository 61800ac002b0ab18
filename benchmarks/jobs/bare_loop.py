"""What a careful engineer would write for this one job: fetch, decode, resize, one Delta write, nothing else.

`python -m benchmarks.jobs.bare_loop URLS TABLE PROCESSES THREADS`. The quality gate is the project's: a decode with at
least 1.5 times the target's side, then an antialiased bicubic resize; the tensor is its default one (shorter side 256,
centre 224x224). It keeps no originals, no metadata and no verdicts, checks no address and no size, and one bad picture
ends it.
"""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction
from PIL import Image

SHORTER_PX, SIDE_PX, HEADROOM = 256, 224, 1.5
CONNECTIONS, ROWS_AT_ONCE = 32, 256
SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("image", pa.binary(), nullable=False)])


def tensor(jpeg: bytes) -> bytes:
    """(224, 224, 3) uint8 RGB."""
    ask = math.ceil(HEADROOM * SHORTER_PX)
    pixels = simplejpeg.decode_jpeg(jpeg, "RGB", min_height=ask, min_width=ask)
    height, width = pixels.shape[:2]
    scale = min(height, width) / SHORTER_PX
    whole_w, whole_h = int(width / scale), int(height / scale)
    left, top = (whole_w - SIDE_PX) // 2, (whole_h - SIDE_PX) // 2
    x, y = width / whole_w, height / whole_h
    box = (left * x, top * y, (left + SIDE_PX) * x, (top + SIDE_PX) * y)
    return Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box=box).tobytes()


async def ingest(urls: list[str], path: Path, n_threads: int) -> int:
    """Write one Parquet file of all tensors; rows."""
    loop, waiting, done = asyncio.get_running_loop(), iter(urls), []
    with (
        pq.ParquetWriter(
            path, SCHEMA, compression="NONE", use_dictionary=False, write_statistics=False, data_page_size=1 << 30
        ) as writer,
        ThreadPoolExecutor(n_threads) as pool,
        ThreadPoolExecutor(1) as writing,
    ):
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector, read_bufsize=2**20) as session:

            async def work() -> None:
                for url in waiting:
                    async with session.get(url) as response:
                        response.raise_for_status()
                        body = await response.read()
                    done.append((Path(url).stem, await loop.run_in_executor(pool, tensor, body)))
                    if len(done) >= ROWS_AT_ONCE:
                        rows, done[:] = list(done), []
                        await loop.run_in_executor(writing, write, writer, rows)

            await asyncio.gather(*(work() for _ in range(min(CONNECTIONS, 4 * n_threads))))
        write(writer, done)
    return len(urls)


def write(writer: pq.ParquetWriter, rows: list[tuple[str, bytes]]) -> None:
    """One row group."""
    if rows:
        ids, images = zip(*rows, strict=True)
        writer.write_table(pa.table([pa.array(ids), pa.array(images, pa.binary())], schema=SCHEMA), len(rows))


def ingest_in_process(urls: list[str], path: Path, n_threads: int) -> int:
    """`ingest` from start to end."""
    return asyncio.run(ingest(urls, path, n_threads))


def main(urls_file: str, table: str, n_processes: int, n_threads: int) -> None:
    """Share the URLs out, then commit every file at once."""
    urls = Path(urls_file).read_text("utf-8").split()
    root = Path(table)
    root.mkdir(parents=True)
    paths = [root / f"part-{uuid.uuid4().hex}.parquet" for _ in range(n_processes)]
    shares = [(urls[i::n_processes], path, n_threads) for i, path in enumerate(paths)]
    if n_processes == 1:
        counts = [ingest_in_process(*shares[0])]
    else:
        with multiprocessing.get_context("fork").Pool(n_processes) as pool:
            counts = pool.starmap(ingest_in_process, shares, chunksize=1)
    actions: list[AddAction | RemoveAction] = [add_action(path, n) for path, n in zip(paths, counts, strict=True)]
    DeltaTable.create(table, SCHEMA).create_write_transaction(actions, "append", DeltaTable(table).schema())


def add_action(path: Path, n_rows: int) -> AddAction:
    """What the log says of one file."""
    now, size = int(time.time() * 1000), path.stat().st_size
    return AddAction(path.name, size, {}, now, data_change=True, stats=json.dumps({"numRecords": n_rows}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
