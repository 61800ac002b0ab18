"""File paths as item keys: text for any bytes, reversible, and never the same for two paths.

A path that is UTF-8 without control characters is its own key. Any other is percent-encoded behind `%//`: no
relative path holds two slashes in a row, so an encoded key is never the key of another path. Pure: no disk.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import quote_from_bytes

_ENCODED = "%//"


def item_key_of(path: bytes) -> str:
    """The item key of a relative path, given as the bytes the file system holds. Never empty.

    Injective over all byte strings, also those that are no path.
    """
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return _encoded(path)
    is_plain = bool(text) and "//" not in text and not any(map(_is_control, text))
    return text if is_plain else _encoded(path)


def _encoded(path: bytes) -> str:
    return _ENCODED + quote_from_bytes(path, safe="/")


def _is_control(letter: str) -> bool:
    """Whether a letter would move a terminal's cursor or end a line (Unicode categories Cc, Zl, Zp)."""
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp")
