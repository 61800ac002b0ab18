"""Where the videos of a catalog are: whole addresses, or paths below a place that was named. Pure text.

Not here: whether an address may be fetched (`fetch/`), and which folders may be read (`planned_folders.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

from media_assets.errors import PlanRefused
from media_assets.ingest.fetch.redaction import place_of, shown
from media_assets.ingest.folder import folder_uri

_ADDRESS = re.compile(r"(?:https?|s3)://[^/?#\s]+(?:[/?#]\S*)?|file:///\S+", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class BadAddress(ValueError):
    """What a row gives as its address is none; the text says what was expected and what came."""


@dataclass(frozen=True)
class MediaBase:
    """A folder or a prefix that paths are below of; `uri` ends in a slash."""

    uri: str
    folder: Path | None = None

    @classmethod
    def of(cls, place: str) -> MediaBase:
        """From what a person named: a folder, or an http, https or s3 address.

        Raises:
            PlanRefused: it is neither.
        """
        if "://" not in place:
            folder = Path(place)
            if not folder.is_dir():
                raise PlanRefused(f"Expected a folder or an address with the videos, got {place!r}. Check the path.")
            return cls(folder_uri(folder), folder.resolve())
        is_prefix = _ADDRESS.fullmatch(place) and not place.startswith("file:") and not re.search(r"[?#]", place)
        if not is_prefix:
            raise PlanRefused(
                f"Expected a folder, or an http, https or s3 address without a query, got {shown(place)!r}."
            )
        return cls(place.rstrip("/") + "/")

    def below(self, path: str) -> str:
        """The address of a path below.

        Raises:
            BadAddress: it leads out of here.
        """
        parts = path.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\\" in path or not path.isprintable():
            raise BadAddress(f"expected a path below {shown(self.uri)}, got {path[:100]!r}")
        if self.folder is not None:
            return self.uri + quote_from_bytes(path.encode(), safe="/")
        return self.uri + quote(path, safe="/")


def address_and_key(text: str, base: MediaBase | None) -> tuple[str, str | None]:
    """The address that a row means, and the item key that follows from it; None where it cannot be stable.

    The key of an address is the address itself. One with a query or user info has none: queries are signed anew, and
    either may be secret, while keys are shown everywhere. The key of a path is the path.

    Raises:
        BadAddress: it is no address, or a path and no place was named that it is below of.
    """
    if _ADDRESS.fullmatch(text) and text.isprintable():
        return text, text if place_of(text) == text else None
    if _SCHEME.match(text) or text.startswith("/"):
        raise BadAddress(
            f"expected http://, https://, s3:// or file:/// with a host or path and no spaces, or a relative path, got "
            f"{shown(text)!r}"
        )
    if base is None:
        raise BadAddress(f"expected a whole address, got the path {text[:100]!r}: name its place with --media")
    return base.below(text), text
