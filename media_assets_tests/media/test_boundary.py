"""A decoder's exceptions become item errors with the right code; ours stay what they are."""

import struct

import pytest
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.boundary import DECODER_EXCEPTIONS, decoding


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (OSError("image file is truncated (4 bytes not processed)"), ErrorCode.TRUNCATED),
        (ValueError("Premature end of JPEG file"), ErrorCode.TRUNCATED),
        (EOFError(), ErrorCode.TRUNCATED),
        (ValueError("Corrupt JPEG data: bad Huffman code"), ErrorCode.CORRUPT),
        (SyntaxError("broken PNG file"), ErrorCode.CORRUPT),
        (struct.error("unpack requires 4 bytes"), ErrorCode.CORRUPT),
        (KeyError(45057), ErrorCode.CORRUPT),
        (AssertionError(), ErrorCode.CORRUPT),
        (ZeroDivisionError(), ErrorCode.CORRUPT),
        (MemoryError(), ErrorCode.DECODER_MEMORY),
        (ValueError("Insufficient memory (case 4)"), ErrorCode.DECODER_MEMORY),
        # a cap of Pillow's on texts, not a worker that ran out of memory
        (ValueError("Too much memory used in text chunks: 68157375>MAX_TEXT_MEMORY"), ErrorCode.CORRUPT),
        (Image.DecompressionBombError("too large"), ErrorCode.TOO_MANY_PIXELS),
        (Image.DecompressionBombWarning("large"), ErrorCode.TOO_MANY_PIXELS),
    ],
)
def test_what_a_decoder_raises_becomes_an_item_error(raised: Exception, code: ErrorCode) -> None:
    with pytest.raises(ItemError) as caught, decoding("the test picture"):
        raise raised
    assert caught.value.code is code
    assert "test picture" in caught.value.message


def test_an_item_error_passes_unchanged() -> None:
    error = ItemError(ErrorCode.EMPTY, "nothing there")
    with pytest.raises(ItemError) as caught, decoding("x"):
        raise error
    assert caught.value is error


def test_what_is_no_decoders_fault_passes_unchanged() -> None:
    assert not issubclass(KeyboardInterrupt, DECODER_EXCEPTIONS)
    with pytest.raises(NameError), decoding("x"):
        raise NameError("a bug of ours")
