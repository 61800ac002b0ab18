"""Sample sets on disk: an Open Images shaped folder of metadata and pictures, with the fate of every odd
image known.

    root/
      corpus.json                    parameters, fates, kinds; `complete` is set last
      metadata/*.csv                 image list, human labels, boxes, classes
      images/validation/{id}.jpg     what the server has; `missing` and `flaky` images are not there
      later/validation/{id}.jpg      what it also has once mended

Lives here: the set as a whole and its record. Not here: what each place holds (`corpus_images`), the CSV
formats (`open_images_csv`), serving (`server`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_assets.demo.corpus_images import Plan, entry, scatter, with_duplicate, write_images
from media_assets.demo.oddities import BROKEN, CONTENT_TYPES, ERROR_CODES, FINE, MENDABLE
from media_assets.demo.open_images_csv import image_ids, write_metadata
from media_assets.errors import SetupError

MARKER = "corpus.json"
FEWEST_IMAGES = len(FINE) + len(BROKEN) + 10


@dataclass(frozen=True)
class Corpus:
    """A sample set. Images that `expected` does not name are accepted.

    `expected` and `expected_after_mending` map image ids to fates: `accepted`, `duplicate` or `failed/<error
    code>`. `kinds` names the odd kind of each image that has one. `fingerprint` is one SHA-256 over all ids
    and bytes.
    """

    root: Path
    image_ids: tuple[str, ...]
    expected: Mapping[str, str]
    expected_after_mending: Mapping[str, str]
    kinds: Mapping[str, str]
    fingerprint: str

    @property
    def n_images(self) -> int:
        """Listed images, good and bad."""
        return len(self.image_ids)

    @property
    def metadata(self) -> Path:
        """The folder of CSV files."""
        return self.root / "metadata"

    @property
    def images(self) -> Path:
        """The folder of pictures of the `validation` split."""
        return self.root / "images" / "validation"

    @property
    def later(self) -> Path:
        """The pictures that appear once the server is mended."""
        return self.root / "later" / "validation"

    @property
    def content_types(self) -> dict[str, str]:
        """What the server calls images that it does not call `image/jpeg`."""
        return {i: CONTENT_TYPES[kind] for i, kind in self.kinds.items() if kind in CONTENT_TYPES}

    @property
    def flaky(self) -> frozenset[str]:
        """Images answered 503 until mended."""
        return frozenset(i for i, kind in self.kinds.items() if kind == "flaky")

    def path(self, image_id: str) -> Path:
        """Where the bytes of an image are, now or later."""
        folder = self.later if self.kinds.get(image_id) in MENDABLE else self.images
        return folder / f"{image_id}.jpg"


def read_corpus(root: Path) -> Corpus:
    """The complete set in `root`.

    Raises:
        SetupError: there is none, or its writing was cut short.
    """
    marker = _read_marker(root)
    if not marker or not marker["complete"]:
        raise SetupError(f"{root} holds no complete sample set ({MARKER}): write it with write_corpus first")
    kinds: dict[str, str] = marker["kinds"]
    fates = {image_id: _fate(kind) for image_id, kind in kinds.items()}
    mended = {i: "accepted" if kinds[i] in MENDABLE else fate for i, fate in fates.items()}
    return Corpus(root, tuple(marker["image_ids"]), fates, mended, kinds, marker["fingerprint"])


def write_corpus(root: Path, n_images: int = 60, seed: int = 7) -> Corpus:
    """Writes, or keeps, a set for people to look at: 1024x768 scenes, every odd and every broken kind once.

    One picture is a real portrait that ships with matplotlib (U.S. Navy, public domain); its row says so.

    Raises:
        SetupError: `root` holds something else.
        ValueError: fewer images than there are kinds.
    """
    if n_images < FEWEST_IMAGES:
        raise ValueError(f"a sample set shows every kind, so it has at least {FEWEST_IMAGES} images, not {n_images}")
    kinds = with_duplicate(scatter(n_images, [*FINE, *BROKEN], seed), n_images)
    plan = Plan("shown", n_images, seed, 1024, 768, 0, kinds)
    return _write(root, plan, n_processes=1)


def write_large_corpus(
    root: Path,
    n: int,
    n_bad: int,
    seed: int = 7,
    *,
    width_px: int = 512,
    height_px: int = 384,
    n_bases: int = 30,
    n_processes: int = 2,
) -> Corpus:
    """Writes, or keeps, `n` distinct images for measuring and for breaking things, `n_bad` of them broken.

    Broken kinds take turns, at random places. Good ones are fast variants of `n_bases` scenes (40-60 KB at
    the default size). At most two processes work.

    Raises:
        SetupError: `root` holds something else.
        ValueError: more bad images than images.
    """
    if not 0 <= n_bad <= n or n < 1:
        raise ValueError(f"expected 0 <= n_bad <= n and n >= 1, got n={n}, n_bad={n_bad}")
    broken = list(BROKEN)
    kinds = scatter(n, [broken[i % len(broken)] for i in range(n_bad)], seed)
    plan = Plan("large", n, seed, width_px, height_px, n_bases, kinds)
    return _write(root, plan, n_processes=min(2, n_processes) if n >= 400 else 1)


def _fate(kind: str) -> str:
    if kind in ERROR_CODES:
        return f"failed/{ERROR_CODES[kind].value}"
    return "duplicate" if kind == "duplicate" else "accepted"


def _write(root: Path, plan: Plan, n_processes: int) -> Corpus:
    marker = _read_marker(root)
    if marker and marker["complete"] and marker["parameters"] == plan.parameters:
        return read_corpus(root)
    if not marker and root.exists() and any(root.iterdir()):
        raise SetupError(f"{root} holds other files and no {MARKER}: choose an empty or a new folder for a sample set")
    root.mkdir(parents=True, exist_ok=True)
    _write_marker(root, {"complete": False})
    for name in ("metadata", "images", "later"):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("images", "later"):
        (root / name / "validation").mkdir(parents=True)
    ids = image_ids(plan.n, plan.seed)
    hashes = write_images(root, plan, ids, n_processes)
    write_metadata(root / "metadata", [entry(plan, place, i) for place, i in enumerate(ids)])
    lines = (f"{image_id} {sha256}\n" for image_id, sha256 in zip(ids, hashes, strict=True))
    facts = {
        "complete": True,
        "parameters": plan.parameters,
        "fingerprint": hashlib.sha256("".join(lines).encode()).hexdigest(),
        "image_ids": ids,
        "kinds": {ids[place]: kind for place, kind in sorted(plan.kinds.items())},
    }
    _write_marker(root, facts)
    return read_corpus(root)


def _read_marker(root: Path) -> dict[str, Any] | None:
    try:
        marker: dict[str, Any] = json.loads((root / MARKER).read_bytes())
    except FileNotFoundError:
        return None
    return marker


def _write_marker(root: Path, marker: Mapping[str, Any]) -> None:
    fresh = root / f".{MARKER}.new"
    fresh.write_text(json.dumps(marker, indent=1), encoding="utf-8")
    fresh.replace(root / MARKER)
