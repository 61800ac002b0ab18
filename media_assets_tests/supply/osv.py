"""Which advisories of a database in the OSV format (as osv.dev publishes it) hit a package at a version. Pure.

As the schema says: a version is hit when `versions` lists it, or when a range is open at it; withdrawn advisories hit
nothing. Versions are ordered by PEP 440, names compared by PEP 503. A range that cannot be read counts as open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Advisory = Mapping[str, Any]

_ECOSYSTEM = "PyPI"
_ORDERED = ("ECOSYSTEM", "SEMVER")  # ranges over commits (GIT) say nothing of versions
# Where events share a version, a range that ends there and begins anew is open.
_ORDER = {"last_affected": 0, "fixed": 1, "introduced": 2}


@dataclass(frozen=True)
class Finding:
    """A pinned package that an advisory speaks of."""

    package: str
    version: str
    ids: tuple[str, ...]  # the advisory's, then those of the same problem elsewhere
    summary: str
    fixed_in: tuple[str, ...]  # later versions in which it is mended; empty: none is known

    def __str__(self) -> str:
        """One line for a person."""
        other = f" ({', '.join(self.ids[1:])})" if self.ids[1:] else ""
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no fixed version is known"
        return f"{self.package} {self.version}: {self.ids[0]}{other}: {self.summary}; {fixed}"


def findings(advisories: Iterable[Advisory], packages: Iterable[tuple[str, str]]) -> list[Finding]:
    """What hits these (name, version) pairs, each problem once however many advisories tell of it."""
    wanted: dict[str, list[tuple[str, str]]] = {}
    for name, version in packages:
        wanted.setdefault(canonicalize_name(name), []).append((name, version))
    found: list[Finding] = []
    for advisory in advisories:
        for key in _names(advisory) & wanted.keys():
            for name, version in wanted[key]:
                if is_hit(advisory, name, version):
                    found = _joined(found, _finding(advisory, name, version))
    return sorted(found, key=lambda finding: (finding.package.lower(), finding.version, finding.ids))


def is_hit(advisory: Advisory, name: str, version: str) -> bool:
    """Whether an advisory speaks of this package at this version.

    Raises:
        InvalidVersion: the version itself is none.
    """
    at = Version(version)
    if advisory.get("withdrawn"):
        return False
    return any(_lists(part, at) or any(_is_open(r, at) for r in _ranges(part)) for part in _parts(advisory, name))


def _names(advisory: Advisory) -> set[str]:
    return {canonicalize_name(part["package"]["name"]) for part in _affected(advisory)}


def _affected(advisory: Advisory) -> Iterator[Mapping[str, Any]]:
    for part in advisory.get("affected") or ():
        package = part.get("package") or {}
        if package.get("ecosystem", "").partition(":")[0] == _ECOSYSTEM and package.get("name"):
            yield part


def _parts(advisory: Advisory, name: str) -> Iterator[Mapping[str, Any]]:
    wanted = canonicalize_name(name)
    return (part for part in _affected(advisory) if canonicalize_name(part["package"]["name"]) == wanted)


def _ranges(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (r for r in part.get("ranges") or () if r.get("type") in _ORDERED)


def _lists(part: Mapping[str, Any], at: Version) -> bool:
    """Whether the version is among those listed; one that PEP 440 cannot read is no version that pip installs."""
    return any(_read(text) == at for text in part.get("versions") or ())


def _is_open(affected: Mapping[str, Any], at: Version) -> bool:
    """Whether a range is open at a version. A range with an event that cannot be read counts as open."""
    events = [(kind, text) for event in affected.get("events") or () for kind, text in event.items()]
    limits = [text for kind, text in events if kind == "limit"]
    if limits and all(limit is not None and at >= limit for limit in map(_read, limits)):
        return False
    ordered = []
    for kind, text in events:
        if kind in _ORDER:
            # "0" comes before every version, also before those that PEP 440 puts before 0
            where = None if (kind, text) == ("introduced", "0") else _read(text)
            if where is None and (kind, text) != ("introduced", "0"):
                return True
            ordered.append((where is not None, where or at, _ORDER[kind], kind))
    is_open = False
    for is_later, where, _, kind in sorted(ordered):
        if kind == "introduced" and (not is_later or at >= where):
            is_open = True
        elif (kind == "fixed" and at >= where) or (kind == "last_affected" and at > where):
            is_open = False
    return is_open


def _read(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _finding(advisory: Advisory, name: str, version: str) -> Finding:
    at, fixed = Version(version), set()
    for part in _parts(advisory, name):
        for affected in _ranges(part):
            later = (_read(event["fixed"]) for event in affected.get("events") or () if "fixed" in event)
            fixed |= {where for where in later if where is not None and where > at}
    ids = (str(advisory["id"]), *sorted(map(str, advisory.get("aliases") or ())))
    summary = " ".join((advisory.get("summary") or advisory.get("details") or "no summary").split())
    return Finding(name, version, ids, summary[:200], tuple(map(str, sorted(fixed))))


def _joined(found: list[Finding], new: Finding) -> list[Finding]:
    """The findings with a new one, taken together with those of the same problem."""
    rest = []
    for old in found:
        if (old.package, old.version) == (new.package, new.version) and {*old.ids} & {*new.ids}:
            fixed = sorted({*map(Version, old.fixed_in), *map(Version, new.fixed_in)})
            ids = tuple(dict.fromkeys((*old.ids, *new.ids)))
            new = Finding(old.package, old.version, ids, old.summary, tuple(map(str, fixed)))
        else:
            rest.append(old)
    return [*rest, new]
