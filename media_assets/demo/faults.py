"""What is wrong with the sample server at the moment: a value that can be kept in a file and changed while it
runs.

Lives here: the faults, which image they hit, and their JSON form. Not here: acting them out (`server`).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

How = Literal["503", "404", "429", "reset", "cut", "slow"]
"""An answer with that status (429 with `Retry-After: 1`), a connection reset half-way, a clean end half-way,
or a trickle."""


@dataclass(frozen=True)
class Rule:
    """Images that are broken: those named, and a fixed share of all, chosen by a hash of their ids."""

    how: How
    image_ids: frozenset[str] = frozenset()
    fraction: float = 0.0

    def __post_init__(self) -> None:
        """Refuses what cannot be acted out."""
        if self.how not in get_args(How):
            raise ValueError(f"a fault is one of {', '.join(get_args(How))}, not {self.how!r}")
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"a fraction of images is 0..1, not {self.fraction}")

    def hits(self, image_id: str) -> bool:
        """Whether this rule breaks that image."""
        share = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big") / 2**64
        return image_id in self.image_ids or share < self.fraction


@dataclass(frozen=True)
class Faults:
    """All faults of a server. `is_outage`: 503 to all; `is_mended`: flaky and missing images are there."""

    is_outage: bool = False
    is_mended: bool = False
    rules: tuple[Rule, ...] = ()
    slow_bytes_per_second: int = 2_000
    delay_seconds: float = 0.0  # before every answer of an image

    def of(self, image_id: str) -> How | None:
        """How that image is broken by the rules; the latest rule that hits it counts."""
        return next((rule.how for rule in reversed(self.rules) if rule.hits(image_id)), None)

    def to_json(self) -> str:
        """The form that `from_json` reads."""
        rules = [asdict(rule) | {"image_ids": sorted(rule.image_ids)} for rule in self.rules]
        return json.dumps(
            {
                "is_outage": self.is_outage,
                "is_mended": self.is_mended,
                "rules": rules,
                "slow_bytes_per_second": self.slow_bytes_per_second,
                "delay_seconds": self.delay_seconds,
            }
        )

    @staticmethod
    def from_json(text: str) -> Faults:
        """Reads an object with any of the fields above; an empty text means no faults.

        Raises:
            ValueError: not such an object.
        """
        try:
            fields: dict[str, Any] = json.loads(text or "{}")
            rules = tuple(Rule(**r | {"image_ids": frozenset(r.get("image_ids", ()))}) for r in fields.pop("rules", ()))
            return Faults(rules=rules, **fields)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not a faults object: {error}") from error

    def save(self, path: Path) -> None:
        """Puts the faults into a file in one step, so that a server reading it never sees half of them."""
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(self.to_json(), encoding="utf-8")
        fresh.replace(path)


class FaultsFile:
    """The faults in a file, read again whenever it was changed. A missing file means no faults."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._faults = Faults()

    def current(self) -> Faults:
        """The faults now.

        Raises:
            ValueError: the file holds no faults: better no answer than the wrong fault.
        """
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp = None
            return Faults()
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            self._faults = Faults.from_json(self._path.read_text(encoding="utf-8"))
            self._stamp = stamp
        return self._faults
