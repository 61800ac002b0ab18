"""`dependencies.json`: what was last found of every pinned package, so that the page is the same on every machine.

`make docs` renews it from what is installed: each package says its licence there, and on Linux for x86-64 its native
libraries. Packages that another Python or platform needs keep what was found where they were installed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import Distribution
from pathlib import Path

from media_assets_tests.supply import closure, wheels
from media_assets_tests.supply.licences import NAMED, licence_of
from media_assets_tests.supply.spdx import UnknownLicence

PATH = Path(__file__).with_name("dependencies.json")
TOOL = "tool"
"""Purpose of what is pinned and brought by nothing: pip."""


@dataclass(frozen=True)
class Package:
    """One pinned package, as it was installed."""

    name: str
    version: str
    licence: str
    told_by: str  # expression, field, classifier, text; named: not by its metadata
    purpose: str
    libraries: list[str] = field(default_factory=list)
    n_components: int = 0  # in its bills of materials


def recorded() -> dict[str, Package]:
    """What the file says, by normalised name."""
    return {name: Package(**facts) for name, facts in json.loads(PATH.read_text("utf-8")).items()}


def renewed() -> dict[str, Package]:
    """What the file should say: what is installed here, else what it said of the same version.

    Raises:
        UnknownLicence: a package tells no licence, or is pinned, and neither installed here nor recorded.
    """
    before = recorded() if PATH.is_file() else {}
    here, purposes = closure.installed(), closure.purposes()
    found = {}
    for key, (name, version) in closure.pinned().items():
        old = before.get(key)
        package = here.get(key)
        if package is not None and package.version == version:
            found[key] = _examined(key, name, package, purposes.get(key) or (old.purpose if old else TOOL), old)
        elif old is not None and old.version == version:
            found[key] = old
        else:
            raise UnknownLicence(
                f"{name}=={version} is pinned, and neither installed here nor recorded: run `make docs` where it is "
                "installed"
            )
    return found


def text(packages: dict[str, Package]) -> str:
    """The file: one package a line."""
    lines = [f"  {json.dumps(key)}: {json.dumps(_short(packages[key]))}" for key in sorted(packages)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _short(package: Package) -> dict[str, object]:
    return {name: value for name, value in asdict(package).items() if value or name in ("name", "version")}


def _examined(key: str, name: str, package: Distribution, purpose: str, old: Package | None) -> Package:
    if key in NAMED:
        expression, told_by = NAMED[key].expression, "named"
    else:
        licence = licence_of(package)
        expression, told_by = licence.expression, licence.told_by
    if wheels.IS_REFERENCE:
        libraries, n_components = wheels.libraries_in(package), len(wheels.components_in(package))
    elif old is not None and old.version == package.version:
        libraries, n_components = old.libraries, old.n_components
    else:
        libraries, n_components = [], 0
    return Package(name, package.version, expression, told_by, purpose, libraries, n_components)
