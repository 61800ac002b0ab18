"""What the pixels of a video are by exact arithmetic: ITU-R BT.709, limited range, 4:2:0 with chroma sited left.

Chroma is brought to full size by bicubic interpolation in float, and nothing is rounded. A reference flatters its own
kernel, so all jobs are held against this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

_KR, _KB = 0.2126, 0.0722


def exact_pictures(path: Path, every_ns: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The key pictures at multiples of a time, nanoseconds; (height, width, 3) RGB in 0..255."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base, start = Fraction(stream.time_base or 1), stream.start_time or 0
        for packet in container.demux(stream):
            if not packet.size or not packet.is_keyframe:
                continue
            frames = [*packet.decode(), *stream.codec_context.decode(None)]
            stream.codec_context.flush_buffers()
            for frame in frames:
                pts_ns = round(((frame.pts or 0) - start) * base * 1_000_000_000)
                if pts_ns % every_ns == 0:
                    yield pts_ns, exact_rgb(frame)


def exact_rgb(frame: av.VideoFrame) -> NDArray[np.float32]:
    """(height, width, 3) in 0..255 of a yuv420p picture in BT.709, limited range."""
    height, width = frame.height, frame.width
    planes = frame.to_ndarray(format="yuv420p")
    luma = (planes[:height].astype(np.float32) - 16) * (255 / 219)
    small = planes[height:].reshape(2, height // 2, width // 2).astype(np.float32)
    blue, red = ((_enlarged(plane, height, width) - 128) * (255 / 224) for plane in small)
    r = luma + 2 * (1 - _KR) * red
    b = luma + 2 * (1 - _KB) * blue
    g = (luma - _KR * r - _KB * b) / (1 - _KR - _KB)
    return np.asarray(np.clip(np.stack([r, g, b], axis=-1), 0, 255), np.float32)


def _enlarged(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    x, y = np.arange(width, dtype=np.float32) / 2, (np.arange(height, dtype=np.float32) - 0.5) / 2
    across, down = np.meshgrid(x, y)
    enlarged = cv2.remap(plane, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(enlarged, np.float32)


def psnr_db(pixels: NDArray[np.uint8], exact: NDArray[np.float32]) -> float:
    """Of 8-bit pixels against exact ones."""
    error = float(np.mean((pixels.astype(np.float32) - exact) ** 2, dtype=np.float64))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
