"""The one place where a decoder's exception becomes an item's error.

Decoders are written in C and in hurried Python, and raise whatever their parser ran into. The set below is
closed: anything else that escapes is a bug of ours and shall look like one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageCms

from media_assets.errors import ErrorCode, ItemError

DECODER_EXCEPTIONS: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    struct.error,
    zlib.error,
    ArithmeticError,
    LookupError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    AttributeError,
    AssertionError,
    ImageCms.PyCMSError,
)
"""What Pillow, libheif, libavif, LittleCMS and libjpeg-turbo are known to raise on damaged files."""

_CUT_OFF = (
    "truncated",
    "premature end",
    "unexpected end of file",
    "not enough data",
    "incomplete",
    "bytes missing",
)
_MEMORY = ("memory", "out of memory", "allocat")
_TEXT_CAP = "text chunks"  # Pillow's own cap on unpacked texts ("too much memory used in text chunks"): memory is left


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn what a decoder raises inside this block into an `ItemError`; wrap decoder calls only.

    Raises:
        ItemError: TRUNCATED, CORRUPT, DECODER_MEMORY or TOO_MANY_PIXELS.
    """
    try:
        yield
    except ItemError:
        raise
    except MemoryError as error:
        raise _memory(what) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ItemError(ErrorCode.TOO_MANY_PIXELS, f"{what}: {error}. Scale it down before ingesting it.") from error
    except DECODER_EXCEPTIONS as error:
        raise _verdict(what, error) from error


def _memory(what: str) -> ItemError:
    return ItemError(
        ErrorCode.DECODER_MEMORY,
        f"{what} needs more memory than its worker may use; raise the worker's limit or lower max_pixels.",
    )


def _verdict(what: str, error: Exception) -> ItemError:
    told = " ".join(str(error).split())[:200] or type(error).__name__
    lower = told.lower()
    if isinstance(error, EOFError) or any(word in lower for word in _CUT_OFF):
        return ItemError(ErrorCode.TRUNCATED, f"{what} ended too early ({told}). Fetch it again or ask its source.")
    if (
        any(word in lower for word in _MEMORY)
        and _TEXT_CAP not in lower
        and not isinstance(error, SyntaxError | LookupError)
    ):
        return _memory(what)
    return ItemError(ErrorCode.CORRUPT, f"{what} does not decode ({told}). Ask its source for another copy.")
