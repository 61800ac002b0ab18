"""Words of others, such as an error's message, as they may stand in a message to people: one line, nothing that steers.

Not here: which parts of a URL are shown (`ingest/fetch/redaction.py` says that to who calls this).
"""

from __future__ import annotations

import re
from collections.abc import Callable

MOST_CHARS = 500
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")
_CALL = re.compile(r"@(?=(?:everyone|channel|here|all)\b)", re.IGNORECASE)


def safe_text(text: str, shown: Callable[[str], str]) -> str:
    """The text in one line of at most 500 characters, each URL in it as `shown` gives it; it calls nobody by name.

    Names of foreign files get into messages: `@everyone` in one must not ring a whole team.
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * MOST_CHARS]).split())
    line = _CALL.sub("@\u200b", _URL.sub(lambda found: shown(found[0]), line))
    line = line.replace("`", "'")
    return line if len(line) <= MOST_CHARS else f"{line[: MOST_CHARS - 1]}…"
