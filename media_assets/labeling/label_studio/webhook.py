"""Webhooks of Label Studio: a hint that something may have changed, from somebody who knows a secret.

Label Studio signs nothing and sends nothing twice, so that a hint may only wake a pull, which asks for itself. Not
here: a server that takes them.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping

HEADER = "x-media-assets-hint"
_ACTIONS = frozenset(
    {
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_DELETED",
        "TASKS_CREATED",
        "TASKS_DELETED",
    }
)
MAX_BODY_BYTES = 10 * 1024 * 1024


def project_to_wake(headers: Mapping[str, str], body: bytes, secret: str) -> int | None:
    """The project that a hint is about; None for one without the secret, about something else, or that is none.

    `headers` have names in lower case. An empty secret lets nobody in.
    """
    given = headers.get(HEADER, "")
    if not secret or not hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode("utf-8")):
        return None
    if len(body) > MAX_BODY_BYTES:
        return None
    try:
        told = json.loads(body)
        action, project = told["action"], told["project"]["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_known = isinstance(action, str) and action in _ACTIONS
    return project if is_known and type(project) is int and project > 0 else None
