"""What one batch is like, in some hundred numbers: the row of `ops/batch_profiles`. Pure.

Counts only, in fixed bins, so that profiles of any batches can be pooled and none grows with its batch. Not here:
measuring one (`stages/profiles.py`), or judging it (`drift.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_NAMES = 30
"""Categories of one batch that are kept by name; the rarest beyond them become `other`."""

OTHER = "other"
NO_FORMAT = "none"
NO_LICENCE = "not stated"

_SIDE_EDGES = 2.0 ** (np.arange(8, 33) / 2)  # 16 px to 65,536 px, in half octaves
_ASPECT_EDGES = 2.0 ** (np.arange(-8, 9) / 4)  # 1:4 to 4:1, in quarter octaves
_N_LEVELS = 32

SIDE_BINS = ("0 px", *(f"{edge:,.0f} px" for edge in _SIDE_EDGES))
"""Lower ends of the bins of the longer side."""

ASPECT_BINS = ("0", *(f"{edge:.2f}" for edge in _ASPECT_EDGES))
"""Lower ends of the bins of width / height."""

BRIGHTNESS_BINS = tuple(f"{level / _N_LEVELS:.2f}" for level in range(_N_LEVELS))
"""Lower ends of the bins of brightness, 0 black to 1 white."""

_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,8})(?:@[0-9a-f]{8})?$")
_SAME = {"jpg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "tif": "tiff"}


@dataclass(frozen=True)
class FormatCount:
    """Items that claim one format by the ending of their name, and how many of them failed at any stage."""

    format: str
    n: int
    n_failed: int
    code: str | None = None  # the most frequent cause


@dataclass(frozen=True)
class BatchProfile:
    """One batch in numbers. Histograms are empty where nothing was measured."""

    batch_id: str
    source: str
    planned_at: datetime
    n_items: int
    n_failed: int
    n_duplicates: int
    formats: tuple[FormatCount, ...] = ()
    mimes: Mapping[str, int] = field(default_factory=dict)
    licences: Mapping[str, int] = field(default_factory=dict)
    longer_sides: tuple[int, ...] = ()
    aspects: tuple[int, ...] = ()
    brightness: tuple[int, ...] = ()

    def row(self) -> dict[str, Any]:
        """The profile as a row of its table."""
        return {
            "batch_id": self.batch_id,
            "source": self.source,
            "planned_at": self.planned_at,
            "n_items": self.n_items,
            "n_failed": self.n_failed,
            "n_duplicates": self.n_duplicates,
            "formats": [
                {"name": each.format, "n": each.n, "n_failed": each.n_failed, "code": each.code}
                for each in self.formats
            ],
            "mimes": _named_rows(self.mimes),
            "licences": _named_rows(self.licences),
            "longer_sides": list(self.longer_sides),
            "aspects": list(self.aspects),
            "brightness": list(self.brightness),
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> BatchProfile:
        """The profile that a row holds."""
        return cls(
            batch_id=row["batch_id"],
            source=row["source"],
            planned_at=row["planned_at"],
            n_items=row["n_items"],
            n_failed=row["n_failed"],
            n_duplicates=row["n_duplicates"],
            formats=tuple(
                FormatCount(each["name"], each["n"], each["n_failed"], each["code"]) for each in row["formats"]
            ),
            mimes={each["name"]: each["n"] for each in row["mimes"]},
            licences={each["name"]: each["n"] for each in row["licences"]},
            longer_sides=tuple(row["longer_sides"]),
            aspects=tuple(row["aspects"]),
            brightness=tuple(row["brightness"]),
        )


def claimed_format(name: str) -> str:
    """What the ending of a key or path claims: `heic`, `jpeg`; `none` where there is none.

    The eight digits that an inbox puts behind a key are passed over. Claims are kept, not findings: of a file that
    fails nothing else may be known.
    """
    found = _EXTENSION.search(name)
    if found is None:
        return NO_FORMAT
    ending = found[1].lower()
    return _SAME.get(ending, ending)


def counts_by_name(names: Iterable[str]) -> dict[str, int]:
    """Names with their counts, the most frequent first; the rarest beyond `MOST_NAMES` are one."""
    return most_frequent(Counter(names))


def most_frequent(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent names, by count, then name; the others together as `other`."""
    order = sorted(counts, key=lambda name: (-counts[name], name))
    kept = {name: counts[name] for name in order[:MOST_NAMES]}
    if rest := sum(counts[name] for name in order[MOST_NAMES:]):
        kept[OTHER] = kept.get(OTHER, 0) + rest
    return kept


def side_counts(longer_sides_px: Sequence[float] | npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Pictures in each of `SIDE_BINS`, by the longer side in pixels."""
    return _counts(longer_sides_px, _SIDE_EDGES)


def aspect_counts(aspects: Sequence[float] | npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Pictures in each of `ASPECT_BINS`, by stored width / height."""
    return _counts(aspects, _ASPECT_EDGES)


def brightness_counts(levels: Sequence[float] | npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Pictures in each of `BRIGHTNESS_BINS`, by mean level, 0 to 1."""
    return _counts(levels, np.arange(1, _N_LEVELS) / _N_LEVELS)


def _counts(values: Sequence[float] | npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> tuple[int, ...]:
    places = np.searchsorted(edges, np.asarray(values, np.float64), side="right")
    return tuple(np.bincount(places, minlength=len(edges) + 1).tolist())


def _named_rows(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"name": name, "n": n} for name, n in counts.items()]
