"""Single tasks: opening one again for another person. Not here: pushing them, or taking them back (`sweep.py`)."""

from __future__ import annotations

from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.label_studio.push import set_annotators


def requeue(client: LabelStudio, ls_task_id: int, annotators: int) -> None:
    """Open a task for more people: `annotators` in all, those who have answered it among them. Nobody sees it twice.

    Saying the same again changes nothing; a task that was answered by as many meanwhile is counted as done by the next
    answer, hence call it only where fewer have answered. The project's own number stays: raising that opens every task.

    Raises:
        NotFound: there is no such task.
        LabelStudioFailed: the server does not take it.
    """
    set_annotators(client, ls_task_id, annotators, is_labeled=False)
