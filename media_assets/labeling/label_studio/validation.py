"""Holding predictions and answers against a project's configuration: the server itself takes anything.

The SDK's `LabelInterface` judges; importing it takes seconds, so only who judges does. Not here: what is done about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from media_assets.errors import LabelStudioCode, LabelStudioFailed
from media_assets.labeling.label_studio.values import Json, LabelTask

_SHOWN = 5


class ConfigRules:
    """A project's configuration, parsed once."""

    def __init__(self, config: str) -> None:
        from label_studio_sdk.label_interface.interface import LabelInterface

        try:
            interface: Any = LabelInterface(config)
            interface.validate()
        except Exception as error:  # it raises whatever its parsers do
            raise LabelStudioFailed(
                LabelStudioCode.REQUEST_REFUSED,
                f"expected a labelling configuration of Label Studio, got one that {type(error).__name__} is raised "
                f"for: {str(error)[:200]}. Try it in the project's settings, under Labeling Interface.",
            ) from None
        self._interface = interface

    def of_task(self, task: LabelTask) -> list[str]:
        """What is wrong with the predictions of a task."""
        found = [
            f"prediction {number}: {problem}"
            for number, prediction in enumerate(task.predictions, 1)
            for problem in self._problems(prediction)
        ]
        return found[:_SHOWN]

    def of_result(self, result: Sequence[Json]) -> list[str]:
        """What is wrong with an answer: labels or controls that the configuration does not have."""
        return self._problems({"result": list(result)})[:_SHOWN]

    def _problems(self, prediction: Any) -> list[str]:
        try:
            return list(map(str, self._interface.validate_prediction(prediction, return_errors=True)))
        except Exception as error:  # a result of a shape that it did not think of
            return [f"{type(error).__name__}: {str(error)[:200]}"]
