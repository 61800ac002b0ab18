"""`make audit`: known problems in what `constraints.txt` pins and what is installed, from a stored database, offline.

    python -m media_assets_tests.supply.audit [--database ZIP_OR_FOLDER]

The database is an export in the OSV format, the zip that osv.dev publishes for the Python ecosystem, or a folder with
its files; MEDIA_ASSETS_OSV_DATABASE names it as well. Without one nothing is checked, which is said and is no failure.
Exit status: 0 nothing found, or skipped; 1 found; 2 the database cannot be used. Problems that the project is out of
reach of (`problems`) are told and are no failure. (pip-audit was tried: it asks a service for every package.)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from media_assets_tests.supply import closure
from media_assets_tests.supply.osv import Advisory, Finding, findings
from media_assets_tests.supply.problems import PROBLEMS

VARIABLE = "MEDIA_ASSETS_OSV_DATABASE"
SKIPPED = f"""\
skipped: no database given, so nothing was checked. Get it with
  curl -fLO https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip
then
  make audit ARGS="--database all.zip"
or name it in {VARIABLE}."""


class DatabaseUnusable(Exception):
    """A database was given, and it is none."""


def main(arguments: list[str] | None = None) -> int:
    """Check; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m media_assets_tests.supply.audit", description=__doc__)
    parser.add_argument("--database", type=Path, default=os.environ.get(VARIABLE) or None)
    database = parser.parse_args(arguments).database
    if database is None:
        print(SKIPPED)
        return 0
    packages, tally = packages_in_use(), _Tally()
    try:
        found = findings(tally.counted(read_database(Path(database))), packages)
    except DatabaseUnusable as error:
        print(f"DatabaseUnusable: {error}", file=sys.stderr)
        return 2
    open_ones = [finding for finding in found if not mitigation_of(finding)]
    newest = tally.newest[:10] or "no date"
    print(f"{len(packages)} packages held against {tally.n_advisories} advisories, the newest of {newest}")
    for finding in found:
        mitigated = mitigation_of(finding)
        print(f"{finding}; out of reach: {mitigated}" if mitigated else f"FOUND {finding}")
    print(f"{len(open_ones)} found, {len(found) - len(open_ones)} out of reach")
    return 1 if open_ones else 0


@dataclass
class _Tally:
    """How many advisories were read, and when the newest was last changed; they are too many to be kept."""

    n_advisories: int = 0
    newest: str = ""

    def counted(self, advisories: Iterable[Advisory]) -> Iterator[Advisory]:
        for advisory in advisories:
            self.n_advisories += 1
            self.newest = max(self.newest, str(advisory.get("modified", "")))
            yield advisory


def packages_in_use() -> list[tuple[str, str]]:
    """(name, version) of all that is pinned, and of what is installed at another version."""
    installed = {(package.metadata["Name"], package.version) for package in closure.installed().values()}
    pinned = set(closure.pinned().values())
    known = {(name.lower(), version) for name, version in pinned}
    return sorted(pinned | {pair for pair in installed if (pair[0].lower(), pair[1]) not in known})


def mitigation_of(finding: Finding) -> str:
    """Why the project is out of reach of a problem, or nothing."""
    return next((p.mitigation for p in PROBLEMS if p.ids & {*finding.ids} and p.version == finding.version), "")


def read_database(path: Path) -> Iterator[Advisory]:
    """Every advisory of a zip, a folder or one file.

    Raises:
        DatabaseUnusable: there is no such file, it cannot be read, or no advisory is in it.
    """
    n_read = 0
    try:
        for name, content in _files(path):
            advisory = json.loads(content)
            if not isinstance(advisory, dict) or "id" not in advisory:
                raise DatabaseUnusable(f"expected an advisory in the OSV format in {name}, got something else")
            n_read += 1
            yield advisory
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise DatabaseUnusable(f"{path}: {error}; get it again") from error
    if not n_read:
        raise DatabaseUnusable(f"expected a zip or a folder with advisories (.json) in {path}, found none")


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield str(file), file.read_bytes()
    elif path.suffix == ".json":
        yield str(path), path.read_bytes()
    else:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".json"):
                    yield member, archive.read(member)


if __name__ == "__main__":
    sys.exit(main())
