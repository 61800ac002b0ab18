"""The pictures and metadata rows of a sample set, place by place: every one depends on its plan and place
alone.

Lives here: which place shows what, its bytes and its row, and the writing of all pictures by at most a few
processes. Not here: the set as a whole and its record (`corpus`), the kinds of file (`oddities`).
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from media_assets.demo.oddities import BROKEN, FINE, MENDABLE
from media_assets.demo.open_images_csv import Box, Entry, awkward
from media_assets.demo.photos import Pixels, encode_jpeg, photo, scene_of, variant
from media_assets.errors import SetupError

FORMAT = 2
"""Raised when the same plan would give other bytes, so that kept sets are written anew."""

PORTRAIT_LABELS = ("Person", "Human face", "Hat")
PORTRAIT_BOXES = (
    Box("Person", 0.045, 1.0, 0.035, 1.0, is_truncated=True),
    Box("Human face", 0.3, 0.735, 0.2, 0.555),
    Box("Hat", 0.285, 0.725, 0.035, 0.29),
)


@dataclass(frozen=True)
class Plan:
    """Everything that the bytes of a set depend on. `kinds` maps places in the list to odd kinds."""

    style: str
    n: int
    seed: int
    width_px: int
    height_px: int
    n_bases: int
    kinds: Mapping[int, str]

    @property
    def parameters(self) -> dict[str, Any]:
        """What a kept set is compared by."""
        places = {str(place): kind for place, kind in sorted(self.kinds.items())}
        return asdict(self) | {"kinds": places, "format": FORMAT}


def scatter(n: int, kinds: list[str], seed: int) -> dict[int, str]:
    """Random places for the odd kinds."""
    rng = np.random.default_rng([seed, 0xB40])
    return dict(zip(rng.permutation(n)[: len(kinds)].tolist(), kinds, strict=True))


def with_duplicate(kinds: Mapping[int, str], n: int) -> dict[int, str]:
    """The kinds, and a duplicate right behind a good image, so that both are in the same batch."""
    place = next(i for i in range(2, n) if i not in kinds and i - 1 not in kinds)
    return {**kinds, place: "duplicate"}


def write_images(root: Path, plan: Plan, ids: list[str], n_processes: int) -> list[str]:
    """Writes all pictures under `root`; returns their SHA-256 in list order."""
    if n_processes == 1:
        return _write_range(root, plan, ids, range(plan.n))
    step = -(-plan.n // (n_processes * 4))
    parts = [range(i, min(i + step, plan.n)) for i in range(0, plan.n, step)]
    with ProcessPoolExecutor(n_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(chain.from_iterable(pool.map(_write_range, repeat(root), repeat(plan), repeat(ids), parts)))


def _write_range(root: Path, plan: Plan, ids: list[str], places: range) -> list[str]:
    """Writes the images at `places`; their SHA-256, in order."""
    bases = _bases(plan.seed, plan.n_bases, plan.width_px, plan.height_px)
    hashes = []
    for place in places:
        data = _bytes_of(plan, bases, place, ids[place])
        folder = "later" if plan.kinds.get(place) in MENDABLE else "images"
        (root / folder / "validation" / f"{ids[place]}.jpg").write_bytes(data)
        hashes.append(hashlib.sha256(data).hexdigest())
    return hashes


@lru_cache(maxsize=1)
def _bases(seed: int, n_bases: int, width_px: int, height_px: int) -> tuple[Pixels, ...]:
    """Scenes half as large again as the crops that `variant` takes of them."""
    return tuple(photo(seed * 1000 + i, width_px * 3 // 2, height_px * 3 // 2) for i in range(n_bases))


def _bytes_of(plan: Plan, bases: Sequence[Pixels], place: int, image_id: str) -> bytes:
    kind = plan.kinds.get(place)
    if kind == "duplicate":
        return _bytes_of(plan, bases, place - 1, image_id)
    if _is_portrait(plan, place):
        return portrait_path().read_bytes()
    if plan.style == "large":
        data = variant(bases, place, seed=plan.seed, width_px=plan.width_px, height_px=plan.height_px)
        return data if kind is None else BROKEN[kind](simplejpeg.decode_jpeg(data, "RGB"), image_id)
    pixels = photo(_scene_seed(plan, place), plan.width_px, plan.height_px)
    return encode_jpeg(pixels) if kind is None else (FINE | BROKEN)[kind](pixels, image_id)


def _scene_seed(plan: Plan, place: int) -> int:
    return plan.seed * 1000 + place


def _is_portrait(plan: Plan, place: int) -> bool:
    """The last good image of a shown set that no duplicate follows."""
    if plan.style != "shown":
        return False
    free = (i for i in reversed(range(plan.n)) if i not in plan.kinds and plan.kinds.get(i + 1) != "duplicate")
    return place == next(free)


def portrait_path() -> Path:
    """The portrait of Grace Hopper among matplotlib's sample data.

    Raises:
        SetupError: this installation of matplotlib comes without sample data.
    """
    spec = find_spec("matplotlib")  # importing it takes most of a second
    path = Path(spec.origin if spec and spec.origin else "").parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    if not path.is_file():
        raise SetupError(f"matplotlib's sample portrait is not at {path}: reinstall matplotlib from its wheel")
    return path


def entry(plan: Plan, place: int, image_id: str) -> Entry:
    """What the metadata says of the image at `place`."""
    kind = plan.kinds.get(place)
    if _is_portrait(plan, place):
        return Entry(
            image_id,
            present=PORTRAIT_LABELS,
            absent=("Mountain",),
            boxes=PORTRAIT_BOXES,
            title="Commodore Grace M. Hopper, USN (covered)",
            author="U.S. Navy",
            licence="https://creativecommons.org/publicdomain/mark/1.0/",
            landing_url="https://commons.wikimedia.org/wiki/File:Commodore_Grace_M._Hopper,_USN_(covered).jpg",
        )
    title, author = awkward(place, plan.seed)
    rotation = "90.0" if kind == "list_rotation_90" else ("" if place % 9 == 4 and kind is None else "0.0")
    if plan.style == "large":  # random crops: no label would be sure to hold
        return Entry(image_id, rotation=rotation, title=title, author=author)
    scene = scene_of(_scene_seed(plan, place - (kind == "duplicate")))
    boxes = [Box(*box, is_group_of=True) for box in scene.boxes]
    return Entry(image_id, scene.labels, ("Person",), boxes, rotation, title, author)
