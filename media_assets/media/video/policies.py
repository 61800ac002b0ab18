"""Which pictures of a video are worth keeping: from the times that are there to those that are chosen. No pixels here.

Every policy chooses among pictures that can be decoded, by time and not by number, so that a variable frame rate, a gap
or a cut-off end move nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from media_assets.media.video.packets import PacketIndex

Reason = Literal["codec", "shots", "uniform", "every"]

_TEXT = re.compile(r"codec|shots|uniform:(?P<n>[1-9][0-9]{0,5})|every:(?P<seconds>[0-9]{1,6}(?:\.[0-9]{1,9})?)")


class Policy(msgspec.Struct, frozen=True):
    """How pictures are chosen.

    - `codec`: where decoding can begin (I-frames that are marked as such);
    - `shots`: the middle of each shot;
    - `uniform`: `n` of them, evenly over the whole duration, the first and the last picture among them (n = 1: the
      middle one); fewer where there are fewer;
    - `every`: what is on screen each `seconds` from the first picture on, once.
    """

    reason: Reason
    n: int = 0
    seconds: Fraction = Fraction(0)


class Choice(msgspec.Struct, frozen=True):
    """A chosen picture: its time in ticks, and the 0-based shot it belongs to where shots were looked for."""

    pts: int
    shot: int | None = None


def parse_policy(text: str) -> Policy:
    """`codec`, `shots`, `uniform:N` (1 to 999,999) or `every:SECONDS` (decimal, above 0).

    Raises:
        ValueError: anything else.
    """
    found = _TEXT.fullmatch(text)
    if found is None or (found["seconds"] and not Fraction(found["seconds"])):
        raise ValueError(f"expected codec, shots, uniform:N or every:SECONDS, got {text[:60]!r}")
    if found["n"]:
        return Policy("uniform", n=int(found["n"]))
    if found["seconds"]:
        return Policy("every", seconds=Fraction(found["seconds"]))
    return Policy("codec") if text == "codec" else Policy("shots")


def decodable(index: PacketIndex) -> npt.NDArray[np.int64]:
    """The times of the pictures shown that a key packet precedes, ascending: what came before it cannot be decoded."""
    keys = index.pts[index.is_key & index.is_whole]
    return index.shown[index.shown >= keys.min()] if len(keys) else np.empty(0, np.int64)


def choose(policy: Policy, index: PacketIndex, shots: Sequence[tuple[int, int]] = ()) -> list[Choice]:
    """The chosen pictures, by time; each at most once.

    Args:
        shots: (first tick, tick after the last) of each shot, in order; for the policy `shots` only.
    """
    times = decodable(index)
    if not len(times):
        return []
    if policy.reason == "codec":
        keys = index.pts[index.is_key & index.is_whole & index.is_shown]
        return [Choice(int(pts)) for pts in np.unique(keys)]
    if policy.reason == "shots":
        middles = [(start + end) // 2 for start, end in shots]
        on_screen = zip(_on_screen(times, middles), range(len(middles)), strict=True)
        return _once([Choice(pts, shot) for pts, shot in on_screen])
    if policy.reason == "uniform":
        wanted = _spread(int(times[0]), int(times[-1]), policy.n)
    else:
        wanted = _multiples(times, index.end, policy.seconds / index.time_base)
    return _once([Choice(pts) for pts in _on_screen(times, wanted)])


def thinned(choices: Sequence[Choice], n_most: int) -> list[Choice]:
    """At most so many of them, evenly over all, the first and the last among them."""
    if len(choices) <= n_most:
        return list(choices)
    return [choices[at] for at in _spread(0, len(choices) - 1, n_most)]


def _spread(first: int, last: int, n: int) -> list[int]:
    """n whole numbers from first to last, both included, as even as rounding down allows; the middle for n = 1."""
    if n == 1:
        return [(first + last) // 2]
    return [first + i * (last - first) // (n - 1) for i in range(n)]


def _on_screen(times: npt.NDArray[np.int64], wanted: Sequence[int]) -> list[int]:
    """What is shown at each time: the latest picture that is not later."""
    places = np.searchsorted(times, np.array(wanted, np.int64), side="right") - 1
    return [int(pts) for pts in times[np.maximum(places, 0)]]


def _multiples(times: npt.NDArray[np.int64], end: int, step: Fraction) -> list[int]:
    """The times, rounded down, at which a multiple of `step` ticks since the first picture falls, one a picture.

    Goes over the pictures and not over the multiples, of which there may be any number.
    """
    first = int(times[0])
    found = []
    for pts, after in zip(times.tolist(), [*times[1:].tolist(), end], strict=True):
        multiple = math.ceil((pts - first) / step) * step
        if multiple < after - first:
            found.append(first + math.floor(multiple))
    return found


def _once(choices: list[Choice]) -> list[Choice]:
    """Without those whose picture is chosen already."""
    return list({choice.pts: choice for choice in reversed(choices)}.values())[::-1]
