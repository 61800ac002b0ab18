"""A labelling project to test with: its configuration, its tasks, and what annotators answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from media_assets.labeling.label_studio.values import TASK_KEY, LabelTask

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices>
  <RectangleLabels name="box" toName="image"><Label value="face"/></RectangleLabels>
</View>"""


def chosen(label: str) -> list[dict[str, Any]]:
    """The result of an annotator who chose a label."""
    return [{"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": [label]}}]


def boxed(label: str = "face") -> list[dict[str, Any]]:
    """The result of a model that found one region; percent of the picture."""
    value = {"x": 25.0, "y": 20.0, "width": 40.0, "height": 50.0, "rotation": 0, "rectanglelabels": [label]}
    size = {"original_width": 320, "original_height": 240, "image_rotation": 0}
    return [{"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": value, **size}]


def prediction(label: str = "cat", score: float = 0.8) -> dict[str, Any]:
    """What a model said."""
    return {"model_version": "m1", "score": score, "result": chosen(label)}


def questions(n: int, prefix: str = "pets", annotators: int = 1) -> list[LabelTask]:
    """Tasks with one prediction each."""
    return [
        LabelTask(f"{prefix}/{i:032x}@r1", {"image": f"/data/local-files/?d=k/{i}.png"}, [prediction()], annotators)
        for i in range(n)
    ]


def counted(tasks: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How often each key is there, in what the server exports."""
    return Counter(task["data"].get(TASK_KEY, "") for task in tasks)
