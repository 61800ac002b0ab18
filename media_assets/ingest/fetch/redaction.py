"""How a URL is shown and kept: without credentials, without query values; shown also without control characters.

Only `ingest/manifest` has the whole, since bytes are asked for with it. Not here: whether a URL may be fetched
(`addresses`).
"""

from __future__ import annotations

import re

_MAX_CHARS = 200
_AUTHORITY = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?([^/?#]*)(.*)\Z", re.DOTALL)
_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:/*)?")
_PLACE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:\[[^\]]*\]|[^/?#:@]*)(?::[0-9]*)?(?=[/?#]|\Z)[^?#]*")
_PASSWORD_LIKE = re.compile(r":[^/?#\[\]]*[^0-9/?#\[\]]")  # what follows a host's colon and is no port


def shown(url: str) -> str:
    """A URL as messages show it: `http://host:port/path?…`, at most about 200 characters."""
    found = _AUTHORITY.match(url)
    assert found is not None  # every part may be empty
    kept, mark, _ = re.split(r"([?#]|\Z)", _authority(found) + found[3], maxsplit=1)
    if not kept.isprintable():
        kept = "".join(char if char.isprintable() else "�" for char in kept)
    if len(kept) > _MAX_CHARS:
        kept = f"{kept[:_MAX_CHARS]}…"
    return f"{kept}?…" if mark == "?" else kept


def place_of(uri: str) -> str:
    """A URI as tables keep it beside the manifest: scheme, host, port and path; `http://…` when the host is unclear."""
    found = _PLACE.match(uri)
    if found is not None:
        return found[0]
    scheme = _SCHEME.match(uri)
    assert scheme is not None  # it may be empty
    return f"{scheme[0]}…"


def _authority(found: re.Match[str]) -> str:
    """Scheme and host without user info; nothing of the host when it may be a password cut at a slash."""
    scheme, authority = found[1] or "", found[2]
    _, at, host = authority.rpartition("@")
    if at:
        return f"{scheme}…@{host}"
    is_unclear = bool(scheme) and not authority.startswith("[") and _PASSWORD_LIKE.search(authority)
    return f"{scheme}…" if is_unclear else f"{scheme}{authority}"
