"""Daft on the same URLs, in its own environment: `python daft_job.py URLS FOLDER`.

Download, decode, cut the centre square of 1024x768, resize to 224x224, write Parquet, all in its own expressions and on
its native runner, which uses every core.
"""

import os
import sys
from pathlib import Path

import daft
from daft import col


def main(urls: str, folder: str) -> None:
    """Run the query."""
    daft.set_runner_native()
    frame = daft.from_pydict({"url": Path(urls).read_text("utf-8").split()})
    frame = frame.with_column("image", col("url").download(max_connections=32).decode_image(mode="RGB"))
    frame = frame.with_column("image", col("image").crop([128, 0, 768, 768]).resize(224, 224))
    frame.write_parquet(folder, compression="none")
    os._exit(0)  # its threads sometimes crash the interpreter while it ends (0.7.26), after all is written


if __name__ == "__main__":
    main(*sys.argv[1:])
