"""Key pictures by torchcodec, in an environment of its own: `python torchcodec_job.py N_THREADS SAMPLES VIDEO…`.

It finds them itself (`seek_mode="exact"` reads all packets), and decodes them with as many threads as it is given.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from torchcodec.decoders import VideoDecoder

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.jobs.samples import Sampler


def main(n_threads: str, samples: str, *paths: str) -> None:
    """Decode, one video after the other."""
    sampler = Sampler(samples)
    for path in paths:
        decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=int(n_threads), seek_mode="exact")
        for number in decoder._get_key_frame_indices().tolist():
            frame = decoder.get_frame_at(number)
            sampler.take(path, round(frame.pts_seconds * 1e9), np.asarray(frame.data))
    sampler.write()


if __name__ == "__main__":
    main(*sys.argv[1:])
