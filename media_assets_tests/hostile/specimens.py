"""What a hostile file is, what may become of it, and the damage that is done to good ones.

Lives here: the words of all families. Not here: the formats (one module per family), or running them (`folder_run`).
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

SEED = 20

OK = frozenset({"accepted"})
TRUNCATED = frozenset({"failed/truncated"})
CORRUPT = frozenset({"failed/corrupt"})
UNSUPPORTED = frozenset({"failed/unsupported_format"})
UNKNOWN = frozenset({"failed/unknown_format"})
EMPTY = frozenset({"failed/empty"})
TOO_MANY_PIXELS = frozenset({"failed/too_many_pixels"})
TOO_MANY_FRAMES = frozenset({"failed/too_many_frames"})

BROKEN = TRUNCATED | CORRUPT
"""Refused for certain; whether the end or the middle is to blame is for the decoder to say."""

A_VIDEO = BROKEN | frozenset({"failed/no_video"})
"""The beginning of a video, opened as what it is: there is nothing in it to be shown."""

OK_OR_BROKEN = OK | BROKEN
"""Damage in data without a checksum: a decoder may read on, and another version of it may not."""


@dataclass(frozen=True)
class Specimen:
    """One file. `name` is its path below the corpus, `fates` are the statuses it may have at raw/media.

    `markers` are strings hidden in it that may not be found in anything published.
    """

    name: str
    data: bytes = field(repr=False)
    fates: frozenset[str]
    markers: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Damage:
    """Which fates each kind of damage to a good file of one format may have.

    `flipped` is for single bits in the middle of its data, `holed` for a stretch of zeros there, `tailed` for bytes
    behind its end. `data_from` and `data_to` bound the stretch that is damaged, as shares of the file.
    """

    cut: frozenset[str] = TRUNCATED
    flipped: frozenset[str] = OK_OR_BROKEN
    holed: frozenset[str] = OK_OR_BROKEN
    tailed: frozenset[str] = OK
    data_from: float = 0.4
    data_to: float = 0.95
    cuts: tuple[float, ...] = (0.35, 0.65, 0.9)


def damaged(name: str, extension: str, good: bytes, damage: Damage, fates: frozenset[str] = OK) -> Iterator[Specimen]:
    """A good file, and what is left of it after each kind of damage."""
    noise = random.Random(f"{SEED} {name}")
    yield Specimen(f"{name}/good.{extension}", good, fates)
    for share in damage.cuts:
        yield Specimen(f"{name}/cut-{share:.0%}.{extension}", good[: int(len(good) * share)], damage.cut)
    yield Specimen(f"{name}/cut-64-bytes.{extension}", good[:-64], damage.cut)
    low, high = int(len(good) * damage.data_from), int(len(good) * damage.data_to)
    for number in range(3):
        flipped = bytearray(good)
        flipped[noise.randrange(low, high)] ^= 1 << noise.randrange(8)
        yield Specimen(f"{name}/flip-{number}.{extension}", bytes(flipped), damage.flipped)
    start = noise.randrange(low, max(low + 1, high - 96))
    holed = good[:start] + bytes(96) + good[start + 96 :]
    yield Specimen(f"{name}/zeros.{extension}", holed, damage.holed)
    yield Specimen(f"{name}/garbage-behind.{extension}", good + noise.randbytes(777), damage.tailed)
    yield Specimen(f"{name}/archive-behind.{extension}", good + archive(name), damage.tailed)
    # one more byte, so that no two files of the corpus are the same
    wrong = {"jpg": "png", "png": "jpg"}.get(extension, "jpg")
    yield Specimen(f"{name}/wrong-name-{extension}.{wrong}", good + b"\0", damage.tailed)


def archive(name: str) -> bytes:
    """A zip that holds a marker: what an unpacker would see in a polyglot."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("payload.html"), f"<script>{PAYLOAD}</script> {name}")
    return buffer.getvalue()


PAYLOAD = "planted-payload-7c1e"


def named(folder: str, extension: str, files: Iterable[tuple[str, bytes, frozenset[str]]]) -> Iterator[Specimen]:
    """Specimens of one folder."""
    for name, data, fates in files:
        yield Specimen(f"{folder}/{name}.{extension}", data, fates)
