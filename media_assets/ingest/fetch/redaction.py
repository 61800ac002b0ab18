"""How a URL is shown to people: without credentials, without query values, without control characters.

Not here: whether a URL may be fetched (`addresses`).
"""

from __future__ import annotations

import re

_MAX_CHARS = 200
_AUTHORITY = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?([^/?#]*)(.*)\Z", re.DOTALL)
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


def _authority(found: re.Match[str]) -> str:
    """Scheme and host without user info; nothing of the host when it may be a password cut at a slash."""
    scheme, authority = found[1] or "", found[2]
    _, at, host = authority.rpartition("@")
    if at:
        return f"{scheme}…@{host}"
    is_unclear = bool(scheme) and not authority.startswith("[") and _PASSWORD_LIKE.search(authority)
    return f"{scheme}…" if is_unclear else f"{scheme}{authority}"
