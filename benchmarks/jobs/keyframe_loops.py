"""Key pictures of videos as RGB, in this project's environment: by the product, and by loops written by hand.

`python -m benchmarks.jobs.keyframe_loops JOB N_WORKERS SAMPLES VIDEO…`: JOB is `product`, `bare`, `bare-quick` or
`opencv`. Each worker has every N_WORKERS-th key picture of each video. With SAMPLES (a file, or `-` for none) the times
of all pictures and the pixels of some are kept: see `benchmarks.jobs.samples`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation

from benchmarks.jobs.samples import Pixels, Sampler
from media_assets.media.video.decoding import Undecodable, chosen_pictures, groups_of
from media_assets.media.video.keyframes import KeyframeCounts, KeyframeRequest, choose_keyframes
from media_assets.media.video.opening import opened, pictures_of, sniffed
from media_assets.media.video.packets import index_packets
from media_assets.media.video.ticks import nanoseconds
from media_assets.media.video.upright import Turns, upright

_BT709 = 1
_EXACT = (
    Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)  # fmt: skip

Pictures = Iterator[tuple[int, Pixels]]
Job = Callable[[str, int, int], Pictures]


def product(path: str, worker: int, n_workers: int) -> Pictures:
    """What a part of a video goes through in the product's workers, without the encoding as PNG."""
    request = KeyframeRequest("codec", max_frames=1_000_000)
    with Path(path).open("rb") as file:
        mime = sniffed(file)
        with opened(file, mime) as container:
            stream = pictures_of(container)
            assert stream is not None
            index = index_packets(container, stream, request.limits)
        choices = choose_keyframes(file, mime, index, request, KeyframeCounts())
        groups = groups_of(index, [choice.pts for choice in choices[worker::n_workers]])
        turns = Turns()
        for frame, aspect in chosen_pictures(file, mime, groups, request.limits, Undecodable()):
            assert frame.pts is not None
            pixels = upright(frame, aspect, request.limits, turns).pixels
            yield nanoseconds(frame.pts - index.start, index.time_base), pixels


def bare(path: str, worker: int, n_workers: int) -> Pictures:
    """Key packets alone, drained and flushed, converted as the product does."""
    return _loop(path, worker, n_workers, lambda frame: frame.reformat(
        format="rgb24", src_colorspace=_BT709, interpolation=int(_EXACT), threads=1
    ).to_ndarray())  # fmt: skip


def bare_quick(path: str, worker: int, n_workers: int) -> Pictures:
    """The same with libav's own conversion."""
    return _loop(path, worker, n_workers, lambda frame: frame.to_ndarray(format="rgb24"))


def _loop(path: str, worker: int, n_workers: int, pixels_of: Callable[[Any], Pixels]) -> Pictures:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        base, start = Fraction(stream.time_base or 1), stream.start_time or 0
        keys = (packet for packet in container.demux(stream) if packet.size and packet.is_keyframe)
        for packet in itertools.islice(keys, worker, None, n_workers):
            frames = [*packet.decode(), *stream.codec_context.decode(None)]
            stream.codec_context.flush_buffers()
            for frame in frames:
                assert frame.pts is not None
                yield nanoseconds(frame.pts - start, base), pixels_of(frame)


def opencv(path: str, worker: int, n_workers: int) -> Pictures:
    """OpenCV seeks to each key picture; which those are it does not know, and is told."""
    numbers = _key_numbers(path)
    video = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    for number in numbers[worker::n_workers]:
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        is_read, pixels = video.read()
        if is_read:
            yield round(video.get(cv2.CAP_PROP_POS_MSEC) * 1e6), cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    video.release()


def _key_numbers(path: str) -> list[int]:
    with av.open(path) as container:
        packets = [(p.pts, p.is_keyframe) for p in container.demux(video=0) if p.size]
    return [number for number, (_, is_key) in enumerate(sorted(packets)) if is_key]


JOBS: dict[str, Job] = {"product": product, "bare": bare, "bare-quick": bare_quick, "opencv": opencv}


def main(job: str, n_workers: str, samples: str, *paths: str) -> None:
    """Decode, one video after the other; each worker is a thread, since libav leaves Python alone meanwhile."""
    cv2.setNumThreads(1)
    sampler = Sampler(samples)
    with ThreadPoolExecutor(int(n_workers)) as pool:
        for path in paths:

            def work(worker: int, path: str = path) -> None:
                for pts_ns, pixels in JOBS[job](path, worker, int(n_workers)):
                    sampler.take(path, pts_ns, np.asarray(pixels))

            list(pool.map(work, range(int(n_workers))))
    sampler.write()


if __name__ == "__main__":
    main(*sys.argv[1:])
