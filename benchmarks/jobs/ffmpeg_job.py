"""Key pictures by the ffmpeg program: `python -m benchmarks.jobs.ffmpeg_job FFMPEG SAMPLES VIDEO…`.

It decodes key pictures alone, as it does by default (with threads of its own), to RGB that goes nowhere. With SAMPLES a
second look takes the times that it says, and the pixels through a pipe.
"""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np

from benchmarks.jobs.samples import Sampler
from benchmarks.video_corpus import HEIGHT_PX, WIDTH_PX

_PICTURE = WIDTH_PX * HEIGHT_PX * 3
_TIME = re.compile(r"pts_time:(\S+)")


def _command(ffmpeg: str, path: str, *filters: str) -> list[str]:
    keys = [ffmpeg, "-nostdin", "-y", "-skip_frame", "nokey", "-i", path, "-fps_mode", "passthrough"]
    return [*keys, *filters, "-f", "rawvideo", "-pix_fmt", "rgb24"]


def main(ffmpeg: str, samples: str, *paths: str) -> None:
    """Decode, one video after the other."""
    sampler = Sampler(samples)
    for path in paths:
        if samples == "-":
            subprocess.run([*_command(ffmpeg, path), "-v", "error", "/dev/null"], check=True)
        else:
            _sample(ffmpeg, path, sampler)
    sampler.write()


def _sample(ffmpeg: str, path: str, sampler: Sampler) -> None:
    told = subprocess.run([*_command(ffmpeg, path, "-vf", "showinfo"), "/dev/null"], capture_output=True, text=True)
    told.check_returncode()
    times = [round(float(time) * 1e9) for time in _TIME.findall(told.stderr)]
    with subprocess.Popen([*_command(ffmpeg, path), "-v", "error", "-"], stdout=subprocess.PIPE) as pipe:
        assert pipe.stdout is not None
        for pts_ns in times:
            pixels = np.frombuffer(pipe.stdout.read(_PICTURE), np.uint8)
            sampler.take(path, pts_ns, pixels.reshape(HEIGHT_PX, WIDTH_PX, 3))


if __name__ == "__main__":
    main(*sys.argv[1:])
