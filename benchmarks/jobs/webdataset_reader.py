"""WebDataset over the same pixels, in its own environment: `python webdataset_reader.py SHARDS SIZE`.

Answers each line on standard input with one shuffled pass and a line of JSON: seconds, CPU seconds, samples. Values are
raw uint8 arrays, the fastest that WebDataset can store; the shuffle is its own, through a buffer.
"""

import json
import sys
import time

import numpy as np
import webdataset

SHAPE = (224, 224, 3)


def one_pass(shards: str, size: int) -> int:
    """Samples of one pass, each batch one contiguous array."""
    dataset = webdataset.WebDataset(shards, shardshuffle=100, empty_check=False).shuffle(1000)
    found, batch = 0, []
    for sample in dataset:
        batch.append(np.frombuffer(sample["u8"], np.uint8).reshape(SHAPE))
        if len(batch) == size:
            found += len(np.stack(batch))
            batch.clear()
    return found + len(batch)


def main(shards: str, size: str) -> None:
    """Serve passes until standard input ends."""
    for _ in sys.stdin:
        started, cpu = time.perf_counter(), time.process_time()
        found = one_pass(shards, int(size))
        told = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu, "samples": found}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
