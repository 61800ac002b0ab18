"""Which packages are needed for what: the whole of what an install brings, by the metadata of what is installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from media_assets_tests.docs.pages import ROOT

BASE = "base"
_LINUX = {"os_name": "posix", "platform_machine": "x86_64", "platform_system": "Linux", "sys_platform": "linux"}
PYTHONS = tuple(
    {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.9", "platform_release": "6.1.0"} | _LINUX
    for minor in (11, 12, 13)
)
"""The environments that the project is meant for, as markers ask for them."""
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)")


def pinned() -> dict[str, tuple[str, str]]:
    """Normalised name → (name, version) of every line of `constraints.txt`."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    found = [match for line in lines if (match := _PIN.match(line))]
    return {canonicalize_name(match[1]): (match[1], match[2]) for match in found}


def installed() -> dict[str, Distribution]:
    """Every installed package but the project itself, by normalised name."""
    found = {canonicalize_name(package.metadata["Name"]): package for package in distributions()}
    found.pop("media-assets", None)
    return found


def declared() -> dict[str, list[Requirement]]:
    """What `pyproject.toml` asks for: `base`, and each extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {BASE: project["dependencies"], **project.get("optional-dependencies", {})}
    return {group: [Requirement(line) for line in lines] for group, lines in groups.items()}


def brought_by(requirements: Iterable[Requirement], environments: Iterable[Mapping[str, str]] = ({},)) -> set[str]:
    """Every package that these need, themselves included, in any of the environments; by default in this one.

    What a package that is not installed would bring in turn is not known.
    """
    settings = list(environments)
    waiting = [(r, extra) for r in requirements for extra in ("", *r.extras) if _is_wanted(r, "", settings)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if (key := (canonicalize_name(requirement.name), extra)) in seen:
            continue
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:
            continue  # needed on another platform only
        seen.add(key)
        needed = [Requirement(line) for line in package.requires or []]
        wanted = [r for r in needed if _is_wanted(r, extra, settings)]
        waiting += [(r, other) for r in wanted for other in ("", *r.extras)]
    return {name for name, _ in seen}


def purposes() -> dict[str, str]:
    """Normalised name → `base`, or the extras that bring it."""
    groups = {group: brought_by(wanted, PYTHONS) for group, wanted in declared().items()}
    found = dict.fromkeys(groups[BASE], BASE)
    for group in sorted(groups.keys() - {BASE}):
        for name in groups[group] - groups[BASE]:
            found[name] = f"{found[name]}, {group}" if name in found else group
    return found


def _is_wanted(requirement: Requirement, extra: str, environments: list[Mapping[str, str]]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for environment in environments)
