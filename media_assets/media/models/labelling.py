"""What models say of a few frames: decoded, shown, asked and understood, inside a worker.

Models are loaded once in each worker, after it has confined itself: a model's file is not trusted more than a
picture's. Each frame is decoded once for all models, and only as large as they are shown is it kept.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from media_assets.errors import ErrorCode, ItemError, ModelCode, ModelUnfit
from media_assets.media.frames import FrameSource, make_thumbnail
from media_assets.media.identity import require_same
from media_assets.media.models.classification import classified
from media_assets.media.models.description import ONNX, Detection, ModelDescription, parse_description
from media_assets.media.models.detection import detected
from media_assets.media.models.fitting import placement_of, shown
from media_assets.media.models.onnx_runtime import OnnxModel, require_runtime
from media_assets.media.models.protocol import Answer, Boxes, FrameModel, ModelRunFailed, Prediction
from media_assets.media.resize import Pixels
from media_assets.media.still import StillLimits, open_frame

Adapter = Callable[[ModelDescription, bytes], FrameModel]


class FrameBytes(msgspec.Struct, frozen=True):
    """One frame among the bytes of a work: so many, after those of the frames before it, with this SHA-256."""

    n_bytes: int
    sha256: str
    wants_thumbnail: bool = False


class LabelRequest(msgspec.Struct, frozen=True):
    """The frames of one work, and the versions of the models that are to be asked, in the order of the files."""

    frames: tuple[FrameBytes, ...]
    versions: tuple[str, ...]
    limits: StillLimits = StillLimits()


class FrameLabelled(msgspec.Struct):
    """What became of one frame: a prediction per model, in their order, or why there is none."""

    predictions: tuple[Prediction, ...] = ()
    code: ErrorCode | None = None
    message: str = ""
    thumbnail: bytes | None = None


class FramesLabelled(msgspec.Struct):
    """What became of the frames of one work; nothing of them where a model is unfit, whatever it is shown."""

    frames: tuple[FrameLabelled, ...] = ()
    unfit: ModelCode | None = None
    message: str = ""


@dataclass
class _Asked:
    """A model, and what is needed to ask it."""

    description: ModelDescription
    model: FrameModel


def frame_labeller(files: Sequence[tuple[str, bytes]]) -> Callable[[bytes, LabelRequest], FramesLabelled]:
    """The function that labels frames with the models of these files: of each its sidecar, then its own, as (name,
    bytes). Nothing of a model file is looked at before the function is called for the first time.
    """
    sidecars, data = files[0::2], [content for _, content in files[1::2]]
    try:
        descriptions = [parse_description(content, name) for name, content in sidecars]
        for description in descriptions:
            _import_adapter(description)  # a worker can import no more once it has confined itself
    except ModelUnfit as error:  # said by an answer: a worker that does not start says less
        unfit = FramesLabelled((), error.code, error.message)
        return lambda source, request: unfit
    asked: list[_Asked] = []

    def label_frames(source: bytes, request: LabelRequest) -> FramesLabelled:
        try:
            if not asked:
                asked.extend(_loaded(descriptions, data, request.versions))
                data.clear()
            return FramesLabelled(tuple(_labelled(source, request, asked)))
        except ModelUnfit as error:
            return FramesLabelled((), error.code, error.message)

    return label_frames


def _import_adapter(description: ModelDescription) -> Adapter:
    if description.adapter == ONNX:
        require_runtime()
        return OnnxModel
    module, _, name = description.adapter.partition(":")
    try:
        adapter: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelUnfit(
            f"Expected the plug-in {description.adapter!r} of model {description.id}, got: {error}. Install it, or "
            f"mend `adapter` of the description.",
            ModelCode.RUNTIME_MISSING,
        ) from error
    return adapter  # type: ignore[no-any-return]


def _loaded(descriptions: Sequence[ModelDescription], data: Sequence[bytes], versions: Sequence[str]) -> list[_Asked]:
    asked = []
    for description, content, version in zip(descriptions, data, versions, strict=True):
        if description.full_version(hashlib.sha256(content).hexdigest()) != version:
            raise ModelUnfit(
                f"Expected model {description.id} as {version}, as it was when the run began; its file or description "
                f"was changed since. Run it again.",
                ModelCode.FILE_CHANGED,
            )
        asked.append(_Asked(description, _made(description, content)))
    return asked


def _made(description: ModelDescription, content: bytes) -> FrameModel:
    try:
        return _import_adapter(description)(description, content)
    except (ModelUnfit, MemoryError):
        raise
    except Exception as error:  # a plug-in's own
        raise ModelUnfit(
            f"Expected the plug-in {description.adapter!r} to load model {description.id}, got: {_told(error)}. Mend "
            f"the plug-in, or the file.",
            ModelCode.FILE_UNREADABLE,
        ) from error


@dataclass
class _Frame:
    """One decoded frame: as each model is to see it, and how large it was."""

    labelled: FrameLabelled
    seen: list[Pixels]
    size_px: tuple[int, int]


def _labelled(source: bytes, request: LabelRequest, asked: Sequence[_Asked]) -> list[FrameLabelled]:
    frames, start = [], 0
    for part in request.frames:
        frames.append(_opened(source[start : start + part.n_bytes], part, request.limits, asked))
        start += part.n_bytes
    for number, each in enumerate(asked):
        good = [frame for frame in frames if frame.labelled.code is None]
        for frame, answer in _answers(each, good, number):
            if isinstance(answer, ItemError):
                frame.labelled.code, frame.labelled.message = answer.code, answer.message
                frame.labelled.predictions = ()
                continue
            _understand(each, frame, answer)
    return [frame.labelled for frame in frames]


def _opened(data: bytes, part: FrameBytes, limits: StillLimits, asked: Sequence[_Asked]) -> _Frame:
    try:
        require_same(data, part.sha256)
        source = open_frame(data, limits)
        seen = [shown(source, each.description.input) for each in asked]
        thumbnail = make_thumbnail(source) if part.wants_thumbnail else None
        source.prove()
        return _Frame(FrameLabelled(thumbnail=thumbnail), seen, _size_of(source))
    except ItemError as error:
        return _Frame(FrameLabelled(code=error.code, message=error.message), [], (1, 1))


def _size_of(source: FrameSource) -> tuple[int, int]:
    return source.width_px, source.height_px


def _answers(asked: _Asked, frames: Sequence[_Frame], number: int) -> list[tuple[_Frame, Answer | ItemError]]:
    """One answer per frame. Where they cannot be had together each frame is asked about alone: one may be to blame."""
    if not frames:
        return []
    try:
        answers = asked.model.predict(np.stack([frame.seen[number] for frame in frames]))
        if len(answers) != len(frames):
            raise ModelUnfit(
                f"Expected {len(frames)} answers from model {asked.description.id}, got {len(answers)}. Mend the "
                f"plug-in.",
                ModelCode.OUTPUT_MISMATCH,
            )
        return list(zip(frames, answers, strict=True))
    except (ModelUnfit, MemoryError):
        raise
    except Exception as error:  # `ModelRunFailed`, or a defect of a plug-in
        if len(frames) == 1:
            told = f"expected an answer of model {asked.description.id} to this frame, got: {_told(error)}"
            return [(frames[0], ItemError(ErrorCode.MODEL_FAILED, told))]
    return [pair for frame in frames for pair in _answers(asked, [frame], number)]


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ModelRunFailed) else f"{type(error).__name__}: {error}"


def _understand(asked: _Asked, frame: _Frame, answer: Answer) -> None:
    description = asked.description
    output = description.output
    try:
        if isinstance(answer, Boxes) != isinstance(output, Detection):
            raise ModelUnfit(
                f"Expected answers to a {description.task} from model {description.id}, got {type(answer).__name__}. "
                f"Mend `output` of its description.",
                ModelCode.OUTPUT_MISMATCH,
            )
        if isinstance(answer, Boxes):
            assert isinstance(output, Detection), "held above"
            placement = placement_of(description.input, *frame.size_px)
            prediction = detected(answer, description.labels, output, placement, frame.size_px)
        else:
            assert not isinstance(output, Detection), "held above"
            prediction = classified(answer, description.labels, output)
        frame.labelled.predictions = (*frame.labelled.predictions, prediction)
    except ItemError as error:
        frame.labelled.code = error.code
        frame.labelled.message = f"model {description.id}: {error.message}"
        frame.labelled.predictions = ()
