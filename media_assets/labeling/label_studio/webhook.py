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


def is_known(headers: Mapping[str, str], secret: str) -> bool:
    """Whether a request knows the secret, found out in the same time however much of it is right.

    `headers` have names in lower case, or do not mind. An empty secret lets nobody in.
    """
    given = headers.get(HEADER, "")
    return bool(secret) and hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode("utf-8"))


def project_to_wake(headers: Mapping[str, str], body: bytes, secret: str) -> int | None:
    """The project that a hint is about; None for one without the secret, about something else, or that is none."""
    if not is_known(headers, secret) or len(body) > MAX_BODY_BYTES:
        return None
    try:
        told = json.loads(body)
        action, project = told["action"], told["project"]["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_change = isinstance(action, str) and action in _ACTIONS
    return project if is_change and type(project) is int and project > 0 else None
