"""What a wheel carries beside its own code: native libraries, and what its bills of materials (SBOM) list."""

from __future__ import annotations

import json
import platform
import re
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

IS_REFERENCE = platform.system() == "Linux" and platform.machine() == "x86_64"
"""Wheels of other platforms hold other libraries: these are recorded and compared on this one only."""

_LIBRARY = re.compile(r"(?:^|/)(lib[^/]+?\.so(?:\.[\d.]+)?)$")
_HASH = re.compile(r"-[0-9a-f]{8}(?=[-.])")
_VERSION = re.compile(r"(?:\.\d[\d.]*)?\.so[\d.]*$")


def libraries_in(package: Distribution) -> list[str]:
    """Shared libraries in a wheel by file name, without the hash that the packer put into it; no extension modules."""
    paths = [str(path) for path in package.files or ()]
    names = [match[1] for path in paths if (match := _LIBRARY.search(path)) and ".cpython-" not in path]
    return sorted({_HASH.sub("", name) for name in names})


def stem(library: str) -> str:
    """`libx265.so.217` → `libx265`: what a library is called in every version."""
    return _VERSION.sub("", library)


def components_in(package: Distribution) -> list[tuple[str, str]]:
    """(name, licence expression or "") of each component in the CycloneDX bills of a wheel."""
    found = []
    for path in package.files or ():
        if "/sboms/" in str(path) and path.suffix == ".json":
            bill = json.loads(Path(str(path.locate())).read_text("utf-8"))
            found += [(component["name"], _expression(component)) for component in bill.get("components", ())]
    return sorted(found)


def _expression(component: dict[str, Any]) -> str:
    written = []
    for entry in component.get("licenses") or ():
        licence = entry.get("license", {})
        written.append(entry.get("expression") or licence.get("id") or licence.get("name") or "")
    return " AND ".join(f"({text.strip()})" if " OR " in text else text.strip() for text in written)
