"""Seeded changes to bytes and texts: what a fuzzer does to a good file. Pure."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PNG = b"\x89PNG\r\n\x1a\n"


def mutated(data: bytes, others: Sequence[bytes], noise: random.Random) -> bytes:
    """The bytes after one to six changes; checksums and sizes of the container are mended more often than not."""
    made = bytearray(data)
    for _ in range(noise.choice((1, 1, 2, 3, 6))):
        if not made:
            break
        noise.choice(_CHANGES)(made, noise)
    if others and noise.random() < 0.1:
        other = noise.choice(others)
        made[noise.randrange(len(made) + 1) :] = other[noise.randrange(len(other) + 1) :]
    if noise.random() < 0.75:
        made = bytearray(mended(bytes(made)))
    return bytes(made[: 2**20])


def mended(data: bytes) -> bytes:
    """A PNG with right checksums, a WebP with the right size: damage that gets past the first look."""
    if data.startswith(_PNG):
        return _with_sums(data)
    if data[:4] == b"RIFF" and len(data) > 12:
        return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    return data


def _with_sums(data: bytes) -> bytes:
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        stop = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if stop + 4 > len(data):
            break
        parts += [data[position:stop], struct.pack(">I", zlib.crc32(data[position + 4 : stop]))]
        position = stop + 4
    return b"".join([*parts, data[position:]])


def _place(made: bytearray, noise: random.Random) -> int:
    """Anywhere, but as often within the first bytes, where headers are."""
    reach = len(made) if noise.random() < 0.5 else min(len(made), 512)
    return noise.randrange(reach)


def _flip(made: bytearray, noise: random.Random) -> None:
    made[_place(made, noise)] ^= 1 << noise.randrange(8)


def _set_byte(made: bytearray, noise: random.Random) -> None:
    made[_place(made, noise)] = noise.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, noise.randrange(256)))


def _set_number(made: bytearray, noise: random.Random) -> None:
    at, kind = _place(made, noise), noise.choice((">H", "<H", ">I", "<I"))
    number = noise.choice(_NUMBERS) & (0xFFFF if kind[1] == "H" else 0xFFFFFFFF)
    made[at : at + struct.calcsize(kind)] = struct.pack(kind, number)


def _add_to_byte(made: bytearray, noise: random.Random) -> None:
    at = _place(made, noise)
    made[at] = (made[at] + noise.randint(-9, 9)) % 256


def _cut(made: bytearray, noise: random.Random) -> None:
    del made[noise.randrange(len(made)) :]


def _drop(made: bytearray, noise: random.Random) -> None:
    at = _place(made, noise)
    del made[at : at + noise.choice((1, 2, 4, 13, 64, 400))]


def _repeat(made: bytearray, noise: random.Random) -> None:
    at, n_bytes = _place(made, noise), noise.choice((1, 4, 12, 64, 300))
    made[at:at] = made[at : at + n_bytes] * noise.choice((1, 1, 2, 20))


def _insert(made: bytearray, noise: random.Random) -> None:
    at = _place(made, noise)
    made[at:at] = noise.choice((bytes(16), b"\xff" * 16, noise.randbytes(16)))


def _blank(made: bytearray, noise: random.Random) -> None:
    at, n_bytes = _place(made, noise), noise.choice((2, 8, 64, 500))
    made[at : at + n_bytes] = bytes((noise.choice((0, 255)),)) * len(made[at : at + n_bytes])


def _move(made: bytearray, noise: random.Random) -> None:
    at, n_bytes = _place(made, noise), noise.choice((4, 12, 64))
    part = made[at : at + n_bytes]
    del made[at : at + n_bytes]
    to = noise.randrange(len(made) + 1)
    made[to:to] = part


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _set_byte,
    _set_number,
    _set_number,
    _add_to_byte,
    _cut,
    _drop,
    _repeat,
    _insert,
    _blank,
    _move,
)


def mutated_text(text: str, pieces: Sequence[str], noise: random.Random) -> str:
    """A text after one to five changes: letters dropped, doubled, replaced, or pieces put in."""
    for _ in range(noise.randint(1, 5)):
        at = noise.randrange(len(text) + 1)
        match noise.randrange(5):
            case 0:
                text = text[:at] + text[at + noise.randint(1, 4) :]
            case 1:
                text = text[:at] + noise.choice(pieces) + text[at:]
            case 2:
                text = text[:at] + noise.choice(pieces) + text[at + 1 :]
            case 3:
                text = text[:at] + text[max(0, at - noise.randint(1, 9)) :]
            case _:
                text = text[:at] + chr(noise.choice((noise.randrange(128), noise.randrange(0xD800)))) + text[at + 1 :]
    return text
