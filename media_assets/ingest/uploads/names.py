"""The names that uploads get in the inbox: generated, with a harmless tail by which people recognise the original.

Pure. What a client calls its file is never a path here, and never trusted: only letters, digits and `-` of it remain.
"""

from __future__ import annotations

import re
import unicodedata

from media_assets.ingest.inbox.provisional import is_provisional

_MAX_TAIL = 40  # characters
_EXTENSION = re.compile(r"[A-Za-z0-9]{1,8}")
_HARMLESS = re.compile(r"[^A-Za-z0-9]+")


def landed_name(upload_id: str, original: str) -> str:
    """`<id>-<tail>.<extension>`, unique because the id is; never hidden or temporary as the inbox sees it."""
    stem, extension = _parts(original)
    tail = _HARMLESS.sub("-", stem)[-_MAX_TAIL:].strip("-")
    name = f"{upload_id}-{tail}" if tail else upload_id
    whole = f"{name}.{extension}" if extension else name
    return name if is_provisional(whole.encode()) else whole


def _parts(original: str) -> tuple[str, str]:
    last = unicodedata.normalize("NFKD", re.split(r"[/\\]", original)[-1])
    plain = "".join(letter for letter in last if not unicodedata.combining(letter))
    stem, dot, extension = plain.rpartition(".")
    if not (dot and stem and _EXTENSION.fullmatch(extension)):
        return plain, ""
    return stem, extension.lower()
