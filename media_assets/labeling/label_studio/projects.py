"""Projects: finding one by its name, making it once, and what annotators see in it. Not here: their tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.client import LabelStudio, NotFound, NotSent, OutcomeUnknown

_N_ATTEMPTS = 4
_PAGE_SIZE = 200


@dataclass(frozen=True)
class Project:
    """One project. `annotators`: how many people each task gets when it is imported."""

    project_id: int
    title: str
    config: str
    annotators: int


def read_project(client: LabelStudio, project_id: int) -> Project:
    """A project by its id.

    Raises:
        NotFound: there is none.
        LabelStudioFailed: no answer.
    """
    return _project(client.read(f"/api/projects/{project_id}/"))


def find_project(client: LabelStudio, title: str) -> Project | None:
    """The project of this very title.

    Raises:
        LabelStudioFailed: several have it, or there is no answer.
    """
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        try:
            body = client.read("/api/projects", {"title": title, "page": page, "page_size": _PAGE_SIZE})
        except NotFound:  # past the last page
            if page == 1:
                raise
            break
        found += [row for row in body["results"] if row["title"] == title]
        if not body.get("next"):
            break
        page += 1
    if len(found) > 1:
        raise LabelStudioFailed(
            LabelStudioCode.PROJECT_AMBIGUOUS,
            f"expected one project with the title {title!r}, got {len(found)}: {sorted(row['id'] for row in found)}. "
            f"Rename or delete the others: tasks must not be spread over them.",
        )
    return read_project(client, found[0]["id"]) if found else None


def ensure_project(client: LabelStudio, title: str, config: str, annotators: int = 1) -> Project:
    """The project of this title, made where there is none. One that is there is left as it is.

    `title` has 3 to 50 characters; `config` is Label Studio's XML.

    Raises:
        LabelStudioFailed: the configuration is refused, or nobody can say whether it was made.
    """
    body = {"title": title, "label_config": config, "maximum_annotations": annotators}
    failure: LabelStudioFailed | None = None
    for attempt in range(_N_ATTEMPTS):
        if (found := find_project(client, title)) is not None:
            return found
        try:
            return _project(client.write("POST", "/api/projects", body))
        except (NotSent, OutcomeUnknown) as error:
            failure = error
            client.wait(2.0**attempt)
    assert failure is not None
    if (found := find_project(client, title)) is not None:
        return found
    raise failure


def _project(row: dict[str, Any]) -> Project:
    return Project(row["id"], row["title"], row["label_config"], row.get("maximum_annotations") or 1)
