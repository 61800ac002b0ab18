"""The pixels of a published frame, decoded no further than each reader needs.

Everything derived from a picture (tensors, thumbnail) is computed from the frame's own blob, never from the
raw file it came from: that is why reading the raw file and reading the frame give the same tensors, bit for
bit.
"""

from __future__ import annotations

import msgspec
import numpy as np
import simplejpeg
from PIL import Image

from media_assets.media.boundary import decoding
from media_assets.media.resize import HEADROOM, Pixels, fits_within
from media_assets.media.tensors import TensorSpec, make_tensor_scaled, tensor_divisor

THUMBNAIL_PX = 96
_THUMBNAIL_QUALITY = 85


class FrameSource(msgspec.Struct):
    """A frame of `width_px` x `height_px`, at full size as `pixels`, or as a canonical `jpeg` that is decoded
    on demand.

    `decoded` keeps what was decoded, by divisor.
    """

    width_px: int
    height_px: int
    pixels: Pixels | None = None
    jpeg: bytes | None = None
    decoded: dict[int, Pixels] = msgspec.field(default_factory=dict)

    def at(self, divisor: int) -> tuple[Pixels, int]:
        """(height, width, 3) uint8 RGB at 1/divisor where the source can scale, and the divisor it has."""
        if self.pixels is not None:
            return self.pixels, 1
        if divisor not in self.decoded:
            assert self.jpeg is not None
            self.decoded[divisor] = decode_jpeg(self.jpeg, self.width_px, self.height_px, divisor)
        return self.decoded[divisor], divisor

    def prove(self) -> None:
        """Decode once, as coarsely as possible, unless something was decoded already.

        All of a JPEG's entropy-coded data are read at any scale, so damage shows at the coarsest.
        """
        if self.pixels is None and not self.decoded:
            self.at(8)


def decode_jpeg(jpeg: bytes, width_px: int, height_px: int, divisor: int = 1) -> Pixels:
    """(height, width, 3) uint8 RGB of a gray or colour JPEG, at 1/1, 1/2, 1/4 or 1/8 of its size.

    Strict: what libjpeg-turbo only warns about (data that end early, bytes that do not belong) is refused.

    Raises:
        ItemError: TRUNCATED, CORRUPT or DECODER_MEMORY.
    """
    with decoding("the JPEG"):
        # the decoder takes the smallest n/8 that is not smaller than this, which is n = 8 / divisor exactly
        pixels: Pixels = simplejpeg.decode_jpeg(
            jpeg, "RGB", min_height=-(-height_px // divisor), min_width=-(-width_px // divisor)
        )
    return pixels


def prove_cmyk_jpeg(jpeg: bytes, width_px: int, height_px: int) -> None:
    """Refuse a damaged four-colour JPEG, which Pillow, its decoder, would accept where only its middle is broken.

    Raises:
        ItemError: TRUNCATED, CORRUPT or DECODER_MEMORY.
    """
    with decoding("the JPEG"):
        simplejpeg.decode_jpeg(jpeg, "CMYK", min_height=-(-height_px // 8), min_width=-(-width_px // 8))


def decode_still(image: Image.Image) -> Image.Image:
    """Load the picture that Pillow opened (the first one of several).

    Raises:
        ItemError: TRUNCATED, CORRUPT, DECODER_MEMORY or TOO_MANY_PIXELS.
    """
    with decoding(f"the {image.format or 'picture'} data"):
        image.load()
    return image


def make_tensors(source: FrameSource, specs: tuple[TensorSpec, ...]) -> tuple[bytes, ...]:
    """One tensor per spec, in order; each depends on the frame and its own spec alone."""
    tensors = []
    for spec in specs:
        pixels, divisor = source.at(tensor_divisor(spec, source.width_px, source.height_px))
        tensors.append(make_tensor_scaled(pixels, spec, source.width_px, source.height_px, divisor))
    return tuple(tensors)


def make_thumbnail(source: FrameSource) -> bytes:
    """JPEG of the whole picture, its longer side at most 96 pixels (smaller pictures are not enlarged)."""
    size = fits_within(source.width_px, source.height_px, THUMBNAIL_PX)
    pixels, _ = source.at(_thumbnail_divisor(source, size))
    return _small_jpeg(pixels, size)


def small_jpeg(pixels: Pixels) -> bytes:
    """The thumbnail of a picture that is decoded already, as `make_thumbnail` would have it."""
    height, width = pixels.shape[:2]
    return _small_jpeg(pixels, fits_within(width, height, THUMBNAIL_PX))


def _small_jpeg(pixels: Pixels, size: tuple[int, int]) -> bytes:
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=1.1)
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(small), _THUMBNAIL_QUALITY, "RGB", "444")
    return encoded


def _thumbnail_divisor(source: FrameSource, size: tuple[int, int]) -> int:
    """The coarsest decode that is at hand and fine enough; else the coarsest that is fine enough."""
    for divisor in sorted(source.decoded, reverse=True):
        if source.width_px / divisor >= HEADROOM * size[0] and source.height_px / divisor >= HEADROOM * size[1]:
            return divisor
    for divisor in (8, 4, 2):
        if source.width_px / divisor >= HEADROOM * size[0] and source.height_px / divisor >= HEADROOM * size[1]:
            return divisor
    return 1
